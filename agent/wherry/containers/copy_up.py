"""Fills an empty volume with what the image has at its place.

The tree comes from an image, so it is walked by directory descriptors that never follow a link, and no special file is
opened. Nothing of the container runs meanwhile.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakValueDictionary

from wherry import native
from wherry.errors import SystemFailure

DEEPEST = 256
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
COPY_CHUNK = 8 << 20


class _Turn:
    """Who fills a volume; it is there as long as somebody does or waits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


_turns: WeakValueDictionary[Path, _Turn] = WeakValueDictionary()
_turns_lock = threading.Lock()


def fill(volume: Path, rootfs: Path, destination: str) -> None:
    """Copies ``destination`` of the root file system into ``volume`` if that is empty; blocks.

    Owner and mode of the directory go with it. What is no directory, or is not there, is left alone. Of several
    containers that use the volume for the first time at once, one fills it while the others wait. A copy that fails
    leaves the volume empty, so that the next start tries again.
    """
    with _turn(volume):
        target = os.open(volume, _DIRECTORY)
        try:
            with os.scandir(target) as entries:
                is_empty = next(entries, None) is None
            if is_empty:
                _fill_empty(target, rootfs, destination)
        finally:
            os.close(target)


@contextlib.contextmanager
def _turn(volume: Path) -> Iterator[None]:
    """One at a time for each volume. Not by a lock on the directory, which a container of the volume could hold."""
    with _turns_lock:
        mine = _turns.setdefault(volume, _Turn())
    with mine.lock:
        yield


def _fill_empty(target: int, rootfs: Path, destination: str) -> None:
    try:
        source = native.open_in_root(rootfs, destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except native.NativeError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return
        raise
    try:
        _copy_tree(source, target, 0)
    except (OSError, SystemFailure) as error:
        _empty(target)
        raise SystemFailure(f"cannot copy {destination} of the image to the volume: {error}") from error
    finally:
        os.close(source)


def _empty(target: int) -> None:
    with os.scandir(target) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                native.remove_tree(f"/proc/self/fd/{target}/{entry.name}")
            else:
                os.unlink(entry.name, dir_fd=target)


def _copy_tree(source: int, target: int, depth: int) -> None:
    if depth > DEEPEST:
        raise SystemFailure(f"cannot copy the image's directory to the volume: more than {DEEPEST} levels deep")
    with os.scandir(source) as entries:
        names = [entry.name for entry in entries]
    for name in names:
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            os.mkdir(name, 0o700, dir_fd=target)
            with _directory(name, source) as inner, _directory(name, target) as outer:
                _copy_tree(inner, outer, depth + 1)
        else:
            _copy_entry(source, target, name, status)
    _copy_status(os.fstat(source), target)
    _copy_attributes(source, target)


def _copy_entry(source: int, target: int, name: str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name)
    elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK):
        os.mknod(name, kind | 0o600, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)


def _copy_file(source: int, target: int, name: str) -> None:
    # O_NONBLOCK: were it swapped for a fifo since it was looked at, the open would not wait for a writer.
    inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        outer = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            offset = 0
            while sent := os.sendfile(outer, inner, offset, COPY_CHUNK):
                offset += sent
            _copy_status(os.fstat(inner), outer)
            _copy_attributes(inner, outer)  # last: a change of owner takes file capabilities away
        finally:
            os.close(outer)
    finally:
        os.close(inner)


def _copy_status(status: os.stat_result, target: int) -> None:
    """Owner before mode: a change of owner takes set-uid bits away (chown(2))."""
    os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy_attributes(source: int, target: int) -> None:
    """Extended attributes but those in which overlayfs keeps its own book."""
    for name in os.listxattr(source):
        if not name.startswith(("trusted.overlay.", "user.overlay.")):
            # A file system that lacks the attribute's class still gets the file.
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name))


@contextlib.contextmanager
def _directory(name: str, parent: int) -> Iterator[int]:
    descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
