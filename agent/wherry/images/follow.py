"""Unpacking a layer while its blob still arrives: one pass over the bytes does verifying, decompressing and unpacking.

The download writes into the blob's file and never waits for the unpacking, which follows in the file's pages at its own
pace. Nothing of the layer is seen before the digests of the whole blob and of what is in it are as they should be.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wherry.aio import in_thread, in_thread_of_its_own
from wherry.errors import SystemFailure, WherryError

if TYPE_CHECKING:
    from wherry.native import LayerSummary

PIECE = 1024 * 1024  # bytes that go from the file into the pipe at once, by reference
REPORT_SECONDS = 0.1


class _Left(Exception):
    """Nobody wants the layer any more."""


class Follower:
    """Unpacks one growing file into a directory of its own, in threads."""

    def __init__(self, source: Path, target: Path, max_bytes: int, max_entries: int) -> None:
        self._source = source
        self._target = target
        self._limits = {"max_bytes": max_bytes, "max_entries": max_entries}
        self._news = threading.Condition()
        self._there = 0
        self._ended = False
        self._left = False
        self.taken = 0
        self.outcome: asyncio.Future[LayerSummary] = in_thread_of_its_own(self._run)

    def advance(self, size: int) -> None:
        """Says that the file has so many bytes now."""
        with self._news:
            self._there = size
            self._news.notify()

    async def finish(self, report: Callable[[int], None]) -> LayerSummary:
        """No more bytes come: waits until all are unpacked. ``report`` is told now and then how many are.

        Errors: what made the unpacking fail, perhaps long ago.
        """
        with self._news:
            self._ended = True
            self._news.notify()
        while not self.outcome.done():
            report(self.taken)
            await asyncio.wait([self.outcome], timeout=REPORT_SECONDS)
        return self.outcome.result()

    async def leave(self) -> None:
        """Ends it without a result; nothing is written afterwards."""
        with self._news:
            self._left = self._ended = True
            self._news.notify()
        await asyncio.wait([self.outcome])

    def _run(self) -> LayerSummary:
        from wherry import native

        self._target.parent.mkdir(mode=0o710)
        self._target.mkdir(mode=0o755)
        source = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            with native.LayerUnpacker(self._target, **self._limits) as unpacker:
                self._feed(source, unpacker.fileno())
                return unpacker.finish()
        finally:
            os.close(source)

    def _feed(self, source: int, pipe: int) -> None:
        while there := self._wait():
            try:
                self.taken += os.splice(source, pipe, min(there - self.taken, PIECE), offset_src=self.taken)
            except BrokenPipeError:
                return  # the unpacker's own error says why

    def _wait(self) -> int:
        """How far the file goes, once that is further than before; 0 at its end."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._there > self.taken)
            if self._left:
                raise _Left
            return self._there if self._there > self.taken else 0


@dataclass(frozen=True)
class Allowance:
    """How many bytes and members may come out of a blob; ``why`` is what to say of too many bytes, if not that."""

    bytes: int
    entries: int
    why: str = ""


class Unpacking:
    """The unpacking of one blob on its way, begun anew when the bytes so far turn out to be worth nothing."""

    def __init__(
        self,
        temporary: Callable[[], Path],
        allowed: Callable[[], Allowance],
        discard: Callable[[Path], None],
        report: Callable[[int], None],
    ) -> None:
        self._temporary = temporary
        self._allowed = allowed
        self._discard = discard
        self._report = report
        self._follower: Follower | None = None
        self._allowance = Allowance(0, 0)
        self.directory: Path | None = None
        self.summary: LayerSummary | None = None
        self.error: WherryError | None = None

    def begin(self, source: Path) -> None:
        """Starts at the beginning of a file. Errors: ``SystemFailure`` when there is no space at all."""
        self.summary, self.error = None, None
        self.directory = self._temporary()
        self._allowance = self._allowed()
        self._follower = Follower(source, self.directory / "diff", self._allowance.bytes, self._allowance.entries)

    def advance(self, size: int) -> None:
        """Says that the file has so many bytes now."""
        assert self._follower is not None
        self._follower.advance(size)

    async def digest(self) -> str | None:
        """The blob's digest, when all of it is there; ``None`` when the unpacking failed before its end."""
        assert self._follower is not None
        try:
            self.summary = await self._follower.finish(self._report)
        except WherryError as error:
            too_large = getattr(error, "errno", 0) == errno.EFBIG
            self.error = SystemFailure(self._allowance.why) if too_large and self._allowance.why else error
            return None
        except OSError as error:
            self.error = SystemFailure(f"cannot unpack a layer: {error.strerror}")
            return None
        return self.summary.digest

    def take(self) -> tuple[Path, LayerSummary]:
        """The directory and what is in it; it belongs to the caller now. Errors: what made the unpacking fail."""
        if self.error is not None:
            raise self.error
        assert self.summary is not None and self.directory is not None
        directory, self.directory = self.directory, None
        return directory, self.summary

    async def leave(self) -> None:
        """Ends it and removes what nobody has taken."""
        follower, self._follower = self._follower, None
        directory, self.directory = self.directory, None
        if follower is not None:
            await follower.leave()
        if directory is not None:
            await in_thread(self._discard, directory)
