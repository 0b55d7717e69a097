"""Long operations whose progress a client watches: the operation runs as a task, its reports are the response."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

from wherry.api.http import StreamResponse
from wherry.api.image_json import error_line, progress_line
from wherry.errors import WherryError
from wherry.images.progress import Progress, ProgressEvent

KEPT_REPORTS = 2000  # for a client that reads slowly; byte counts beyond it are left out

Operation = Callable[[Progress], Awaitable[object]]

log = logging.getLogger(__name__)


class ProgressStream:
    """Runs an operation and hands out what it reports. The operation is cancelled when the client leaves."""

    def __init__(self, operation: Operation) -> None:
        self._reports: deque[ProgressEvent] = deque()
        self._news = asyncio.Event()
        self._task = asyncio.ensure_future(operation(self._report))
        self._task.add_done_callback(lambda _: self._news.set())

    def _report(self, event: ProgressEvent) -> None:
        if event.current is not None and len(self._reports) >= KEPT_REPORTS:
            return
        self._reports.append(event)
        self._news.set()

    async def response(self, *, errors_as_lines: bool = False) -> StreamResponse:
        """The response, once there is something to say.

        Errors: what the operation raises before its first report; later errors are lines of the stream, and with
        ``errors_as_lines`` all are.
        """
        try:
            await self._news.wait()
        except asyncio.CancelledError:
            await self.close()
            raise
        if self._task.done() and not self._reports and not errors_as_lines:
            self._task.result()
        return StreamResponse(self._lines(), on_close=self.close)

    async def _lines(self) -> AsyncIterator[bytes]:
        while True:
            while self._reports:
                yield progress_line(self._reports.popleft())
            if self._task.done():
                break
            self._news.clear()
            await self._news.wait()
        try:
            self._task.result()
        except WherryError as error:
            yield error_line(error)
        except Exception as error:
            log.exception("an operation failed in an unforeseen way")
            yield error_line(error)

    async def close(self) -> None:
        """Ends the operation if it still runs."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await self._task
