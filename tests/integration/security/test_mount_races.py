"""Containers that swap names in a directory that they share with one that is being made, hundreds of times.

The numbers in the comments are those of the attacks. What the new container gets may be an error; what the host has
must stay as it is, and nothing of it, and nothing that is to be hidden, may come to light. WHERRY_RACES multiplies the
starts (`make fuzz`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, wait_until
from tests.integration.security.conftest import Probe

FACTOR = int(os.environ.get("WHERRY_RACES", "1"))
CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
SECRET = "what only the host may read"

Swapper = Callable[..., None]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The directory that both containers have, at /vol."""
    path = tmp_path / "volume"
    path.mkdir()
    return path


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host that has to stay as it is."""
    path = tmp_path / "canary"
    path.mkdir()
    (path / "secret").write_text(SECRET)
    return path


@pytest.fixture
def swap(tmp_path: Path, cgroup: str, volume: Path, probe: Probe) -> Iterator[Swapper]:
    """``swap("a", "b")`` starts a container that exchanges /vol/a and /vol/b until the test ends."""
    bundle = Bundle(tmp_path / "attacker", f"{cgroup}-attacker")
    shutil.copy(probe("swap"), bundle.rootfs / "swap")
    bundle.mount("/vol", str(volume))
    attacker = Runtime(tmp_path / "attacker-state" / "root", bundle)
    attacker.root.parent.mkdir()

    def start(*names: str) -> None:
        bundle.process["args"] = ["/swap", *(f"/vol/{name}" for name in names)]
        attacker.create()
        attacker("start", "kept")
        wait_until(lambda: attacker.text() == "ready\n", "the names are not swapped")

    yield start
    # It has swapped names until now.
    if attacker.root.exists():
        assert attacker.state()["status"] == "running"
        attacker.clean()


def _starts(runtime: Runtime, count: int) -> Iterator[subprocess.CompletedProcess[str]]:
    """Runs the container again and again; some of the runs, but not all, may fail."""
    runtime.bundle.write()
    succeeded = 0
    for number in range(count * FACTOR):
        done = runtime("run", "--bundle", str(runtime.bundle.path), f"run-{number}", check=False)
        succeeded += done.returncode == 0
        yield done
    assert succeeded > 0


@pytest.mark.parametrize("form", ["absolute", "climbing", "root"])
def test_a_mount_point_that_becomes_a_link_leads_to_nothing_of_the_host(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, volume: Path, canary: Path, swap: Swapper, form: str
) -> None:  # CVE-2021-30465, CVE-2024-45310
    target = {"absolute": str(canary), "climbing": "../" * 20 + str(canary).lstrip("/"), "root": "/"}[form]
    mark = f"wherry-race-{os.getpid()}"
    (volume / "dir").mkdir()
    (volume / "link").symlink_to(target)
    (tmp_path / "source").mkdir()
    (tmp_path / "file").write_text("")
    bundle.mount("/vol", str(volume))
    bundle.mount(f"/vol/dir/{mark}-tmpfs", "tmpfs", kind="tmpfs")
    bundle.mount(f"/vol/dir/{mark}-directory", str(tmp_path / "source"))
    bundle.mount(f"/vol/dir/{mark}-file", str(tmp_path / "file"))
    bundle.linux["devices"] = [{"path": f"/vol/dir/{mark}-device", "type": "c", "major": 1, "minor": 3}]
    bundle.process["cwd"] = f"/vol/dir/{mark}-cwd"
    bundle.shell("cat /vol/dir/secret /vol/link/secret; ls / | tr '\\n' ' '; true")
    mounts = Path("/proc/self/mountinfo").read_text()
    before = {path.name for path in Path("/").iterdir()}
    swap("dir", "link")
    for done in _starts(runtime, 170):
        assert SECRET not in done.stdout
        if done.returncode == 0:
            assert "lost+found" not in done.stdout.split()
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert [path.name for path in canary.iterdir()] == ["secret"]
    assert {path.name for path in Path("/").iterdir()} == before


@pytest.mark.parametrize("bound", [True, False], ids=["volume", "image"])
def test_a_null_device_that_becomes_a_link_unmasks_nothing(
    runtime: Runtime, bundle: Bundle, volume: Path, swap: Swapper, bound: bool
) -> None:  # CVE-2025-31133
    for name, number in {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}.items():
        os.mknod(volume / name, 0o20666, os.makedev(1, number))
    os.mknod(volume / "tty", 0o20666, os.makedev(5, 0))
    (volume / "false").symlink_to("/proc/sys/kernel/core_pattern")
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    if bound:
        bundle.mount("/dev", str(volume))
    else:
        (bundle.rootfs / "dev").rmdir()
        (bundle.rootfs / "dev").symlink_to("/vol")
        bundle.mount("/vol", str(volume))
    (bundle.rootfs / "hidden").write_text(SECRET)
    bundle.linux["maskedPaths"].append("/hidden")
    pattern = CORE_PATTERN.read_text()
    bundle.shell(
        "cat /hidden /proc/timer_list /proc/keys; stat -c %t:%T /hidden /proc/timer_list /proc/keys;"
        "echo '|/bin/evil' > /proc/sys/kernel/core_pattern; echo '|/bin/evil' > /hidden; true"
    )
    swap("null", "false")
    for done in _starts(runtime, 150):
        if done.returncode == 0:
            assert done.stdout.split() == ["1:3"] * 3, done.stderr
            assert "core_pattern: Read-only file system" in done.stderr
    assert CORE_PATTERN.read_text() == pattern


def _in_terminal(runtime: Runtime, number: int) -> tuple[int, str]:
    """Runs the container with a terminal; its exit status and what came out of the terminal."""
    master, slave = os.openpty()
    done = subprocess.run(
        runtime.command("run", "--bundle", str(runtime.bundle.path), f"run-{number}"),
        stdin=slave, stdout=slave, stderr=slave, timeout=20,
    )  # fmt: skip
    os.close(slave)
    os.set_blocking(master, False)
    seen = b""
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            part = os.read(master, 65536)
        except BlockingIOError:
            continue
        except OSError:
            break
        seen += part
    os.close(master)
    return done.returncode, seen.decode()


def test_a_console_that_becomes_a_link_is_a_terminal_or_an_error(
    runtime: Runtime, bundle: Bundle, volume: Path, swap: Swapper
) -> None:  # CVE-2025-52565
    (volume / "console").write_text("")
    (volume / "false-console").symlink_to("/proc/sys/kernel/core_pattern")
    (volume / "pts").mkdir()
    (volume / "false-pts").symlink_to("/proc/sys/kernel")
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/dev":
            mount.update(type="bind", source=str(volume), options=["bind"])
    bundle.process["terminal"] = True
    bundle.shell("cat /proc/self/mountinfo; echo '|/bin/evil' > /proc/sys/kernel/core_pattern; true")
    bundle.write()
    pattern = CORE_PATTERN.read_text()
    swap("console", "false-console", "pts", "false-pts")
    succeeded = 0
    for number in range(200 * FACTOR):
        status, text = _in_terminal(runtime, number)
        if status != 0:
            continue
        succeeded += 1
        lines = [line.split() for line in text.splitlines() if " - " in line]
        kinds = {(one[4], one[one.index("-") + 1]): one for one in lines}
        assert [point for point, kind in kinds if kind == "devpts" and not point.startswith("/dev/")] == []
        writable = [point for (point, kind), one in kinds.items() if kind == "proc" and one[5].split(",")[0] == "rw"]
        assert writable == ["/proc"]
        assert "core_pattern: Read-only file system" in text
    assert succeeded > 0
    assert CORE_PATTERN.read_text() == pattern


def test_a_proc_whose_place_is_swapped_is_written_and_masked_all_the_same(
    runtime: Runtime, bundle: Bundle, volume: Path, swap: Swapper
) -> None:  # CVE-2019-19921, CVE-2025-52881
    # The image's /proc is a link to a directory that the other container exchanges for a false one.
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "proc").symlink_to("/vol/true")
    (volume / "true").mkdir()
    false = volume / "false" / "sys" / "net" / "ipv4"
    false.mkdir(parents=True)
    (false / "ip_forward").write_text("false\n")
    bundle.config["mounts"].insert(0, {"destination": "/vol", "source": str(volume), "options": ["bind"]})
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    pattern = CORE_PATTERN.read_text()
    bundle.shell(
        """for place in /vol/true /vol/false /vol/true /vol/false; do
            cat $place/timer_list $place/keys 2>/dev/null
            cat $place/sys/net/ipv4/ip_forward
            [ -e $place/uptime ] && cat $place/sys/kernel/core_pattern > $place/sys/kernel/core_pattern && echo written
        done 2>/dev/null; true"""
    )
    swap("true", "false")
    for done in _starts(runtime, 200):
        assert set(done.stdout.split()) <= {"1", "false"}, done.stdout
    # The two are exchanged all the time: one look may miss the false one under both names.
    looks = [path for _ in range(50) for path in volume.glob("*/sys/net/ipv4/ip_forward")]
    assert {text for path in looks if (text := _text(path)) is not None} == {"false\n"}
    assert CORE_PATTERN.read_text() == pattern


def _text(path: Path) -> str | None:
    """What is in a file, if it still has this name."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return None
