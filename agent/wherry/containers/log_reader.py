"""Reads a container's log over its rotated files, from the end or the start, and on while it is written."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.aio import in_thread
from wherry.containers import log_files, times
from wherry.containers.log_formats import READ_CHUNK, JsonFile, LogEntry, LogFormat
from wherry.containers.log_watch import LogWatch
from wherry.containers.waiting import ExitResult

BATCH = 512
JSON_FILE = JsonFile()


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

    def patience(self) -> float | None:
        """Seconds until nothing more can come that is wanted; ``None`` without an end."""
        return None if self.until is None else max(0.0, (self.until - time.time_ns()) / times.NANOSECONDS)


@dataclass(frozen=True)
class LogSource:
    """Where a log is. ``next_exit`` is a future of the container's next exit, after which ``ended`` may say so."""

    path: Path
    format: LogFormat
    watch: LogWatch
    ended: Callable[[], bool]
    next_exit: Callable[[], asyncio.Future[ExitResult]]


async def read(source: LogSource, query: LogQuery) -> AsyncIterator[LogEntry]:
    """Entries oldest first. With ``follow`` it goes on until the container has ended and the file is read to its end.

    A follower sleeps until the kernel reports a change of the log's directory, or the container exits.
    """
    follower = _Follower(source.path, source.format)
    past = await in_thread(follower.open_past, query)
    try:
        while batch := await in_thread(_take, past, BATCH):
            for entry in batch:
                yield entry
        if not query.follow:
            return
        with source.watch.directory(source.path.parent) as changed:
            async for entry in _follow(source, query, follower, changed):
                yield entry
    finally:
        follower.close()


async def _follow(
    source: LogSource, query: LogQuery, follower: _Follower, changed: asyncio.Event
) -> AsyncIterator[LogEntry]:
    while True:
        # Asked and cleared before the read: what is written meanwhile is not lost.
        changed.clear()
        exit_, patience = source.next_exit(), query.patience()
        last = source.ended() or patience == 0
        fresh = await in_thread(follower.fresh)
        for entry in fresh:
            if query.until is not None and times.parse(entry.time) > query.until:
                return
            if query.wants(entry):
                yield entry
        if last:
            return
        await _any(changed, exit_, patience)


async def _any(changed: asyncio.Event, exit_: asyncio.Future[ExitResult], seconds: float | None) -> None:
    change = asyncio.ensure_future(changed.wait())
    waited: set[asyncio.Future[Any]] = {change, exit_}
    try:
        await asyncio.wait(waited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        change.cancel()
        exit_.cancel()


def _take(entries: Iterator[LogEntry], count: int) -> list[LogEntry]:
    taken = []
    for entry in entries:
        taken.append(entry)
        if len(taken) >= count:
            break
    return taken


class _Follower:
    """The current file, held open, so that a rotation is seen as another inode under the same name."""

    def __init__(self, path: Path, form: LogFormat) -> None:
        self._path = path
        self._format = form
        self._descriptor = -1
        self._position = 0
        self._rest = b""
        self._last_time = 0

    def open_past(self, query: LogQuery) -> Iterator[LogEntry]:
        """What is logged up to now; the current file stays open at that place for ``fresh``."""
        files = log_files.open_all(self._path)
        self._descriptor = files.current
        self._last_time = time.time_ns()
        end = 0
        if self._descriptor >= 0:
            end = self._format.boundary(self._descriptor, os.fstat(self._descriptor).st_size)
        self._position = end
        if query.tail == 0:
            files.close_rotated()
            return iter(())
        if query.tail is not None:
            return iter(self._last(files, end, query))
        return self._whole(files, end, query)

    def _whole(self, files: log_files.LogFiles, end: int, query: LogQuery) -> Iterator[LogEntry]:
        try:
            for packed in files.rotated:
                yield from filter(query.wants, self._entries_of(packed))
        finally:
            files.close_rotated()
        if self._descriptor >= 0:
            yield from filter(query.wants, _forward(self._format, self._descriptor, end))

    def _last(self, files: log_files.LogFiles, end: int, query: LogQuery) -> list[LogEntry]:
        """The newest entries, read backwards file by file, so that a long log costs no more than a short one."""
        found: deque[LogEntry] = deque()
        try:
            if self._descriptor >= 0 and self._gather(self._descriptor, end, query, found):
                return list(found)
            for packed in reversed(files.rotated):
                descriptor = log_files.plain(packed, self._path.parent)
                try:
                    size = self._format.boundary(descriptor, os.fstat(descriptor).st_size)
                    if self._gather(descriptor, size, query, found):
                        break
                finally:
                    os.close(descriptor)
        finally:
            files.close_rotated()
        return list(found)

    def _gather(self, descriptor: int, end: int, query: LogQuery, found: deque[LogEntry]) -> bool:
        """True when there are as many as were asked for."""
        for entry in self._format.backward(descriptor, end):
            if query.wants(entry):
                found.appendleft(entry)
                if len(found) == query.tail:
                    return True
        return False

    def _entries_of(self, packed: int) -> Iterator[LogEntry]:
        descriptor = log_files.plain(packed, self._path.parent)
        try:
            yield from _forward(self._format, descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def fresh(self) -> list[LogEntry]:
        """What was written since; after rotations the rest of the old file, those between, and the new one."""
        entries = self._read_on()
        while not log_files.is_current(self._path, self._descriptor):
            entries += self._read_on()
            if not self._pass_on(entries):
                break
            entries += self._read_on()
        if entries:
            self._last_time = times.parse(entries[-1].time)
        return entries

    def _pass_on(self, entries: list[LogEntry]) -> bool:
        """Goes over to the new file; False when there is none yet."""
        newest = times.parse(entries[-1].time) if entries else self._last_time
        files = log_files.open_all(self._path)
        try:
            if files.current < 0:
                return False
            for packed in files.rotated:
                # Of a file that came and went since the last look every entry is newer than what is known.
                between = self._entries_of(packed)
                first = next(between, None)
                if first is not None and times.parse(first.time) > newest:
                    entries += [first, *between]
        finally:
            files.close_rotated()
        self.close()
        self._descriptor, self._position, self._rest = files.current, 0, b""
        return True

    def _read_on(self) -> list[LogEntry]:
        entries: list[LogEntry] = []
        if self._descriptor >= 0 and os.fstat(self._descriptor).st_size < self._position:
            self._position, self._rest = 0, b""  # a log of one file is emptied, not rotated
        while self._descriptor >= 0 and (chunk := os.pread(self._descriptor, READ_CHUNK, self._position)):
            self._position += len(chunk)
            whole, self._rest = self._format.split(self._rest + chunk)
            entries += whole
        return entries

    def close(self) -> None:
        """Gives the file back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _forward(form: LogFormat, descriptor: int, end: int) -> Iterator[LogEntry]:
    position, rest = 0, b""
    while position < end:
        chunk = os.pread(descriptor, min(READ_CHUNK, end - position), position)
        if not chunk:
            return
        position += len(chunk)
        entries, rest = form.split(rest + chunk)
        yield from entries
