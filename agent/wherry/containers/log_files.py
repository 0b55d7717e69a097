"""A log's files as they are at one moment: the current one, and the rotated ones, plain or compressed.

They are the monitor's, which rotates while others read: all are opened at once, and once more when a rotation came in
between.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ATTEMPTS = 10
PIECE = 1 << 18
GZIP_WINDOW = 31  # zlib: 16 more than the window's bits asks for a gzip header


@dataclass(frozen=True)
class LogFiles:
    """Descriptors, the rotated files' oldest first; -1 where there is no current file."""

    current: int
    rotated: tuple[int, ...]

    def close_rotated(self) -> None:
        """Gives the rotated files back."""
        for descriptor in self.rotated:
            os.close(descriptor)


def open_all(path: Path) -> LogFiles:
    """Opens what there is of a log now; blocks."""
    for _ in range(ATTEMPTS):
        current = open_log(path)
        files = LogFiles(current, tuple(_open_rotated(path)))
        if is_current(path, current):
            break
        files.close_rotated()
        if current >= 0:
            os.close(current)
    else:  # it rotates faster than it can be opened: some files may be missing from what is read
        current = open_log(path)
        files = LogFiles(current, tuple(_open_rotated(path)))
    return files


def open_log(path: Path) -> int:
    """Opens a log for reading, never through a link and never waiting for a fifo's writer; -1 when it is not there."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return -1


def is_current(path: Path, descriptor: int) -> bool:
    """Whether the name still belongs to the open file."""
    try:
        now = path.lstat()
    except FileNotFoundError:
        return descriptor < 0
    return descriptor >= 0 and now.st_ino == os.fstat(descriptor).st_ino


def plain(descriptor: int, directory: Path) -> int:
    """The same file, or what a compressed one holds, to be closed by the caller; blocks.

    Logs are read from the end, which gzip does not allow: the content goes to a file without a name in ``directory``.
    """
    if os.pread(descriptor, 2, 0) != b"\x1f\x8b":
        return os.dup(descriptor)
    with tempfile.TemporaryFile(dir=directory) as unpacked:
        # One that was cut short is worth reading up to there.
        with contextlib.suppress(zlib.error):
            for piece in _inflated(descriptor):
                unpacked.write(piece)
        unpacked.flush()
        return os.dup(unpacked.fileno())


def _inflated(descriptor: int) -> Iterator[bytes]:
    """In pieces of a bounded size, whatever a container had logged."""
    inflate = zlib.decompressobj(wbits=GZIP_WINDOW)
    position = 0
    while chunk := os.pread(descriptor, PIECE, position):
        position += len(chunk)
        while chunk:
            yield inflate.decompress(chunk, PIECE)
            chunk = inflate.unconsumed_tail
    yield inflate.flush()


def _open_rotated(path: Path) -> list[int]:
    opened = []
    for number in sorted(_numbers(path), reverse=True):
        # The compressed file appears before the plain one goes.
        for suffix in ("", ".gz"):
            descriptor = open_log(path.with_name(f"{path.name}.{number}{suffix}"))
            if descriptor >= 0:
                opened.append(descriptor)
                break
    return opened


def _numbers(path: Path) -> set[int]:
    """Of the rotated files: the highest is the oldest."""
    texts = (entry.name[len(path.name) + 1 :].removesuffix(".gz") for entry in path.parent.glob(f"{path.name}.*"))
    return {int(text) for text in texts if text.isascii() and text.isdigit()}
