"""Files of a container's root are looked up as the container would, whatever links it has laid."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wherry import native
from wherry.native import NativeError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with links that lead out, and a secret beside it."""
    (tmp_path / "secret").write_text("the host's")
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "up").symlink_to("../../../../../etc/passwd")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    (root / "magic").symlink_to("/proc/self/root/etc/passwd")
    os.mkfifo(root / "fifo")
    return root


@pytest.mark.parametrize("path", ["etc/passwd", "/etc/passwd", "/../../etc/passwd", "absolute", "up", "etc/../up"])
def test_every_path_ends_in_the_root(root: Path, path: str) -> None:
    assert native.read_in_root(root, path, 100) == b"root:x:0:0::/:"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("out", errno.ENOENT),
        ("loop", errno.ELOOP),
        ("magic", errno.ENOENT),
        ("fifo", errno.EINVAL),
        ("etc", errno.EINVAL),
        ("etc/passwd/x", errno.ENOTDIR),
    ],
)
def test_what_is_no_file_of_the_root_is_refused_and_never_waited_for(root: Path, path: str, code: int) -> None:
    with pytest.raises(NativeError) as caught:
        native.read_in_root(root, path, 100)
    assert caught.value.errno == code


def test_a_file_larger_than_the_limit_is_refused(root: Path) -> None:
    with (root / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NativeError) as caught:
        native.read_in_root(root, "huge", 1 << 20)
    assert caught.value.errno == errno.EFBIG
    assert native.read_in_root(root, "etc/passwd", 14) == b"root:x:0:0::/:"


def test_links_of_proc_are_refused() -> None:
    with pytest.raises(NativeError) as caught:
        os.close(native.open_in_root("/", "proc/self/root/etc", os.O_RDONLY))
    assert caught.value.errno == errno.ELOOP


def test_a_descriptor_is_not_inherited(root: Path) -> None:
    descriptor = native.open_in_root(root, "etc", os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)
