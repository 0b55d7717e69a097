"""WebSocket (RFC 6455) over a hijacked connection: the handshake, and frames as the two directions of a stream.

Only ``GET /containers/{id}/attach/ws`` speaks it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, RemoteProtocolError, generate_accept_token

from wherry.api.http import ClientDisconnected, Stream
from wherry.errors import InvalidParameter

VERSION = "13"
LEAVE_SECONDS = 2.0
KEY_LENGTH = 24
"""Sixteen bytes in base64."""


def accept(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of the answer, beside 101. ``InvalidParameter`` for what is no handshake (section 4.2)."""
    key = headers.get("sec-websocket-key", "")
    if headers.get("upgrade", "").lower() != "websocket" or len(key) != KEY_LENGTH or not key.isascii():
        raise InvalidParameter("not a WebSocket handshake", field="Upgrade", value=headers.get("upgrade", ""),
                               allowed="websocket, with Sec-WebSocket-Key")  # fmt: skip
    if headers.get("sec-websocket-version") != VERSION:
        given = headers.get("sec-websocket-version", "")
        raise InvalidParameter("is not supported", field="Sec-WebSocket-Version", value=given, allowed=VERSION)
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": generate_accept_token(key.encode("ascii")).decode("ascii"),
    }


class WebSocketStream:
    """Implements ``wherry.api.http.Stream``: each read is (part of) a message, each write is one.

    Closing has no halves here: a client that says so has left.
    """

    def __init__(self, stream: Stream, *, text: bool) -> None:
        self._stream = stream
        self._text = text
        self._frames = Connection(ConnectionType.SERVER)
        self._received = bytearray()

    async def read(self, size: int = 65536) -> bytes:
        """What the client sent; ``b""`` when the connection ends without a word."""
        while not self._received:
            data = await self._stream.read(size)
            if not data:
                return b""
            await self._take(data)
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def write(self, data: bytes) -> None:
        """Sends one message."""
        message = TextMessage(data.decode("utf-8", "replace")) if self._text else BytesMessage(data)
        await self._send(message)

    async def close_write(self) -> None:
        """Takes leave; the client closes the connection in answer."""
        await self._send(CloseConnection(CloseReason.NORMAL_CLOSURE))

    async def close(self) -> None:
        """Takes leave, waits a moment for the client to do so (section 7.1.1), and ends the connection."""
        with contextlib.suppress(ClientDisconnected, asyncio.TimeoutError):
            await self.close_write()
            await asyncio.wait_for(self._until_left(), LEAVE_SECONDS)
        await self._stream.close()

    async def _until_left(self) -> None:
        while await self.read():
            self._received.clear()

    async def _take(self, data: bytes) -> None:
        try:
            self._frames.receive_data(data)
            for event in self._frames.events():
                if isinstance(event, Message):
                    content = event.data
                    self._received += content.encode() if isinstance(content, str) else content
                elif isinstance(event, Ping):
                    await self._send(event.response())
                elif isinstance(event, CloseConnection):
                    if self._frames.state is not ConnectionState.CLOSED:  # it answers ours
                        await self._send(event.response())
                    raise ClientDisconnected("the client closed its WebSocket")
        except RemoteProtocolError as error:
            raise ClientDisconnected(f"not WebSocket: {error}") from error

    async def _send(self, event: Event) -> None:
        try:
            data = self._frames.send(event)
        except LocalProtocolError as error:
            raise ClientDisconnected("the WebSocket is closed") from error
        await self._stream.write(data)
