"""podman, and with it conmon, drive wherry-runtime as they drive runc and crun."""

from __future__ import annotations

import pytest

from tests.integration.callers.conftest import Caller
from tests.integration.callers.harness import Host

FOREVER = 'echo out; echo err >&2; trap "exit 3" TERM; while :; do sleep 0.05; done'


@pytest.fixture
def run(podman: Caller, host: Host) -> Caller:
    """``podman run`` on the root file system itself, without a copy of it."""

    def call(*arguments: str, options: tuple[str, ...] = ("--rm",), **keywords: object) -> object:
        flags = [word for word in arguments if word.startswith("--")]
        words = [word for word in arguments if not word.startswith("--")]
        return podman(
            "run", "--network=none", *options, *flags, "--rootfs", str(host.inside / "rootfs"), *words, **keywords
        )

    return call  # type: ignore[return-value]


def test_output_and_exit_status_arrive(run: Caller) -> None:
    done = run("sh", "-c", "echo to stdout; echo to stderr >&2; exit 7", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "to stdout\n", "to stderr\n")


@pytest.mark.parametrize(
    ("program", "status", "words"),
    [
        ("nonexistent", 127, "executable file not found in $PATH"),
        ("/nonexistent", 127, "no such file or directory"),
        ("/etc", 126, "permission denied"),
    ],
)
def test_a_program_that_cannot_be_executed_has_the_status_of_a_shell(
    run: Caller, program: str, status: int, words: str
) -> None:
    done = run(program, check=False)
    assert done.returncode == status
    assert words in done.stderr


def test_a_terminal_is_the_containers_own(run: Caller) -> None:
    done = run("--tty", "sh", "-c", "tty; stty -F /dev/console size", terminal=True)
    assert done.stdout.replace("\r", "").splitlines()[-1] in ("12 40", "0 0")
    assert "/dev/pts/0" in done.stdout


def test_standard_input_is_passed_on(run: Caller) -> None:
    assert run("--interactive", "cat", input="through the pipe").stdout == "through the pipe"


def test_limits_privileges_and_mappings_hold(run: Caller) -> None:
    assert run("--memory=64m", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes").stdout.strip() == "67108864"
    assert "CapEff:\t0000000000000000" in run("--cap-drop=all", "cat", "/proc/self/status").stdout
    assert run("--uidmap=0:100000:65536", "cat", "/proc/self/uid_map").stdout.split() == ["0", "100000", "65536"]
    assert run("--user=1000:1000", "id", "-u").stdout == "1000\n"


def test_a_privileged_container_has_the_hosts_devices_and_its_own_terminals(run: Caller) -> None:
    done = run("--privileged", "sh", "-c", "ls /dev; readlink /dev/ptmx")
    assert "kmsg" in done.stdout.split()
    assert done.stdout.splitlines()[-1] == "pts/ptmx"


def test_life_of_a_container(podman: Caller, run: Caller) -> None:
    run("--name=life", "--detach", "sh", "-c", FOREVER, options=())
    try:
        assert podman("exec", "life", "echo", "inside").stdout == "inside\n"
        assert podman("exec", "--tty", "life", "tty").stdout.strip() == "/dev/pts/0"
        assert podman("exec", "life", "sh", "-c", "exit 9", check=False).returncode == 9
        missing = podman("exec", "life", "nonexistent", check=False)
        assert missing.returncode == 127
        assert "executable file not found in $PATH" in missing.stderr
        assert podman("exec", "life", "/etc", check=False).returncode == 126
        assert "sh -c" in podman("top", "life").stdout
        podman("pause", "life")
        assert podman("inspect", "--format", "{{.State.Status}}", "life").stdout.strip() == "paused"
        podman("unpause", "life")
        lines = podman("logs", "--timestamps", "life").stdout.splitlines()
        assert [line.split()[1] for line in lines] == ["out"]
        podman("stop", "--time", "10", "life")
        assert podman("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "life").stdout == "exited 3\n"
        podman("start", "life")
        podman("kill", "life")
        assert podman("wait", "life").stdout == "137\n"
    finally:
        podman("rm", "--force", "--time", "0", "life")


def test_a_created_container_can_be_removed(podman: Caller, host: Host) -> None:
    podman("create", "--network=none", "--name=made", "--rootfs", str(host.inside / "rootfs"), "cat")
    podman("init", "made")
    assert podman("inspect", "--format", "{{.State.Status}}", "made").stdout == "initialized\n"
    podman("rm", "--force", "made")
    assert podman("ps", "--all", "--quiet").stdout == ""
