"""One client's connection: requests read, handled and answered one after the other, by h11's rules."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11

from wherry.api.guard import announces_body, has_ambiguous_length
from wherry.api.hijack import HijackedStream
from wherry.api.http import (
    ClientDisconnected,
    EmptyResponse,
    JsonResponse,
    Peer,
    RawResponse,
    Response,
    StreamResponse,
    UpgradeResponse,
)
from wherry.api.watch import DisconnectWatch
from wherry.errors import InvalidParameter, WherryError

if TYPE_CHECKING:
    from wherry.api.dispatch import Dispatcher, Exchange

log = logging.getLogger(__name__)

HEAD_LIMIT = 128 * 1024
HEAD_TIMEOUT = 20.0
IDLE_TIMEOUT = 300.0
BODY_TIMEOUT = 600.0
WRITE_TIMEOUT = 120.0
CUT_TIMEOUT = 10.0
UNREAD_BODY_LIMIT = 1024 * 1024
UNREAD_BODY_TIMEOUT = 5.0
LINGER_TIMEOUT = 1.0


class Connection:
    """Serves one client until it leaves, misbehaves, hijacks the connection, or the server stops."""

    def __init__(
        self, dispatcher: Dispatcher, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
    ) -> None:
        self._dispatcher = dispatcher
        self._reader = reader
        self._writer = writer
        self._peer = peer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_LIMIT)
        self._watch = DisconnectWatch(reader, writer)
        self._stopping = False
        self._on_body_end: Callable[[], None] | None = None
        self.busy = False
        self.streaming = False

    def stop(self) -> None:
        """No further request is read after the one that is being answered."""
        self._stopping = True

    async def serve(self) -> None:
        """Answers requests until the connection ends; raises nothing but cancellation."""
        try:
            while not self._stopping and await self._serve_one():
                self._http.start_next_cycle()
        except (ClientDisconnected, ConnectionError, TimeoutError, asyncio.TimeoutError):
            log.debug("client %s went away", self._peer)
        except h11.LocalProtocolError:
            log.exception("a response broke HTTP's rules")
        finally:
            await self._watch.stop()
            self._writer.close()

    async def _serve_one(self) -> bool:
        """One request; whether the connection can be used for another."""
        try:
            head = await self._read_head()
        except h11.RemoteProtocolError as error:
            await self._refuse(str(error), error.error_status_hint)
            return False
        except (TimeoutError, asyncio.TimeoutError):
            return False
        if head is None:
            return False
        if has_ambiguous_length(head):
            await self._refuse("Transfer-Encoding beside Content-Length, or in HTTP/1.0", 400)
            return False
        self.busy = True
        try:
            return await self._answer(head)
        finally:
            self.busy = False

    async def _read_head(self) -> h11.Request | None:
        """The next request's head, None when the client has left; a head that has begun must be there soon."""
        timeout = IDLE_TIMEOUT
        deadline: float | None = None
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None
            if deadline is not None:
                timeout = max(deadline - asyncio.get_running_loop().time(), 0)
            data = await self._read(timeout)
            if not data and deadline is None:
                return None
            if deadline is None:
                deadline = asyncio.get_running_loop().time() + HEAD_TIMEOUT
            self._http.receive_data(data)

    async def _read(self, timeout: float) -> bytes:
        """What comes next; TimeoutError after ``timeout`` seconds, after which the connection is of no use.

        The reader itself is told of the time that is over: wait_for would make a task for each piece.
        """
        over = asyncio.get_running_loop().call_later(timeout, self._reader.set_exception, asyncio.TimeoutError())
        try:
            return await self._watch.read()
        finally:
            over.cancel()

    async def _answer(self, head: h11.Request) -> bool:
        has_body = announces_body(head.headers)
        if not has_body:
            self._http.next_event()  # the end of a body that is not there
        exchange = self._dispatcher.exchange(head, self._peer, self._body() if has_body else None)
        response = await self._until_done(exchange)
        if response is None:
            return False
        # A client that still waits to be asked for its body may send it or not: nothing can follow.
        unasked = self._http.they_are_waiting_for_100_continue
        await self._send(exchange, response)
        return not unasked and await self._finish()

    async def _until_done(self, exchange: Exchange) -> Response | None:
        """The handler's response; None when the client left and the handler was one that may be cut short."""
        if not exchange.can_be_cut:
            return await exchange.run()  # to its end, whoever leaves
        work = asyncio.ensure_future(exchange.run())
        try:
            # Most have nothing to wait for and are done now, before anybody could have left.
            await asyncio.sleep(0)
            if not work.done():
                self._watch_from_body_end(work.cancel)
            return await work
        except asyncio.CancelledError:
            # What the handler takes back on its way out is done before anybody else goes on.
            work.cancel()
            await asyncio.wait([work], timeout=CUT_TIMEOUT)
            if self._watch.disconnected:
                return None
            raise
        finally:
            await self._watch.pause()

    def _watch_from_body_end(self, on_disconnect: Callable[[], object] | None) -> None:
        """Looks out for the client's leaving as soon as nothing of the request is left to be read."""
        if self._http.their_state is h11.SEND_BODY:
            self._on_body_end = lambda: self._watch.start(on_disconnect)
        else:
            self._watch.start(on_disconnect)

    # -- the request's body

    async def _body(self) -> AsyncIterator[bytes]:
        """The chunks of the body; the first asks a client that waits for it to go on."""
        if self._http.they_are_waiting_for_100_continue:
            informational = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            await self._write(self._http.send(informational))
        while True:
            event = await self._body_event()
            if not isinstance(event, h11.Data):
                break
            yield bytes(event.data)
        if self._on_body_end is not None:
            self._on_body_end()

    async def _body_event(self) -> object:
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                raise InvalidParameter(f"malformed request body: {error}") from error
            if event is not h11.NEED_DATA:
                return event
            try:
                data = await self._read(BODY_TIMEOUT)
            except (ConnectionError, TimeoutError, asyncio.TimeoutError) as error:
                raise ClientDisconnected(f"the request body stopped coming: {error}") from error
            if not data:
                raise ClientDisconnected("the client left in the middle of its request body")
            self._http.receive_data(data)

    async def _finish(self) -> bool:
        """Reads what the handler left of the body, when it is little; whether another request can follow."""
        self._on_body_end = None
        if self._http.their_state is h11.SEND_BODY:
            with contextlib.suppress(InvalidParameter, asyncio.TimeoutError):
                await asyncio.wait_for(self._skip_body(UNREAD_BODY_LIMIT), UNREAD_BODY_TIMEOUT)
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    # -- the response

    async def _send(self, exchange: Exchange, response: Response) -> None:
        if isinstance(response, UpgradeResponse):
            await self._hijack(exchange, response)
        elif isinstance(response, StreamResponse):
            await self._send_stream(exchange, response)
        else:
            await self._send_whole(exchange, response)

    async def _send_whole(self, exchange: Exchange, response: JsonResponse | RawResponse | EmptyResponse) -> None:
        headers = exchange.response_headers(response.headers)
        body = b""
        if isinstance(response, JsonResponse):
            body = response.encoded()
            headers.append(("Content-Type", "application/json"))
        elif isinstance(response, RawResponse):
            body = response.body
            headers.append(("Content-Type", response.content_type))
        if response.status not in {204, 304}:
            headers.append(("Content-Length", str(len(body))))
        if self._stopping:
            headers.append(("Connection", "close"))
        data = self._head(response.status, headers)
        if body and not exchange.is_head:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size():
            await asyncio.wait_for(self._writer.drain(), WRITE_TIMEOUT)

    async def _send_stream(self, exchange: Exchange, response: StreamResponse) -> None:
        """The head at once, then the chunks; the client's leaving ends the source of the chunks."""
        headers = exchange.response_headers(response.headers)
        headers.append(("Content-Type", response.content_type))
        self.streaming = True
        sending = asyncio.ensure_future(self._pump(exchange, response, headers))
        try:
            self._watch_from_body_end(sending.cancel)
            await sending
        except asyncio.CancelledError:
            sending.cancel()
            await asyncio.wait([sending])
            if not self._watch.disconnected:
                raise
            raise ClientDisconnected("the client left a streamed response") from None
        finally:
            self.streaming = False
            await self._watch.pause()
            if response.on_close is not None:
                await response.on_close()

    async def _pump(self, exchange: Exchange, response: StreamResponse, headers: list[tuple[str, str]]) -> None:
        chunks = response.chunks
        try:
            await self._write(self._head(response.status, headers))
            if not exchange.is_head:
                async for chunk in chunks:
                    if chunk:
                        await self._write(self._http.send(h11.Data(data=chunk)))
            await self._write(self._http.send(h11.EndOfMessage()))
        except (ClientDisconnected, ConnectionError):
            raise
        except Exception as error:
            if not isinstance(error, WherryError):
                log.exception("%s %s failed while its response was being sent", exchange.method, exchange.path)
            raise ClientDisconnected(f"cut off: {error}") from error
        finally:
            close: Callable[[], Awaitable[None]] | None = getattr(chunks, "aclose", None)
            if close is not None:
                await close()

    async def _hijack(self, exchange: Exchange, response: UpgradeResponse) -> None:
        """Leaves HTTP: the status line by hand, then the handler has both directions."""
        self.streaming = True
        stream = HijackedStream(self._watch, self._writer, b"")
        try:
            await self._skip_body(UNREAD_BODY_LIMIT)
            rest, _ = self._http.trailing_data
            stream = HijackedStream(self._watch, self._writer, bytes(rest))
            await self._write(exchange.hijack_head(response))
            await response.handler(stream)
        except (ClientDisconnected, ConnectionError):
            log.debug("client left %s", exchange.path)
        except WherryError as error:
            log.warning("%s %s: %s", exchange.method, exchange.path, error)
        except Exception:
            log.exception("%s %s failed on a hijacked connection", exchange.method, exchange.path)
        finally:
            if response.on_close is not None:
                await response.on_close()
            await stream.close()
        raise ClientDisconnected("a hijacked connection has ended")

    async def _skip_body(self, limit: int) -> None:
        while self._http.their_state is h11.SEND_BODY and limit > 0:
            event = await self._body_event()
            limit -= len(event.data) if isinstance(event, h11.Data) else 0

    def _head(self, status: int, headers: list[tuple[str, str]]) -> bytes:
        reason = HTTPStatus(status).phrase
        return self._http.send(h11.Response(status_code=status, headers=headers, reason=reason.encode())) or b""

    async def _write(self, data: bytes | None) -> None:
        if data:
            self._writer.write(data)
            await self._writer.drain()

    async def _refuse(self, message: str, status: int) -> None:
        """Answers what is no request; then the connection is closed, for where the next one begins is unknown."""
        if self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            return
        response = JsonResponse({"message": f"malformed request: {message}"}, status)
        headers = [("Content-Type", "application/json"), ("Connection", "close")]
        body = response.encoded()
        headers.append(("Content-Length", str(len(body))))
        data = self._head(status, headers)
        data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        await self._write(data)
        await self._linger()

    async def _linger(self) -> None:
        """Takes what is still on its way, for a moment: closing before that takes the answer back (RFC 9112, 9.6)."""
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            deadline = asyncio.get_running_loop().time() + LINGER_TIMEOUT
            left = UNREAD_BODY_LIMIT
            while left > 0 and (data := await self._read(max(deadline - asyncio.get_running_loop().time(), 0))):
                left -= len(data)
