"""Requests and responses on the wire."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wherry.api import connection
from wherry.api.http import JsonResponse, RawResponse, Request, StreamResponse
from wherry.errors import Conflict, NotModified

HEAD = b"Host: localhost\r\n"


async def echo(_agent: Any, request: Request) -> RawResponse:
    body = b"".join([chunk async for chunk in request.chunks()])
    return RawResponse(body, "application/octet-stream")


async def parsed(_agent: Any, request: Request) -> JsonResponse:
    return JsonResponse({"got": await request.json(optional=True), "version": list(request.version)})


async def test_one_connection_serves_several_requests(harness: Any) -> None:
    harness.route("GET", "/x", parsed)
    wire = await harness.connect()
    for _ in range(3):
        await wire.send(b"GET /x HTTP/1.1\r\n" + HEAD + b"\r\n")
        assert (await wire.response())[0] == 200


async def test_pipelined_requests_are_answered_in_order(harness: Any) -> None:
    harness.route("POST", "/echo", echo)
    wire = await harness.connect()
    await wire.send(b"".join(b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: 1\r\n\r\n%d" % n for n in range(5)))
    assert [(await wire.response())[2] for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_chunked_request_body_arrives_whole(harness: Any) -> None:
    harness.route("POST", "/echo", echo)
    status, _, body = await harness.ask(
        b"POST /echo HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n"
    )
    assert (status, body) == (200, b"abcdefg")


async def test_client_that_expects_100_is_told_to_go_on(harness: Any) -> None:
    harness.route("POST", "/echo", echo)
    wire = await harness.connect()
    await wire.send(b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert (await wire.response())[0] == 100
    await wire.send(b"ok")
    assert (await wire.response())[2] == b"ok"


async def test_body_that_nobody_wants_is_not_asked_for(harness: Any) -> None:
    wire = await harness.connect()
    await wire.send(b"POST /nix HTTP/1.1\r\n" + HEAD + b"Content-Length: 9\r\nExpect: 100-continue\r\n\r\n")
    assert (await wire.response())[0] == 404
    assert await wire.rest() == b""


async def test_http_1_0_client_gets_a_body_ended_by_close(harness: Any) -> None:
    async def streamed(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        return StreamResponse(chunks(), "text/plain")

    harness.route("GET", "/s", streamed)
    status, headers, body = await harness.ask(b"GET /s HTTP/1.0\r\n\r\n")
    assert (status, body) == (200, b"one two")
    assert "transfer-encoding" not in headers


async def test_head_has_the_headers_and_no_body(harness: Any) -> None:
    harness.route("GET", "/x", parsed)
    wire = await harness.connect()
    await wire.send(b"HEAD /x HTTP/1.1\r\n" + HEAD + b"\r\nGET /x HTTP/1.1\r\n" + HEAD + b"\r\n")
    status, headers, _ = await wire.response(head=True)
    assert status == 200 and int(headers["content-length"]) > 0
    assert (await wire.response())[0] == 200


async def test_streamed_head_is_sent_before_the_first_chunk(harness: Any) -> None:
    gate = asyncio.Event()

    async def waiting(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            await gate.wait()
            yield b"done"

        return StreamResponse(chunks())

    harness.route("POST", "/wait", waiting)
    wire = await harness.connect()
    await wire.send(b"POST /wait HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert b"200 OK" in await asyncio.wait_for(wire.reader.readuntil(b"\r\n\r\n"), 2)
    gate.set()
    assert b"done" in await asyncio.wait_for(wire.reader.readuntil(b"0\r\n\r\n"), 2)


async def test_slow_reader_slows_the_source_down(harness: Any) -> None:
    produced = 0

    async def endless(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal produced
            while True:
                produced += 1
                yield bytes(65536)

        return StreamResponse(chunks())

    harness.route("GET", "/endless", endless)
    wire = await harness.connect()
    await wire.send(b"GET /endless HTTP/1.1\r\n" + HEAD + b"\r\n")
    await asyncio.sleep(0.3)
    seen = produced
    await asyncio.sleep(0.2)
    assert 0 < seen == produced < 64


async def test_source_that_fails_leaves_a_response_that_is_visibly_incomplete(harness: Any) -> None:
    async def broken(_agent: Any, _request: Request) -> StreamResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"half"
            raise ValueError("no more")

        return StreamResponse(chunks())

    harness.route("GET", "/broken", broken)
    wire = await harness.connect()
    await wire.send(b"GET /broken HTTP/1.1\r\n" + HEAD + b"\r\n")
    content = await wire.rest()
    assert b"half" in content and not content.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("target", "status", "message"),
    [
        (b"/v1.52/x", 400, "client version 1.52 is too new. Maximum supported API version is 1.51"),
        (
            b"/v1.12/x",
            400,
            "client version 1.12 is too old. Minimum supported API version is 1.24, "
            "please upgrade your client to a newer version",
        ),
        (b"/nix", 404, "page not found"),
        (b"/v1.24/nix", 404, "page not found"),
        (b"/v1.24/../x", 404, "page not found"),
        (b"//v1.24/x", 404, "page not found"),
        (b"/v1.24/x/", 404, "page not found"),
    ],
)
async def test_refusals_have_dockers_words(harness: Any, target: bytes, status: int, message: str) -> None:
    harness.route("GET", "/x", parsed)
    found, headers, body = await harness.ask(b"GET " + target + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert (found, json.loads(body)["message"]) == (status, message)
    assert headers["api-version"] == "1.51" and headers["ostype"] == "linux"


@pytest.mark.parametrize(("target", "version"), [(b"/x", [1, 51]), (b"/v1.24/x", [1, 24]), (b"/v1.51/x", [1, 51])])
async def test_version_prefix_is_taken_off_the_path(harness: Any, target: bytes, version: list[int]) -> None:
    harness.route("GET", "/x", parsed)
    status, _, body = await harness.ask(b"GET " + target + b" HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert (status, json.loads(body)["version"]) == (200, version)


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (b"application/xml", b"{}", "unsupported Content-Type header (application/xml): must be 'application/json'"),
        (b"application/json", b'{"a":1} {"b":2}', "unexpected content after JSON"),
        (b"application/json", b"{", "invalid JSON"),
        (b"application/json", b"[1]", "invalid JSON: an object is expected, not list"),
        (b"application/json", b'{"a": NaN}', "invalid JSON: NaN is not JSON"),
        (b"application/json", b"[" * 100_000, "invalid JSON"),
    ],
)
async def test_bad_json_body_is_refused(harness: Any, kind: bytes, body: bytes, message: str) -> None:
    harness.route("POST", "/x", parsed)
    head = b"POST /x HTTP/1.1\r\n" + HEAD + b"Content-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
    status, _, content = await harness.ask(head + body)
    assert status == 400 and json.loads(content)["message"].startswith(message)


async def test_absent_body_is_an_empty_object(harness: Any) -> None:
    harness.route("POST", "/x", parsed)
    status, _, body = await harness.ask(b"POST /x HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert status == 200 and json.loads(body)["got"] == {}


async def test_errors_become_status_and_message(harness: Any) -> None:
    async def conflict(_agent: Any, _request: Request) -> JsonResponse:
        raise Conflict("is taken", field="name", value="web", allowed="another name")

    async def same(_agent: Any, _request: Request) -> JsonResponse:
        raise NotModified("runs already")

    async def bug(_agent: Any, _request: Request) -> JsonResponse:
        raise KeyError("oops")

    for path, handler in (("/conflict", conflict), ("/same", same), ("/bug", bug)):
        harness.route("POST", path, handler)
    status, _, body = await harness.ask(b"POST /conflict HTTP/1.1\r\n" + HEAD + b"\r\n")
    assert (status, json.loads(body)) == (
        409,
        {"message": 'name: "web": is taken; another name', "field": "name", "value": "web", "allowed": "another name"},
    )
    assert (await harness.ask(b"POST /same HTTP/1.1\r\n" + HEAD + b"\r\n"))[::2] == (304, b"")
    assert (await harness.ask(b"POST /bug HTTP/1.1\r\n" + HEAD + b"\r\n"))[0] == 500


async def test_head_that_is_too_large_is_refused(harness: Any) -> None:
    wire = await harness.connect()
    await wire.send(b"GET / HTTP/1.1\r\n" + HEAD + b"X: " + b"a" * 300_000)
    assert (await wire.response())[0] == 431


async def test_head_that_never_ends_is_cut_off(harness: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HEAD_TIMEOUT", 0.2)
    wire = await harness.connect()

    async def drip() -> None:
        while True:
            await wire.send(b"X-A: b\r\n")
            await asyncio.sleep(0.02)

    await wire.send(b"GET / HTTP/1.1\r\n")
    dripping = asyncio.ensure_future(drip())
    try:
        assert await asyncio.wait_for(wire.reader.read(), 2) == b""
    except ConnectionResetError:
        pass
    finally:
        dripping.cancel()


SMUGGLING = {
    "two lengths": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde",
    "list of lengths": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: 5, 4\r\n\r\nabcde",
    "chunks in HTTP/1.0": b"POST /echo HTTP/1.0\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "length and chunks": b"POST /echo HTTP/1.1\r\n"
    + HEAD
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": b"POST /echo HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: -1\r\n\r\n",
    "signed length": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Content-Length: +5\r\n\r\nabcde",
    "no chunk size": b"POST /echo HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "signed chunk size": b"POST /echo HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n",
    "huge chunk size": b"POST /echo HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\nabc",
    "chunk longer than said": b"POST /echo HTTP/1.1\r\n"
    + HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n",
    "space before colon": b"GET /echo HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "no host": b"GET /echo HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no request": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "control in header": b"GET /echo HTTP/1.1\r\n" + HEAD + b"X: a\x00b\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_ambiguous_request_is_refused_and_nothing_after_it_is_read(harness: Any, name: str) -> None:
    served: list[str] = []

    async def record(_agent: Any, request: Request) -> JsonResponse:
        served.append(request.path)
        return JsonResponse({})

    harness.route("POST", "/echo", echo)
    harness.route("GET", "/admin", record)
    wire = await harness.connect()
    await wire.send(SMUGGLING[name] + b"GET /admin HTTP/1.1\r\n" + HEAD + b"\r\n")
    answer = await wire.rest()
    status = int(answer.split()[1])
    assert 400 <= status < 502, answer
    assert served == [], answer
