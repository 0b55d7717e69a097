"""The raw stream of a connection that has left HTTP."""

from __future__ import annotations

import asyncio

from wherry.api.http import ClientDisconnected
from wherry.api.watch import DisconnectWatch

CLOSE_TIMEOUT = 2.0


class HijackedStream:
    """Implements wherry.api.http.Stream over a connection's reader and writer."""

    def __init__(self, source: DisconnectWatch, writer: asyncio.StreamWriter, first: bytes) -> None:
        self._source = source
        self._writer = writer
        self._first = first

    async def read(self, size: int = 65536) -> bytes:
        """What came with the request first, then what comes; ``b""`` when the client has closed its direction."""
        if self._first:
            data, self._first = self._first[:size], self._first[size:]
            return data
        try:
            return await self._source.read(size)
        except ConnectionError as error:
            raise ClientDisconnected(str(error)) from error

    async def write(self, data: bytes) -> None:
        """Sends, and waits until the client keeps up."""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientDisconnected(str(error)) from error

    async def close_write(self) -> None:
        """Half-closes a unix socket; TLS has no half-close, there the connection ends."""
        try:
            if self._writer.can_write_eof():
                self._writer.write_eof()
            else:
                await self.close()
        except OSError as error:
            raise ClientDisconnected(str(error)) from error

    async def close(self) -> None:
        """Sends what is left for a moment, then closes."""
        self._writer.close()
        try:
            await asyncio.wait_for(self._writer.wait_closed(), CLOSE_TIMEOUT)
        except (OSError, asyncio.TimeoutError):
            self._writer.transport.abort()
