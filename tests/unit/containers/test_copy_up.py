"""What an empty volume gets from the image, also from a hostile one."""

from __future__ import annotations

import contextlib
import os
import stat
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
