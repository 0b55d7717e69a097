"""Reads a container's log: Docker's json-file form, over its rotated files, from the end or the start, and on.

One line of the file is ``{"log":"text\\n","stream":"stdout","time":"2024-01-01T00:00:00.000000000Z"}``. The file is the
monitor's; what a container wrote is inside the JSON text and cannot forge a line.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry.aio import in_thread
from wherry.containers import times

POLL_SECONDS = 0.1
"""How often a follower looks: the file is written by another process, and one fstat is all that a look costs."""

READ_CHUNK = 1 << 18
BATCH = 512


@dataclass(frozen=True)
class LogEntry:
    """A piece of output as it was logged; a long line comes in pieces, only the last of which ends in a newline."""

    stream: str
    data: bytes
    time: str


@dataclass(frozen=True)
class LogQuery:
    """What a client wants. Times are nanoseconds since 1970; ``tail`` ``None`` is everything."""

    stdout: bool = True
    stderr: bool = True
    since: int | None = None
    until: int | None = None
    tail: int | None = None
    follow: bool = False

    def wants(self, entry: LogEntry) -> bool:
        """Whether the entry's stream and time are among what is wanted."""
        if not (self.stdout if entry.stream == "stdout" else self.stderr):
            return False
        if self.since is None and self.until is None:
            return True
        moment = times.parse(entry.time)
        return (self.since is None or moment >= self.since) and (self.until is None or moment <= self.until)


async def read(path: Path, query: LogQuery, ended: Callable[[], bool]) -> AsyncIterator[LogEntry]:
    """Entries oldest first. With ``follow`` it goes on until ``ended`` says so and the file is read to its end."""
    follower = _Follower(path)
    past = await in_thread(follower.open_past, query)
    try:
        while batch := await in_thread(_take, past, BATCH):
            for entry in batch:
                yield entry
        while query.follow:
            # Asked before the read: what is written between the two looks is not lost.
            last = ended()
            fresh = await in_thread(follower.fresh)
            for entry in fresh:
                if query.until is not None and times.parse(entry.time) > query.until:
                    return
                if query.wants(entry):
                    yield entry
            if last:
                return
            if not fresh:
                await asyncio.sleep(POLL_SECONDS)
    finally:
        follower.close()


def _take(entries: Iterator[LogEntry], count: int) -> list[LogEntry]:
    taken = []
    for entry in entries:
        taken.append(entry)
        if len(taken) >= count:
            break
    return taken


class _Follower:
    """The current file, held open, so that a rotation is seen as another inode under the same name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._rest = b""

    def open_past(self, query: LogQuery) -> Iterator[LogEntry]:
        """What is logged up to now; the current file stays open at that place for ``fresh``."""
        files = [open_log(path) for path in _rotated(self._path)]
        self._descriptor = open_log(self._path)
        end = os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0
        descriptors = [descriptor for descriptor in files if descriptor >= 0]
        if query.tail == 0:
            entries: Iterator[LogEntry] = iter(())
        elif query.tail is not None:
            entries = iter(self._last(descriptors, end, query))
        else:
            entries = self._whole(descriptors, end, query)
        if self._descriptor >= 0:
            os.lseek(self._descriptor, _line_boundary(self._descriptor, end), os.SEEK_SET)
        return entries

    def _whole(self, rotated: list[int], end: int, query: LogQuery) -> Iterator[LogEntry]:
        try:
            for descriptor in rotated:
                yield from filter(query.wants, _forward(descriptor, os.fstat(descriptor).st_size))
        finally:
            for descriptor in rotated:
                os.close(descriptor)
        if self._descriptor >= 0:
            yield from filter(query.wants, _forward(self._descriptor, end))

    def _last(self, rotated: list[int], end: int, query: LogQuery) -> list[LogEntry]:
        """The newest entries, read backwards file by file, so that a long log costs no more than a short one."""
        assert query.tail is not None
        found: deque[LogEntry] = deque()
        try:
            current = [(self._descriptor, end)] if self._descriptor >= 0 else []
            older = [(descriptor, os.fstat(descriptor).st_size) for descriptor in reversed(rotated)]
            for descriptor, size in (*current, *older):
                for entry in _backward(descriptor, size):
                    if query.wants(entry):
                        found.appendleft(entry)
                        if len(found) >= query.tail:
                            return list(found)
        finally:
            for descriptor in rotated:
                os.close(descriptor)
        return list(found)

    def fresh(self) -> list[LogEntry]:
        """What was written since; after a rotation the rest of the old file, then the new one."""
        entries = self._read_on()
        if self._replaced():
            entries += self._read_on()
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._rest = open_log(self._path), b""
            entries += self._read_on()
        return entries

    def _read_on(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        while self._descriptor >= 0 and (chunk := os.read(self._descriptor, READ_CHUNK)):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            entries += filter(None, map(_entry, lines))
        return entries

    def _replaced(self) -> bool:
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return self._descriptor < 0 or now.st_ino != os.fstat(self._descriptor).st_ino

    def close(self) -> None:
        """Gives the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def open_log(path: Path) -> int:
    """Opens a log for reading, never through a link and never waiting for a fifo's writer; -1 when it is not there."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1


def _rotated(path: Path) -> list[Path]:
    """Older files, oldest first: the highest number is the oldest."""
    numbered = []
    for candidate in path.parent.glob(f"{path.name}.*"):
        suffix = candidate.name[len(path.name) + 1 :]
        if suffix.isdigit():
            numbered.append((int(suffix), candidate))
    return [candidate for _, candidate in sorted(numbered, reverse=True)]


def _forward(descriptor: int, end: int) -> Iterator[LogEntry]:
    position, rest = 0, b""
    while position < end:
        chunk = os.pread(descriptor, min(READ_CHUNK, end - position), position)
        if not chunk:
            return
        position += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        yield from filter(None, map(_entry, lines))


def _backward(descriptor: int, end: int) -> Iterator[LogEntry]:
    position, rest = _line_boundary(descriptor, end), b""
    while position > 0:
        size = min(READ_CHUNK, position)
        position -= size
        first, *lines = (os.pread(descriptor, size, position) + rest).split(b"\n")
        rest = first
        yield from filter(None, map(_entry, reversed(lines)))
    if entry := _entry(rest):
        yield entry


def _line_boundary(descriptor: int, end: int) -> int:
    """The end of the last whole line at or before ``end``: the monitor may be in the middle of the next."""
    position = end
    while position > 0:
        size = min(4096, position)
        chunk = os.pread(descriptor, size, position - size)
        newline = chunk.rfind(b"\n")
        if newline >= 0:
            return position - size + newline + 1
        position -= size
    return 0


def _entry(line: bytes) -> LogEntry | None:
    """A line of the file; ``None`` for what is none (a line cut by a full disk)."""
    if not line:
        return None
    try:
        # Bytes that are no UTF-8 pass through as surrogates and come out as they went in.
        fields = json.loads(line.decode("utf-8", "surrogateescape"))
        return LogEntry(fields["stream"], fields["log"].encode("utf-8", "surrogateescape"), fields["time"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return None
