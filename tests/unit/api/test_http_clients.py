"""Clients that leave, half-close, upgrade, or are browsers; and the server's own end."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.api import watch
from wherry.api.http import JsonResponse, RawResponse, Request, Stream, StreamResponse, UpgradeResponse

HEAD = b"Host: localhost\r\n"


class Slow:
    """A handler that waits to be let go, and tells what became of it."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self, _agent: Any, request: Request) -> JsonResponse:
        await request.json(optional=True)
        self.entered.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.outcome.set_result("cut")
            raise
        self.outcome.set_result("done")
        return JsonResponse({"ok": True})


async def test_leaving_client_cuts_a_handler_that_only_reads(harness: Any) -> None:
    slow = Slow()
    harness.route("GET", "/slow", slow)
    wire = await harness.connect()
    await wire.send(b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
    await slow.entered.wait()
    wire.close()
    assert await asyncio.wait_for(slow.outcome, 3) == "cut"


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_leaving_client_does_not_stop_an_act_half_way(harness: Any, body: bytes) -> None:
    slow = Slow()
    harness.route("POST", "/slow", slow)
    wire = await harness.connect()
    kind = b"Content-Type: application/json\r\n" if body else b""
    await wire.send(b"POST /slow HTTP/1.1\r\n" + HEAD + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await slow.entered.wait()
    wire.close()
    await asyncio.sleep(0.1)
    slow.gate.set()
    assert await asyncio.wait_for(slow.outcome, 3) == "done"


async def test_half_closed_client_still_gets_its_response(harness: Any) -> None:
    slow = Slow()
    harness.route("GET", "/slow", slow)
    wire = await harness.connect()
    await wire.send(b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
    wire.writer.write_eof()
    await slow.entered.wait()
    await asyncio.sleep(0.1)
    slow.gate.set()
    assert (await wire.response())[0] == 200


async def test_half_closed_client_that_leaves_later_is_noticed(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HALF_CLOSED_POLL_SECONDS", 0.05)
    slow = Slow()
    harness.route("GET", "/slow", slow)
    wire = await harness.connect()
    await wire.send(b"GET /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
    wire.writer.write_eof()
    await slow.entered.wait()
    wire.close()
    assert await asyncio.wait_for(slow.outcome, 3) == "cut"


@pytest.mark.parametrize("method", [b"GET", b"POST"])
async def test_leaving_client_ends_the_source_of_a_stream(harness: Any, method: bytes) -> None:
    ended = asyncio.Event()
    closed: list[bool] = []

    async def streamed(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            try:
                yield b"first"
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def close() -> None:
            closed.append(True)

        return StreamResponse(chunks(), on_close=close)

    harness.route(method.decode(), "/stream", streamed)
    wire = await harness.connect()
    await wire.send(method + b" /stream HTTP/1.1\r\n" + HEAD + b"\r\n")
    await wire.reader.readuntil(b"first")
    wire.close()
    await asyncio.wait_for(ended.wait(), 3)
    await asyncio.sleep(0.05)
    assert closed == [True]


async def test_upload_that_breaks_off_is_not_taken_for_whole(harness: Any) -> None:
    outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def upload(_agent: Any, request: Request) -> RawResponse:
        try:
            async for _ in request.chunks():
                pass
        except Exception as error:
            outcome.set_result(type(error).__name__)
            raise
        outcome.set_result("whole")
        return RawResponse(b"", "text/plain")

    harness.route("PUT", "/upload", upload)
    wire = await harness.connect()
    await wire.send(b"PUT /upload HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\nabc")
    wire.close()
    assert await asyncio.wait_for(outcome, 3) == "ClientDisconnected"


async def shout(_agent: Any, request: Request) -> UpgradeResponse:
    await request.json(optional=True)

    async def handler(stream: Stream) -> None:
        while data := await stream.read():
            await stream.write(data.upper())
        await stream.write(b"<end>")

    return UpgradeResponse(handler)


async def test_upgrade_hands_over_both_directions_and_half_close(harness: Any) -> None:
    harness.route("POST", "/attach", shout)
    wire = await harness.connect()
    await wire.send(b"POST /attach HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly ")
    status, headers, _ = await wire.response()
    assert (status, headers["upgrade"], headers["connection"]) == (101, "tcp", "Upgrade")
    assert headers["content-type"] == "application/vnd.docker.raw-stream"
    assert await wire.reader.readexactly(6) == b"EARLY "
    await wire.send(b"late")
    wire.writer.write_eof()
    assert await wire.rest() == b"LATE<end>"


async def test_hijack_without_upgrade_is_answered_with_200(harness: Any) -> None:
    harness.route("POST", "/attach", shout)
    wire = await harness.connect()
    await wire.send(
        b"POST /attach HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}raw"
    )
    head = await wire.reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"chunked" not in head
    wire.writer.write_eof()
    assert await wire.rest() == b"RAW<end>"


async def test_error_before_an_upgrade_is_an_ordinary_response(harness: Any) -> None:
    wire = await harness.connect()
    await wire.send(b"POST /nix HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    status, _, body = await wire.response()
    assert (status, json.loads(body)) == (404, {"message": "page not found"})


async def test_upgrade_tells_when_it_is_over_even_if_its_handler_fails(harness: Any) -> None:
    closed = asyncio.Event()

    async def broken(_agent: Any, _request: Request) -> UpgradeResponse:
        async def handler(stream: Stream) -> None:
            raise ConnectionError("gone")

        async def close() -> None:
            closed.set()

        return UpgradeResponse(handler, on_close=close)

    harness.route("POST", "/attach", broken)
    wire = await harness.connect()
    await wire.send(b"POST /attach HTTP/1.1\r\n" + HEAD + b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    await asyncio.wait_for(closed.wait(), 2)


async def ok(_agent: Any, _request: Request) -> JsonResponse:
    return JsonResponse({})


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Host: localhost\r\nOrigin: http://evil.example\r\n", 403),
        (b"Host: localhost\r\nOrigin: null\r\n", 403),
        (b"Host: evil.example\r\n", 403),
        (b"Host: evil.example:2375\r\n", 403),
        (b"Host: docker\r\n", 200),
        (b"Host: docker.example.com\r\n", 200),
        (b"Host: api.moby.localhost\r\n", 200),
        (b"Host: %2Frun%2Fwherry.sock\r\n", 200),
        (b"Host: 127.0.0.1:2375\r\n", 200),
        (b"Host: [::1]:2375\r\n", 200),
        (b"Host:\r\n", 200),
        (b"Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n", 400),
        (b"Host: localhost\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: 2\r\n", 400),
        (b"Host: localhost\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n", 200),
    ],
)
async def test_what_only_a_browser_sends_is_refused(harness: Any, headers: bytes, status: int) -> None:
    harness.route("POST", "/x", ok)
    body = b"{}" if b"Content-Length: 2" in headers else b""
    assert (await harness.ask(b"POST /x HTTP/1.1\r\n" + headers + b"\r\n" + body))[0] == status


async def test_peer_credentials_are_those_of_the_client(harness: Any) -> None:
    seen: list[Any] = []

    async def peer(_agent: Any, request: Request) -> JsonResponse:
        seen.append(request.peer)
        return JsonResponse({})

    harness.route("GET", "/x", peer)
    await harness.ask(b"GET /x HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert (seen[0].uid, seen[0].gid, seen[0].pid) == (os.getuid(), os.getgid(), os.getpid())


async def test_stop_lets_work_end_and_cuts_streams(harness: Any) -> None:
    slow = Slow()

    async def endless(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.Event().wait()

        return StreamResponse(chunks())

    harness.route("POST", "/slow", slow)
    harness.route("GET", "/endless", endless)
    working, streaming, idle = [await harness.connect() for _ in range(3)]
    await working.send(b"POST /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
    await streaming.send(b"GET /endless HTTP/1.1\r\n" + HEAD + b"\r\n")
    await streaming.reader.readuntil(b"first")
    await slow.entered.wait()
    stopping = asyncio.ensure_future(harness.server.stop(5))
    assert not (await streaming.rest()).endswith(b"0\r\n\r\n")
    assert await idle.rest() == b""
    slow.gate.set()
    status, headers, _ = await working.response()
    assert (status, headers.get("connection")) == (200, "close")
    await asyncio.wait_for(stopping, 2)


async def test_stop_does_not_wait_longer_than_its_grace(harness: Any) -> None:
    slow = Slow()
    harness.route("POST", "/slow", slow)
    wire = await harness.connect()
    await wire.send(b"POST /slow HTTP/1.1\r\n" + HEAD + b"\r\n")
    await slow.entered.wait()
    await asyncio.wait_for(harness.server.stop(0.1), 2)
    assert await asyncio.wait_for(slow.outcome, 1) == "cut"
