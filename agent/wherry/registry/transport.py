"""HTTP/1.1 towards registries, over asyncio and h11: connections that are kept, proxies, and no way to hang.

Every wait has its limit: connecting (with name resolution and TLS), waiting for the answer's head, and reading the
body, where a trickle that stays below ``TRICKLE_BYTES`` in the idle time counts as silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

import h11

from wherry import __version__
from wherry.registry import tls
from wherry.registry.dialing import Destination, dial, proxy_authorization, reason
from wherry.registry.errors import BadAnswer, Refused, TlsMismatch, Unreachable
from wherry.registry.proxies import Proxy, ProxySettings
from wherry.registry.tls import TlsSettings
from wherry.registry.url import Url

READ_SIZE = 256 * 1024
HEAD_MAX = 64 * 1024
TRICKLE_BYTES = 4 * 1024
IDLE_KEPT_SECONDS = 20.0
IDLE_KEPT_CONNECTIONS = 4
DISCARD_MAX = 64 * 1024  # bytes of an unwanted body that are read to keep the connection

T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """Limits in seconds."""

    connect: float = 10.0
    answer: float = 60.0
    idle: float = 30.0


@dataclass(frozen=True)
class Request:
    """One request. ``guarded`` refuses link-local addresses: the URL came from a registry, not from the operator;
    ``direct`` asks for no proxy.
    """

    method: str
    url: Url
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None
    stream_length: int = 0
    settings: TlsSettings = field(default_factory=TlsSettings)
    timeouts: Timeouts = field(default_factory=Timeouts)
    guarded: bool = False
    direct: bool = False


class Response:
    """The head of an answer, and its body as it arrives. Close it, or read it to the end."""

    def __init__(self, connection: _Connection, pool: HttpClient, request: Request, head: h11.Response) -> None:
        self.status = head.status_code
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in head.headers}
        self.all_headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in head.headers]
        self.url = request.url
        self._connection: _Connection | None = connection
        self._pool = pool
        self._request = request

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, a piece at a time.

        Errors: ``Unreachable`` when it stops arriving or ends early.
        """
        connection = self._connection
        if connection is None:
            return
        try:
            async for piece in connection.body(self._request):
                yield piece
            self._connection = None
            self._pool.keep(self._request, connection)
        finally:
            if self._connection is not None:
                self._connection = None
                connection.close()

    async def read(self, limit: int) -> bytes:
        """The whole body; more than ``limit`` bytes of it are an error."""
        pieces, size = [], 0
        async for piece in self.chunks():
            size += len(piece)
            if size > limit:
                raise BadAnswer(f"{self.url}: the answer is longer than {limit} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    async def discard(self) -> None:
        """Reads a short body so that the connection can be kept; closes it when there is more."""
        with contextlib.suppress(BadAnswer, Unreachable):
            await self.read(DISCARD_MAX)

    def close(self) -> None:
        """Gives the connection up."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class HttpClient:
    """Sends requests and keeps connections for the next ones."""

    def __init__(self, proxies: ProxySettings) -> None:
        self.proxies = proxies
        self._idle: dict[object, list[tuple[float, _Connection]]] = {}

    async def send(self, request: Request) -> Response:
        """Sends a request and waits for the head of the answer.

        A connection that was kept may have been closed by the other side meanwhile: the request is then sent once
        more on a new one, unless its body was a stream.
        Errors: ``Unreachable`` and its kind ``TlsMismatch``, ``Refused``.
        """
        kept = self._take(request) if request.stream is None else None
        if kept is not None:
            with contextlib.suppress(Unreachable):
                return await self._exchange(kept, request)
        connection = await _connect(request, None if request.direct else self.proxies.choose(request.url))
        return await self._exchange(connection, request)

    async def _exchange(self, connection: _Connection, request: Request) -> Response:
        try:
            await connection.write_request(request)
            head = await connection.read_head(request)
        except BaseException:
            connection.close()
            raise
        return Response(connection, self, request, head)

    def _take(self, request: Request) -> _Connection | None:
        kept = self._idle.get(_key(request), [])
        while kept:
            since, connection = kept.pop()
            if time.monotonic() - since < IDLE_KEPT_SECONDS and connection.usable():
                return connection
            connection.close()
        return None

    def keep(self, request: Request, connection: _Connection) -> None:
        """Takes a connection back when its exchange ended cleanly."""
        kept = self._idle.setdefault(_key(request), [])
        if connection.ready_again() and len(kept) < IDLE_KEPT_CONNECTIONS:
            kept.append((time.monotonic(), connection))
        else:
            connection.close()

    def close(self) -> None:
        """Closes what is kept."""
        for kept in self._idle.values():
            for _, connection in kept:
                connection.close()
        self._idle.clear()


def _key(request: Request) -> object:
    return request.url.origin, request.settings, request.guarded


class _Connection:
    """One TCP or TLS connection with its HTTP state."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, absolute: bool, extra: str) -> None:
        self._reader = reader
        self._writer = writer
        self._absolute = absolute  # a plain HTTP proxy wants the whole URL
        self._proxy_authorization = extra
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)

    def usable(self) -> bool:
        """Whether the other side has not closed it."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def ready_again(self) -> bool:
        """Whether another request can follow; prepares for it."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return self.usable()

    def close(self) -> None:
        """Drops the connection without waiting."""
        with contextlib.suppress(OSError, RuntimeError):
            self._writer.close()

    async def write_request(self, request: Request) -> None:
        url = request.url
        headers = [("Host", url.authority), ("User-Agent", f"wherry/{__version__}"), *request.headers]
        length = request.stream_length if request.stream is not None else len(request.body)
        if length or request.method in ("POST", "PUT", "PATCH"):
            headers.append(("Content-Length", str(length)))
        if self._proxy_authorization:
            headers.append(("Proxy-Authorization", self._proxy_authorization))
        target = f"{url.scheme}://{url.authority}{url.target}" if self._absolute else url.target
        await self._send(h11.Request(method=request.method, target=target, headers=headers), request)
        if request.stream is not None:
            async for piece in request.stream:
                await self._send(h11.Data(data=piece), request)
        elif request.body:
            await self._send(h11.Data(data=request.body), request)
        await self._send(h11.EndOfMessage(), request)

    async def _send(self, event: h11.Event, request: Request) -> None:
        try:
            data = self._http.send(event)
            if data:
                self._writer.write(data)
                await _within(self._writer.drain(), request.timeouts.idle, f"{request.url}: sending stalled")
        except h11.LocalProtocolError as error:
            raise Refused(f"{request.url}: {error}") from error
        except OSError as error:
            raise Unreachable(f"{_named(request)}: {reason(error)}") from error

    async def read_head(self, request: Request) -> h11.Response:
        return await _within(
            self._head(request),
            request.timeouts.answer,
            f"{_named(request)}: no answer in {request.timeouts.answer:g} s",
        )

    async def _head(self, request: Request) -> h11.Response:
        while True:
            event = await self._event(request)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise Unreachable(f"{_named(request)}: EOF")

    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The pieces of the body up to its end."""
        idle = request.timeouts.idle
        window_end, window_bytes = time.monotonic() + idle, 0
        while True:
            event = await _within(self._event(request), idle, f"{_named(request)}: nothing arrived for {idle:g} s")
            if isinstance(event, h11.EndOfMessage):
                return
            if not isinstance(event, h11.Data):
                raise Unreachable(f"{_named(request)}: unexpected EOF")
            window_bytes += len(event.data)
            if window_bytes >= TRICKLE_BYTES:
                window_end, window_bytes = time.monotonic() + idle, 0
            elif time.monotonic() > window_end:
                raise Unreachable(f"{_named(request)}: less than {TRICKLE_BYTES} bytes arrived in {idle:g} s")
            yield bytes(event.data)

    async def _event(self, request: Request) -> object:
        try:
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._http.receive_data(await self._reader.read(READ_SIZE))
        except h11.RemoteProtocolError as error:
            raise Unreachable(f"{_named(request)}: malformed HTTP answer: {error}") from error
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(f"{_named(request)}: {reason(error)}") from error


async def _connect(request: Request, proxy: Proxy | None) -> _Connection:
    return await _within(
        _open(request, proxy),
        request.timeouts.connect,
        f"{_named(request)}: dial tcp {request.url.authority}: i/o timeout",
    )


async def _open(request: Request, proxy: Proxy | None) -> _Connection:
    raw = await dial(Destination(request.url, _named(request), request.guarded), proxy)
    try:
        reader, writer = await _streams(raw, request)
    except BaseException:
        raw.close()
        raise
    plain_proxy = proxy is not None and not proxy.is_socks and request.url.scheme == "http"
    return _Connection(reader, writer, plain_proxy, proxy_authorization(proxy) if proxy and plain_proxy else "")


async def _streams(raw: socket.socket, request: Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if request.url.scheme == "http":
        return await asyncio.open_connection(sock=raw, limit=READ_SIZE)
    secured = tls.context(request.settings, tls.stamp(request.settings))
    try:
        return await asyncio.open_connection(sock=raw, ssl=secured, server_hostname=request.url.host, limit=READ_SIZE)
    except ssl.SSLCertVerificationError as error:
        raise Unreachable(f"{_named(request)}: tls: failed to verify certificate: {error.verify_message}") from error
    except (ssl.SSLError, ConnectionError) as error:
        if isinstance(error, ConnectionError) or error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
            message = "http: server gave HTTP response to HTTPS client"
            raise TlsMismatch(f"{_named(request)}: {message}") from error
        raise Unreachable(f"{_named(request)}: tls: {error.reason or error}") from error


async def _within(work: Awaitable[T], seconds: float, message: str) -> T:
    try:
        return await asyncio.wait_for(work, seconds)
    except asyncio.TimeoutError:
        raise Unreachable(message) from None


def _named(request: Request) -> str:
    return f'{request.method.capitalize()} "{request.url}"'
