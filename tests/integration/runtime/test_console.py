"""Terminals: the console socket, the size, /dev/console, exec."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import signal
import socket
import struct
import subprocess
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, wait_until


class Console:
    """A console socket and the terminal that arrives on it."""

    def __init__(self) -> None:
        # Short: the path of a unix socket has at most 107 bytes.
        self._directory = tempfile.TemporaryDirectory(prefix="wc-", dir="/var/tmp")
        self.path = f"{self._directory.name}/s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(10)
        self.master = -1
        self.text = ""

    def accept(self) -> None:
        """Takes the terminal."""
        connection, _ = self._listener.accept()
        with connection:
            _, control, _, _ = connection.recvmsg(100, socket.CMSG_SPACE(4))
        descriptors = array.array("i", control[0][2])
        assert len(descriptors) == 1
        self.master = descriptors[0]
        os.set_blocking(self.master, False)

    def read(self) -> str:
        """All that has been written so far."""
        with contextlib.suppress(OSError):
            self.text += os.read(self.master, 65536).decode()
        return self.text

    def size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(self.master, termios.TIOCGWINSZ, b"\0" * 8))
        return rows, columns

    def close(self) -> None:
        """Closes everything."""
        self._listener.close()
        if self.master >= 0:
            os.close(self.master)
        self._directory.cleanup()


@pytest.fixture
def console() -> Iterator[Console]:
    """A console socket."""
    one = Console()
    yield one
    one.close()


def test_the_terminal_comes_over_the_console_socket(runtime: Runtime, bundle: Bundle, console: Console) -> None:
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 11, "width": 22}
    runtime.start("tty; stty size; readlink /proc/self/fd/2; echo $$ > /dev/console; read word; echo got $word", "kept",
                  "--console-socket", console.path)  # fmt: skip
    console.accept()
    wait_until(lambda: "\n1\r" in console.read(), console.text)
    assert console.text.split() == ["/dev/pts/0", "11", "22", "/dev/pts/0", "1"]
    assert console.size() == (11, 22)
    os.write(console.master, b"word\n")
    wait_until(lambda: "got word" in console.read(), console.text)


def test_the_terminal_is_the_controlling_one(runtime: Runtime, bundle: Bundle, console: Console) -> None:
    bundle.process["terminal"] = True
    runtime.start("trap 'echo interrupted' INT; echo ready; while :; do sleep 0.05; done", "kept", "--console-socket",
                  console.path)  # fmt: skip
    console.accept()
    wait_until(lambda: "ready" in console.read(), console.text)
    os.write(console.master, b"\x03")
    wait_until(lambda: "interrupted" in console.read(), console.text)


def test_the_terminal_belongs_to_the_user(runtime: Runtime, bundle: Bundle, console: Console) -> None:
    bundle.process["terminal"] = True
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    runtime.start("stat -c '%u %t' /dev/pts/0; stat -c '%u %t' /dev/console; sleep 1000", "kept", "--console-socket",
                  console.path)  # fmt: skip
    console.accept()
    wait_until(lambda: console.read().count("\n") == 2, console.text)
    assert console.text.split() == ["1000", "88", "1000", "88"]


def test_exec_gets_a_terminal_of_its_own(runtime: Runtime, bundle: Bundle, console: Console) -> None:
    runtime.start()
    runtime("exec", "--tty", "--detach", "--console-socket", console.path, "kept", "sh", "-c", "tty; sleep 1000",
            stdout=subprocess.DEVNULL)  # fmt: skip
    console.accept()
    wait_until(lambda: "/dev/pts/0" in console.read(), console.text)


def test_a_terminal_without_a_console_socket_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    done = runtime.create(check=False)
    assert "cannot allocate tty if runtime will detach without setting console socket" in done.stderr


def test_a_console_socket_that_is_not_there_is_named(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["terminal"] = True
    done = runtime.create("kept", "--console-socket", str(tmp_path / "none"), check=False)
    assert f"console socket {tmp_path}/none" in done.stderr


@pytest.mark.parametrize("trick", ["link", "file", "directory"])
def test_a_false_multiplexer_in_the_image_is_not_taken(
    runtime: Runtime, bundle: Bundle, console: Console, trick: str
) -> None:
    bundle.process["terminal"] = True
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    pts = bundle.rootfs / "dev" / "pts"
    if trick == "link":
        pts.symlink_to("/proc")
    elif trick == "file":
        pts.mkdir()
        (pts / "ptmx").write_text("")
    else:
        (pts / "ptmx").mkdir(parents=True)
    done = runtime.create("kept", "--console-socket", console.path, check=False)
    assert done.returncode == 1
    assert "process.terminal" in done.stderr


def _in_terminal(command: list[str]) -> tuple[subprocess.Popen[bytes], int, list[Any]]:
    """Starts a command in a terminal of its own, 33 rows and 44 columns; the process, the terminal's master, and how
    that was set before."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 44, 0, 0))
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(["setsid", "--ctty", *command], stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.set_blocking(master, False)
    return process, master, before


def _expect(master: int, text: str, so_far: str = "") -> str:
    """Reads until a text has come."""
    seen = so_far

    def arrived() -> bool:
        nonlocal seen
        with contextlib.suppress(OSError):
            seen += os.read(master, 65536).decode()
        return text in seen

    wait_until(arrived, f"{text!r} does not come")
    return seen


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_in_the_foreground_the_runtimes_own_terminal_serves(runtime: Runtime, bundle: Bundle, verb: str) -> None:
    script = (
        "trap 'stty size; echo resized' WINCH; tty; stty size; read word; echo got $word; while :; do sleep 0.05; done"
    )
    if verb == "exec":
        runtime.start()
        process, master, before = _in_terminal(runtime.command("exec", "--tty", "kept", "sh", "-c", script))
    else:
        bundle.process["terminal"] = True
        bundle.shell(script)
        bundle.write()
        process, master, before = _in_terminal(runtime.command("run", "-b", str(bundle.path), "once"))
    seen = _expect(master, "33 44")
    assert "/dev/pts/0" in seen
    os.write(master, b"word\n")
    _expect(master, "got word")
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 6, 0, 0))
    process.send_signal(signal.SIGWINCH)
    assert "5 6" in _expect(master, "resized")
    os.write(master, b"\x03")
    assert process.wait(10) == 128 + signal.SIGINT
    after = termios.tcgetattr(master)
    assert after[:4] == before[:4]
    os.close(master)


def test_the_last_output_in_the_foreground_is_not_lost(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.shell("seq 1 20000; echo last")
    bundle.write()
    process, master, _ = _in_terminal(runtime.command("run", "-b", str(bundle.path), "once"))
    seen = _expect(master, "last")
    assert process.wait(10) == 0
    assert seen.split() == [*(str(number) for number in range(1, 20001)), "last"]
    os.close(master)
