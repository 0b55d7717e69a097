"""Progress of long operations, in the steps that Docker's clients show, and work that several callers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

DETAIL_SECONDS = 0.1  # between two reports of the same download
SHORT_ID = 12


@dataclass(frozen=True)
class ProgressEvent:
    """One report. ``id`` names a layer or "", ``current`` and ``total`` are bytes where they are known.

    ``aux`` carries what programs read, as pairs: the digest of a push, the ID of a loaded image.
    """

    status: str = ""
    id: str = ""
    current: int | None = None
    total: int | None = None
    stream: str = ""
    aux: tuple[tuple[str, str | int], ...] = ()


Progress = Callable[[ProgressEvent], None]


def ignore(_event: ProgressEvent) -> None:
    """The progress of somebody who does not watch."""


def short(digest: str) -> str:
    """The first twelve digits of a digest or ID."""
    return digest.removeprefix("sha256:")[:SHORT_ID]


class Throttle:
    """Passes reports of a byte count on, at most one in ``DETAIL_SECONDS``."""

    def __init__(self, progress: Progress, status: str, name: str, total: int) -> None:
        self._progress = progress
        self._status = status
        self._name = name
        self._total = total
        self._next = 0.0

    def report(self, current: int) -> None:
        """Says how many bytes are done."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + DETAIL_SECONDS
            self._progress(ProgressEvent(self._status, self._name, current, self._total))


async def watched(chunks: AsyncIterator[bytes], progress: Progress, status: str) -> AsyncIterator[bytes]:
    """The same stream, with reports of how much of it has come; nobody knows how much there will be."""
    done, following = 0, 0.0
    async for piece in chunks:
        done += len(piece)
        if time.monotonic() >= following:
            following = time.monotonic() + DETAIL_SECONDS
            progress(ProgressEvent(status, "", done))
        yield piece


@dataclass
class _Job(Generic[T]):
    task: asyncio.Task[T]
    listeners: list[Progress]
    waiting: int = 0
    doomed: bool = False


class SharedWork(Generic[T]):
    """Work under keys: who asks for a key that is being worked on waits for the same result.

    The work is cancelled when the last of those who wait has gone.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, _Job[T]] = {}

    def busy(self, key: str) -> bool:
        """Whether somebody works under this key."""
        return key in self._jobs

    async def run(self, key: str, work: Callable[[Progress], Awaitable[T]], progress: Progress) -> T:
        """The result of ``work``, started here or by another caller; both see its progress."""
        while (job := self._jobs.get(key)) is not None and job.doomed:
            await asyncio.wait([job.task])  # the same file is written by one at a time
        if job is None:
            job = self._start(key, work)
        job.listeners.append(progress)
        job.waiting += 1
        try:
            return await asyncio.shield(job.task)
        finally:
            job.waiting -= 1
            job.listeners.remove(progress)
            if not job.waiting and not job.task.done():
                job.doomed = True
                job.task.cancel()

    def _start(self, key: str, work: Callable[[Progress], Awaitable[T]]) -> _Job[T]:
        listeners: list[Progress] = []

        def tell(event: ProgressEvent) -> None:
            for listener in tuple(listeners):
                listener(event)

        async def body() -> T:
            return await work(tell)

        job = _Job(asyncio.create_task(body()), listeners)
        self._jobs[key] = job
        job.task.add_done_callback(lambda task: self._finished(key, task))
        return job

    def _finished(self, key: str, task: asyncio.Task[T]) -> None:
        del self._jobs[key]
        if not task.cancelled():
            task.exception()  # seen, also when everybody who waited has gone
