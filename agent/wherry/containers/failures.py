"""What a runtime's message means for the exit code: clients look for these words and codes (docker run(1))."""

from __future__ import annotations

from wherry.errors import InvalidParameter, SystemFailure, WherryError

COMMAND_NOT_FOUND = 127
COMMAND_NOT_EXECUTABLE = 126
START_FAILED = 128

_NOT_FOUND = ("executable file not found", "no such file or directory", "system cannot find the file specified")
_NOT_EXECUTABLE = ("permission denied", "is a directory", "exec format error", "not a directory")


def exit_code_of(message: str) -> int:
    """127 when the program is not there, 126 when it cannot be run, 128 for everything else."""
    lowered = message.lower()
    if any(words in lowered for words in _NOT_FOUND):
        return COMMAND_NOT_FOUND
    if any(words in lowered for words in _NOT_EXECUTABLE):
        return COMMAND_NOT_EXECUTABLE
    return START_FAILED


def is_commands_own(message: str) -> bool:
    """Whether the command is at fault, and not what had to be done for it: that speaks of processes and groups."""
    return exit_code_of(message) != START_FAILED and "/proc/" not in message and "/sys/fs/cgroup" not in message


def start_error(message: str) -> WherryError:
    """The error of ``start`` in the words that the docker command tells 126 and 127 by."""
    text = f"failed to create task for container: OCI runtime create failed: {message}: unknown"
    return InvalidParameter(text) if exit_code_of(message) != START_FAILED else SystemFailure(text)


def exec_error(message: str) -> str:
    """The text that an exec session shows in place of output."""
    return f"OCI runtime exec failed: {message}: unknown"
