"""Volumes whose content is mounted: done in a mount namespace of the test's own, seen as the kernel sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]

SETUP = """
import asyncio, sys
from pathlib import Path
from wherry.errors import WherryError
from wherry.events import Events
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.volumes.model import VolumeSpec
from wherry.volumes.service import Volumes

async def main(root, other):
    paths = Paths(root / "data", root / "run")
    paths.create()
    database = Database(paths.database)
    volumes = Volumes(paths, database, Events(database))
    await volumes.start()
    mounts = lambda: [line.split()[4:9] for line in open("/proc/self/mountinfo") if "/_data " in line]
{body}
asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
"""


def in_mount_namespace(tmp_path: Path, body: str) -> str:
    """Runs the lines with ``volumes`` at hand; returns what they print."""
    (tmp_path / "other").mkdir()
    script = SETUP.format(body="\n".join("    " + line for line in body.strip().splitlines()))
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", script, str(tmp_path), str(tmp_path / "other")],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(REPOSITORY / "agent"), "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_tmpfs_volume_is_mounted_for_its_users_only(tmp_path: Path) -> None:
    printed = in_mount_namespace(
        tmp_path,
        """
await volumes.create(VolumeSpec("fast", options={"type": "tmpfs", "device": "tmpfs", "o": "size=1m,uid=1000"}))
print(len(mounts()))
path = await volumes.mount("fast", "c1")
await volumes.mount("fast", "c2")
print(len(mounts()), path.stat().st_uid)
await volumes.unmount("fast", "c1")
print(len(mounts()))
await volumes.unmount("fast", "c2")
print(len(mounts()))
""",
    )

    assert printed.splitlines() == ["0", "1 1000", "1", "0"]


@pytest.mark.parametrize("kind", ["none", ""])
def test_a_bind_volume_shows_a_directory_of_the_host_and_its_removal_keeps_it(tmp_path: Path, kind: str) -> None:
    printed = in_mount_namespace(
        tmp_path,
        f"""
(other / "file").write_text("alive")
await volumes.create(VolumeSpec("bound", options={{"type": "{kind}", "o": "bind", "device": str(other)}}))
path = await volumes.mount("bound", "c1")
print((path / "file").read_text())
await volumes.unmount("bound", "c1")
await volumes.remove("bound")
print((other / "file").read_text(), len(mounts()))
""",
    )

    assert printed.splitlines() == ["alive", "alive 0"]


def test_a_mount_that_fails_says_what_and_leaves_the_volume_unused(tmp_path: Path) -> None:
    printed = in_mount_namespace(
        tmp_path,
        """
await volumes.create(VolumeSpec("bad", options={"type": "none", "o": "bind", "device": "/does/not/exist"}))
try:
    await volumes.mount("bad", "c1")
except WherryError as error:
    print(error)
await volumes.remove("bad")
print(len(volumes.list()))
""",
    )

    assert "failed to mount local volume" in printed
    assert "/does/not/exist" in printed
    assert printed.splitlines()[-1] == "0"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"type": "nosuchfs", "device": "x"}, "no such device (this kernel has no file system"),
        ({"type": "tmpfs", "device": "tmpfs", "o": "size=none"}, "data: size=none: invalid argument"),
        ({"type": "ext4", "device": "/dev/null", "o": "ro,nosuid"}, "flags: 0x3: block device required"),
        ({"type": "cifs", "device": "//127.0.0.1/x", "o": "ro,password=hush"}, "password=********"),
        (
            {"type": "nfs", "device": ":/x", "o": "addr=name.invalid"},
            "error resolving passed in network volume address",
        ),
    ],
)
def test_what_cannot_be_mounted_is_told_in_dockers_words(tmp_path: Path, options: dict[str, str], words: str) -> None:
    printed = in_mount_namespace(
        tmp_path,
        f"""
await volumes.create(VolumeSpec("bad", options={options!r}))
try:
    await volumes.mount("bad", "c1")
except WherryError as error:
    print(error)
print(len(mounts()), volumes.users("bad"))
""",
    )

    assert printed.startswith("error while mounting volume '")
    assert "failed to mount local volume: " in printed
    assert words in printed
    assert "hush" not in printed
    assert printed.splitlines()[-1] == "0 ()"


def test_options_of_a_bind_hold_for_the_volume_alone(tmp_path: Path) -> None:
    printed = in_mount_namespace(
        tmp_path,
        """
await volumes.create(VolumeSpec("bound", options={"type": "none", "o": "bind,ro,nosuid,noexec", "device": str(other)}))
path = await volumes.mount("bound", "c1")
print(*sorted(set(mounts()[0][1].split(",")) & {"ro", "rw", "nosuid", "noexec", "nodev"}))
(other / "file").touch()
await volumes.unmount("bound", "c1")
""",
    )

    assert printed == "noexec nosuid ro"


def test_a_volume_whose_holder_is_gone_is_taken_back(tmp_path: Path) -> None:
    printed = in_mount_namespace(
        tmp_path,
        """
await volumes.create(VolumeSpec("fast", options={"type": "tmpfs", "device": "tmpfs"}))
await volumes.mount("fast", "gone")
await volumes.mount("fast", "here")
await volumes.release_all_but({"here"})
print(len(mounts()), *volumes.users("fast"))
await volumes.release_all_but(set())
print(len(mounts()), *volumes.users("fast"))
""",
    )

    assert printed.splitlines() == ["1 here", "0"]
