"""Who waits for a container: for its next exit, or for its removal."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass


@dataclass(frozen=True)
class ExitResult:
    """How a container ended."""

    exit_code: int
    error: str = ""


class Waiters:
    """Futures by container. All calls are made on the event loop's thread."""

    def __init__(self) -> None:
        self._exits: defaultdict[str, set[asyncio.Future[ExitResult]]] = defaultdict(set)
        self._removals: defaultdict[str, set[asyncio.Future[ExitResult]]] = defaultdict(set)

    def next_exit(self, container_id: str) -> asyncio.Future[ExitResult]:
        """Done at the next exit, a later restart notwithstanding, and at the latest when the container is removed."""
        return self._add(self._exits[container_id])

    def removal(self, container_id: str) -> asyncio.Future[ExitResult]:
        """Done when the container is gone; the exit code is that of its last run."""
        return self._add(self._removals[container_id])

    def exited(self, container_id: str, result: ExitResult) -> None:
        """Tells those who wait for an exit."""
        _settle(self._exits.pop(container_id, set()), result)

    def removed(self, container_id: str, result: ExitResult) -> None:
        """Tells everybody: a container that is gone will not exit any more."""
        self.exited(container_id, result)
        _settle(self._removals.pop(container_id, set()), result)

    @staticmethod
    def _add(waiting: set[asyncio.Future[ExitResult]]) -> asyncio.Future[ExitResult]:
        future: asyncio.Future[ExitResult] = asyncio.get_running_loop().create_future()
        waiting.add(future)
        future.add_done_callback(waiting.discard)
        return future


def _settle(waiting: set[asyncio.Future[ExitResult]], result: ExitResult) -> None:
    for future in tuple(waiting):
        if not future.done():
            future.set_result(result)
