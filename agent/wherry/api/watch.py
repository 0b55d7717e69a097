"""Noticing that a client has left while its request is being worked on."""

from __future__ import annotations

import asyncio
import select
import socket
from collections import deque
from collections.abc import Callable

READ_SIZE = 65536
READ_AHEAD_LIMIT = 262144
HALF_CLOSED_POLL_SECONDS = 1.0


class DisconnectWatch:
    """Reads ahead while a handler works, because the end of the input is the only sign of a client that left.

    What it reads meanwhile (a next request, the first bytes of a hijacked stream) is handed out by ``read`` later. A
    unix socket's client that has only closed its sending direction still waits for its response and is not gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._socket: socket.socket | None = writer.get_extra_info("socket")
        self._is_unix = self._socket is not None and self._socket.family == socket.AF_UNIX
        self._ahead: deque[bytes] = deque()
        self._ahead_size = 0
        self._task: asyncio.Task[None] | None = None
        self.disconnected = False

    async def read(self, size: int = READ_SIZE) -> bytes:
        """The next bytes from the client, ``b""`` at the end of its input. Not while a watch is on."""
        if self._ahead:
            data = self._ahead.popleft()
            if len(data) > size:
                self._ahead.appendleft(data[size:])
                data = data[:size]
            self._ahead_size -= len(data)
            return data
        return await self._reader.read(size)

    def start(self, on_disconnect: Callable[[], object] | None) -> None:
        """Watches until ``pause``; calls ``on_disconnect`` when the client has left."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._watch(on_disconnect))

    async def pause(self) -> None:
        """Ends the watch; what it has read ahead is kept."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.wait([task])

    async def stop(self) -> None:
        """The same, for good."""
        await self.pause()

    async def _watch(self, on_disconnect: Callable[[], object] | None) -> None:
        try:
            while self._ahead_size < READ_AHEAD_LIMIT:
                data = await self._reader.read(READ_SIZE)
                if not data:
                    break
                self._ahead.append(data)
                self._ahead_size += len(data)
            else:
                return
            # No event tells that a half-closed peer closes the rest as well while nothing is written to it.
            while self._is_unix and not self._hung_up():  # noqa: ASYNC110
                await asyncio.sleep(HALF_CLOSED_POLL_SECONDS)
        except ConnectionError:
            pass
        self.disconnected = True
        if on_disconnect is not None:
            on_disconnect()

    def _hung_up(self) -> bool:
        """Whether both directions of the unix socket are closed by its client (poll(2): POLLHUP)."""
        if self._socket is None or self._socket.fileno() < 0:
            return True
        poller = select.poll()
        poller.register(self._socket.fileno(), 0)
        return any(events & (select.POLLHUP | select.POLLERR) for _, events in poller.poll(0))
