"""What an empty volume gets from the image, also from a hostile one."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from wherry.containers.copy_up import fill
from wherry.errors import SystemFailure


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    root, volume = tmp_path / "root", tmp_path / "volume"
    (root / "data" / "sub").mkdir(parents=True)
    volume.mkdir()
    return root, volume


def test_content_owner_mode_and_kind_are_kept(places: tuple[Path, Path]) -> None:
    root, volume = places
    (root / "data" / "sub" / "file").write_bytes(b"x" * 100_000)
    os.chown(root / "data" / "sub" / "file", 5, 6)
    (root / "data" / "sub" / "file").chmod(0o4751)
    (root / "data" / "link").symlink_to("/etc/passwd")
    os.mkfifo(root / "data" / "fifo")
    (root / "data").chmod(0o1770)
    fill(volume, root, "/data")
    copied = (volume / "sub" / "file").stat()
    assert (copied.st_uid, copied.st_gid, stat.S_IMODE(copied.st_mode), copied.st_size) == (5, 6, 0o4751, 100_000)
    assert (volume / "link").readlink() == Path("/etc/passwd")
    assert stat.S_ISFIFO((volume / "fifo").stat().st_mode)
    assert stat.S_IMODE(volume.stat().st_mode) == 0o1770


def test_a_volume_with_content_is_left_alone(places: tuple[Path, Path]) -> None:
    root, volume = places
    (volume / "mine").touch()
    fill(volume, root, "/data")
    assert [entry.name for entry in volume.iterdir()] == ["mine"]


@pytest.mark.parametrize("path", ["/link", "/data/up", "/../../../outside", "/absent", "/file"])
def test_nothing_from_outside_the_image_is_copied(places: tuple[Path, Path], path: str) -> None:
    root, volume = places
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("host")
    (root / "link").symlink_to(outside)
    (root / "data" / "up").symlink_to("../../outside")
    (root / "file").touch()
    with contextlib.suppress(SystemFailure):
        fill(volume, root, path)
    assert not list(volume.rglob("secret"))


def test_a_bottomless_tree_is_refused(places: tuple[Path, Path]) -> None:
    root, volume = places
    directory = os.open(root / "data", os.O_RDONLY)
    for _ in range(400):
        os.mkdir("d", dir_fd=directory)
        deeper = os.open("d", os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = deeper
    os.close(directory)
    with pytest.raises(SystemFailure, match="levels deep"):
        fill(volume, root, "/data")


def test_of_two_first_uses_at_once_one_fills_the_volume_and_the_other_waits(places: tuple[Path, Path]) -> None:
    root, volume = places
    for number in range(300):
        (root / "data" / f"file{number}").write_text("content")
    faults: list[BaseException] = []
    counts: list[int] = []
    begin = threading.Barrier(4)

    def use() -> None:
        begin.wait()
        try:
            fill(volume, root, "/data")
            counts.append(len(list(volume.iterdir())))
        except BaseException as error:  # told below
            faults.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (faults, counts) == ([], [301] * 4)


def test_a_copy_that_fails_leaves_the_volume_empty_for_the_next_start(
    places: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, volume = places
    for number in range(5):
        (root / "data" / f"file{number}").write_text("content")
    (root / "data" / "sub" / "file").write_text("content")
    sent = iter([True] * 3)

    def full(*_: object) -> int:
        if next(sent, False):
            return 0
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "sendfile", full)
        with pytest.raises(SystemFailure, match="No space left on device"):
            fill(volume, root, "/data")
    assert list(volume.iterdir()) == []
    fill(volume, root, "/data")
    assert (volume / "sub" / "file").read_text() == "content"


def test_file_capabilities_of_another_owner_are_kept(places: tuple[Path, Path]) -> None:
    root, volume = places
    program = root / "data" / "program"
    program.write_text("x")
    os.chown(program, 5, 6)
    # VFS_CAP_REVISION_2 with CAP_NET_RAW effective and permitted (capabilities(7)).
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    try:
        os.setxattr(program, "security.capability", value)
    except OSError:
        pytest.skip("only root sets file capabilities")
    fill(volume, root, "/data")
    assert os.getxattr(volume / "program", "security.capability") == value
    assert (volume / "program").stat().st_uid == 5
