"""containerd's shim for runc drives wherry-runtime, by its option BinaryName."""

from __future__ import annotations

import time

import pytest

from tests.integration.callers.conftest import Caller
from tests.integration.callers.harness import Host

FOREVER = 'trap "exit 3" TERM; while :; do sleep 0.05; done'


@pytest.fixture
def run(ctr: Caller, host: Host) -> Caller:
    """``ctr run`` on the root file system itself."""

    def call(name: str, *command: str, options: tuple[str, ...] = ("--rm",), **keywords: object) -> object:
        return ctr(
            "run", "--runtime", "io.containerd.runc.v2", "--runc-binary", str(host.runtime), *options,
            "--rootfs", str(host.inside / "rootfs"), name, *command, **keywords,
        )  # fmt: skip

    return call  # type: ignore[return-value]


def test_output_and_exit_status_arrive(run: Caller) -> None:
    done = run("status", "sh", "-c", "echo to stdout; echo to stderr >&2; exit 5", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, "to stdout\n", "to stderr\n")


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("nonexistent", 'OCI runtime create failed: exec: "nonexistent": executable file not found in $PATH'),
        ("/nonexistent", "no such file or directory"),
    ],
)
def test_the_reason_of_a_failure_comes_through_the_json_log(run: Caller, program: str, words: str) -> None:
    done = run("wrong", program, check=False)
    assert done.returncode == 1
    assert words in done.stderr


def test_a_terminal_has_the_size_of_the_clients(run: Caller) -> None:
    done = run("tty", "sh", "-c", "tty; sleep 0.3; stty size", options=("--rm", "--tty"), terminal=True)
    assert "/dev/pts/0" in done.stdout
    assert "12 40" in done.stdout


def test_privileges_hold(run: Caller) -> None:
    assert "Seccomp:\t2" in run("filter", "cat", "/proc/self/status", options=("--rm", "--seccomp")).stdout
    assert run("privileged", "readlink", "/dev/ptmx", options=("--rm", "--privileged")).stdout == "pts/ptmx\n"


def _status(ctr: Caller, name: str) -> str:
    for line in ctr("task", "ls").stdout.splitlines():
        if line.split()[0] == name:
            return line.split()[2]
    return ""


def test_life_of_a_task(ctr: Caller, run: Caller) -> None:
    run("life", "sh", "-c", FOREVER, options=("--detach",))
    assert _status(ctr, "life") == "RUNNING"
    assert ctr("task", "exec", "--exec-id", "one", "life", "echo", "inside").stdout == "inside\n"
    done = ctr(
        "task", "exec", "--tty", "--exec-id", "two", "life", "sh", "-c", "tty; exit 4", check=False, terminal=True
    )
    assert (done.returncode, "/dev/pts/0" in done.stdout) == (4, True)
    missing = ctr("task", "exec", "--exec-id", "three", "life", "nonexistent", check=False)
    assert 'OCI runtime exec failed: exec: "nonexistent": executable file not found in $PATH' in missing.stderr
    ctr("task", "exec", "--detach", "--exec-id", "four", "life", "sleep", "1000")
    assert "ExecID:four" in ctr("task", "ps", "life").stdout
    ctr("task", "kill", "--signal", "KILL", "--exec-id", "four", "life")
    assert "pids.current" in ctr("task", "metrics", "life").stdout
    ctr("task", "pause", "life")
    assert _status(ctr, "life") == "PAUSED"
    ctr("task", "resume", "life")
    refused = ctr("task", "checkpoint", "life", check=False)
    assert "checkpoint: not supported by this runtime" in refused.stderr
    assert _status(ctr, "life") == "RUNNING"
    ctr("task", "kill", "--signal", "TERM", "life")
    deadline = time.monotonic() + 10
    while _status(ctr, "life") != "STOPPED":
        assert time.monotonic() < deadline
    # What the runtime says of a process that is gone has to be understood as that.
    assert "process already finished: not found" in ctr("task", "kill", "life", check=False).stderr
    ctr("task", "rm", "life", check=False)
    ctr("container", "rm", "life")
    assert ctr("task", "ls", "--quiet").stdout == ""


def test_a_running_task_is_removed_by_force(ctr: Caller, run: Caller) -> None:
    run("force", "sh", "-c", "sleep 1000 & exec sleep 1000", options=("--detach",))
    ctr("task", "rm", "--force", "force", check=False)
    ctr("container", "rm", "force")
    assert ctr("task", "ls", "--quiet").stdout == ""
