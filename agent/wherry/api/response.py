"""The kinds of response that a handler can give."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

RAW_STREAM = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM = "application/vnd.docker.multiplexed-stream"
JSON = "application/json"

Closer = Callable[[], Awaitable[None]]


class Stream(Protocol):
    """The two directions of a connection that has left HTTP."""

    async def read(self, size: int = 65536) -> bytes:
        """What the client sent, at most ``size`` bytes; ``b""`` when it has closed its direction."""

    async def write(self, data: bytes) -> None:
        """Sends; waits while the client is slow. Raises ClientDisconnected when it has gone."""

    async def close_write(self) -> None:
        """Tells the client that nothing more comes; what it sends can still be read."""

    async def close(self) -> None:
        """Ends the connection."""


@dataclass(frozen=True)
class JsonResponse:
    """A JSON document."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def encoded(self) -> bytes:
        """The document as bytes, ended by a newline as Docker's are."""
        return json.dumps(self.body, separators=(",", ":")).encode() + b"\n"


@dataclass(frozen=True)
class RawResponse:
    """A body of any type, held in memory."""

    body: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EmptyResponse:
    """A status and nothing else."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StreamResponse:
    """A body of unknown length. The head is sent at once, before the first chunk is asked for.

    What can go wrong must be raised before the response is returned; an exception out of ``chunks`` cuts the
    connection, so that the client sees an incomplete body. ``on_close`` is awaited exactly once, however it ends.
    """

    chunks: AsyncIterator[bytes]
    content_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    on_close: Closer | None = None


@dataclass(frozen=True)
class UpgradeResponse:
    """Hands the connection over: 101 UPGRADED to a client that asked for an upgrade, 200 to any other.

    ``handler`` owns the stream until it returns; then the connection is closed. ``on_close`` is awaited exactly once,
    also when the client has gone before the handler could be called. ``switch`` are the headers of a protocol that has
    a handshake of its own: they follow 101 Switching Protocols in the place of all others.
    """

    handler: Callable[[Stream], Awaitable[None]]
    content_type: str = RAW_STREAM
    on_close: Closer | None = None
    switch: Mapping[str, str] = field(default_factory=dict)


Response = JsonResponse | RawResponse | EmptyResponse | StreamResponse | UpgradeResponse
