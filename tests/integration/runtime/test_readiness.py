"""NOTIFY_SOCKET: a service manager on the host hears when the container's program is ready (sd_notify(3))."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, wait_until

SAY = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    strncpy(address.sun_path, getenv("NOTIFY_SOCKET"), sizeof(address.sun_path) - 1);
    for (int i = 1; i < argc; i++) {
        if (sendto(fd, argv[i], strlen(argv[i]), 0, (struct sockaddr *)&address, sizeof(address)) < 0)
            return 1;
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def say(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A static program that sends each of its arguments to NOTIFY_SOCKET."""
    place = tmp_path_factory.mktemp("say")
    (place / "say.c").write_text(SAY)
    compiler = shutil.which("cc") or "gcc"
    subprocess.run([compiler, "-static", "-O2", "-o", place / "say", place / "say.c"], check=True)
    return place / "say"


@pytest.fixture
def manager(tmp_path: Path, bundle: Bundle, say: Path) -> Iterator[socket.socket]:
    """The service manager's socket, at ``manager``; the container has the program ``say``."""
    shutil.copy(say, bundle.rootfs / "bin" / "say")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "manager"))
        listener.settimeout(30)
        yield listener


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment of a service."""
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": str(tmp_path / "manager")}


def _nothing_more(manager: socket.socket) -> bool:
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
    manager.settimeout(30)
    return True


def test_in_the_foreground_readiness_is_passed_on_while_it_runs(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str]
) -> None:
    bundle.shell("echo $NOTIFY_SOCKET; say STATUS=loading WATCHDOG=1 READY=0 $(printf 'STATUS=up\\nREADY=1'); read end")
    bundle.write()
    command = runtime.command("run", "--bundle", str(bundle.path), "once")
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as running:
        # Who runs in the foreground is the main process itself; and nothing else of what a container says is passed on.
        assert manager.recv(100) == b"READY=1"
        assert running.poll() is None
        output, _ = running.communicate("\n", timeout=30)
    assert (running.returncode, output) == (0, "/run/notify/notify.sock\n")
    assert _nothing_more(manager)


def test_detached_run_returns_when_the_program_is_ready(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str]
) -> None:
    bundle.shell("say READY=1; sleep 1000")
    bundle.write()
    runtime("run", "--detach", "--bundle", str(bundle.path), "kept", env=environment, stdout=subprocess.DEVNULL)
    assert manager.recv(100) == b"READY=1"
    assert manager.recv(100) == f"MAINPID={runtime.state()['pid']}".encode()


def test_start_returns_when_the_program_is_ready(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str], tmp_path: Path
) -> None:
    bundle.mount("/flag", str(tmp_path), "rw")
    bundle.shell("while ! test -e /flag/go; do sleep 0.05; done; say READY=1; sleep 1000")
    bundle.write()
    command = runtime.command("create", "--bundle", str(bundle.path), "kept")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": environment, "timeout": 30}
    subprocess.run(command, check=True, **quiet)  # type: ignore[call-overload]
    with subprocess.Popen(runtime.command("start", "kept"), env=environment) as starting:
        wait_until(lambda: runtime.state()["status"] == "running", "it is not started")
        assert starting.poll() is None
        (tmp_path / "go").touch()
        assert starting.wait(30) == 0
    assert manager.recv(100) == b"READY=1"
    assert manager.recv(100) == f"MAINPID={runtime.state()['pid']}".encode()
    runtime("delete", "--force", "kept")
    assert not (runtime.root / "kept").exists()


@pytest.mark.parametrize("script", ["exit 3", "say STOPPING=1; exit 3"])
def test_nobody_waits_for_a_program_that_ends_without_a_word(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str], script: str
) -> None:
    bundle.shell(script)
    bundle.write()
    runtime("run", "--detach", "--bundle", str(bundle.path), "kept", env=environment, stdout=subprocess.DEVNULL)
    assert _nothing_more(manager)


def test_the_last_word_of_a_program_that_ends_is_heard(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str]
) -> None:
    bundle.process["args"] = ["say", "READY=1"]
    bundle.write()
    runtime("run", "--detach", "--bundle", str(bundle.path), "kept", env=environment, stdout=subprocess.DEVNULL)
    assert manager.recv(100) == b"READY=1"


def test_a_user_of_a_user_namespace_reaches_it_and_changes_nothing(
    runtime: Runtime, bundle: Bundle, manager: socket.socket, environment: dict[str, str]
) -> None:
    bundle.user_namespace()
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.shell("rm -f $NOTIFY_SOCKET 2>/dev/null; touch /run/notify/new 2>/dev/null; ls /run/notify; say READY=1")
    assert runtime.run(env=environment).stdout == "notify.sock\n"
    assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize("name", ["", "relative", "vsock:2:3", "/nonexistent/socket"])
def test_a_manager_that_cannot_be_told_stops_nothing(runtime: Runtime, bundle: Bundle, name: str, say: Path) -> None:
    shutil.copy(say, bundle.rootfs / "bin" / "say")
    bundle.shell("test -z $NOTIFY_SOCKET || say READY=1; echo ran")
    bundle.write()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": name}
    assert runtime("run", "--bundle", str(bundle.path), "once", env=environment).stdout == "ran\n"


def test_an_abstract_name_is_reached(runtime: Runtime, bundle: Bundle, say: Path) -> None:
    shutil.copy(say, bundle.rootfs / "bin" / "say")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("")  # a name of the kernel's choice
        listener.settimeout(30)
        bundle.shell("say READY=1; read end")
        bundle.write()
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "NOTIFY_SOCKET": f"@{listener.getsockname()[1:].decode()}",
        }
        command = runtime.command("run", "--bundle", str(bundle.path), "once")
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) as running:
            assert listener.recv(100) == b"READY=1"
            running.communicate(b"\n", timeout=30)


def test_without_it_the_container_has_none(runtime: Runtime, bundle: Bundle) -> None:
    assert runtime.output("echo ${NOTIFY_SOCKET-none}; ls -d /run/notify 2>/dev/null || true") == "none"
