"""Logs and attach: what a container writes, as it is and as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING
from urllib.parse import quote_plus

from wherry.api.attach_stream import Carrier
from wherry.api.http import Request, Response, Stream, StreamResponse, UpgradeResponse
from wherry.api.multiplex import STREAM_NUMBERS, content_type, frame, parse_detach_keys
from wherry.containers import times
from wherry.containers.attach import AttachSession, Streams
from wherry.containers.log_formats import LogEntry
from wherry.containers.log_reader import LogQuery
from wherry.errors import InvalidParameter

if TYPE_CHECKING:
    from wherry.agent import Agent


FIRST_BINARY_MESSAGES = (1, 28)
FIRST_CHOICE_OF_STREAMS = (1, 42)
"""API versions from which a WebSocket carries binary messages, and only the streams that were asked for."""
HEAD_GAP_SECONDS = 0.005
"""docker-py reads the head through a buffer and the stream past it: what arrives with the head is lost to it."""


async def logs(agent: Agent, request: Request) -> Response:
    """GET /containers/{id}/logs."""
    query = request.query
    container = agent.containers.find(request.params["name"])
    wanted = LogQuery(
        stdout=query.flag("stdout"),
        stderr=query.flag("stderr"),
        since=times.parse_boundary(query.text("since"), "since"),
        until=times.parse_boundary(query.text("until"), "until"),
        tail=_tail(query.text("tail")),
        follow=query.flag("follow"),
    )
    if not wanted.stdout and not wanted.stderr:
        raise InvalidParameter("Bad parameters: you must choose at least one stream")
    entries = agent.containers.logs(container.id, wanted)
    tty, details = container.config.tty, query.flag("details")
    chunks = _rendered(entries, tty=tty, timestamps=query.flag("timestamps"), details=details)
    return StreamResponse(chunks, content_type=content_type(request.version, tty=tty))


async def _rendered(
    entries: AsyncIterator[LogEntry], *, tty: bool, timestamps: bool, details: bool
) -> AsyncIterator[bytes]:
    async for entry in entries:
        yield render(entry, tty=tty, timestamps=timestamps, details=details)


def render(entry: LogEntry, *, tty: bool, timestamps: bool = False, details: bool = False) -> bytes:
    """One entry on the wire; ``details`` are the attributes that log options attached to it, in Docker's spelling."""
    data = _attributes(entry) + b" " + entry.data if details else entry.data
    if timestamps:
        moment = times.render_fixed(times.parse(entry.time))
        data = moment.encode("ascii") + b" " + data
    return data if tty else frame(STREAM_NUMBERS.get(entry.stream, 1), data)


def _attributes(entry: LogEntry) -> bytes:
    pairs = sorted(entry.attributes.items())
    return ",".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in pairs).encode("ascii")


def _tail(text: str) -> int | None:
    """``all``, nothing and what is no number mean everything, as in Docker."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


async def attach(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/attach. A container that does not run yet is attached to when it starts."""
    query = request.query
    container = agent.containers.find(request.params["name"])
    tty = container.config.tty
    detach_keys = parse_detach_keys(query.text("detachKeys"))
    streams = Streams(query.flag("stdin"), query.flag("stdout"), query.flag("stderr"))
    session = await agent.containers.attach(container.id, streams) if query.flag("stream") else None
    history = LogQuery(streams.stdout, streams.stderr) if query.flag("logs") else None

    async def carry(stream: Stream) -> None:
        if history is not None:
            await asyncio.sleep(HEAD_GAP_SECONDS)
            async for entry in agent.containers.logs(container.id, history):
                await stream.write(render(entry, tty=tty))
        if session is not None:
            await _carry(agent, stream, session, detach_keys)

    async def close() -> None:
        if session is not None:
            await session.close()

    return UpgradeResponse(carry, content_type=content_type(request.version, tty=tty), on_close=close)


async def _carry(agent: Agent, stream: Stream, session: AttachSession, detach_keys: bytes) -> None:
    config = session.container.config
    carrier = Carrier(stream, session, tty=config.tty, framed=not config.tty, detach_keys=detach_keys)
    stdin = session.streams.stdin and config.open_stdin
    if await carrier.carry(stdin=stdin, closes_input=config.stdin_once and not config.tty):
        agent.containers.detached(session.container.id)


async def attach_by_websocket(agent: Agent, request: Request) -> Response:
    """GET /containers/{id}/attach/ws: the same in messages, which are never told apart by stream."""
    # Imported here: hardly any client asks for it, and every agent would pay with memory.
    from wherry.api import websocket

    query = request.query
    container = agent.containers.find(request.params["name"])
    config = container.config
    head = websocket.accept(request.headers)
    detach_keys = parse_detach_keys(query.text("detachKeys"))
    everything = request.version < FIRST_CHOICE_OF_STREAMS
    streams = Streams(*(everything or query.flag(name) for name in ("stdin", "stdout", "stderr")))
    session = await agent.containers.attach(container.id, streams) if query.flag("stream") else None
    history = LogQuery(streams.stdout, streams.stderr) if query.flag("logs") else None

    async def carry(connection: Stream) -> None:
        stream = websocket.WebSocketStream(connection, text=request.version < FIRST_BINARY_MESSAGES)
        if history is not None:
            async for entry in agent.containers.logs(container.id, history):
                await stream.write(entry.data)
        if session is not None:
            # Read in any case: pings want answers, and a client that leaves says so.
            source = session if streams.stdin and config.open_stdin else _Deaf(session)
            carrier = Carrier(stream, source, tty=config.tty, framed=False, detach_keys=detach_keys)
            if await carrier.carry(stdin=True, closes_input=config.stdin_once and not config.tty):
                agent.containers.detached(container.id)
        await stream.close()

    async def close() -> None:
        if session is not None:
            await session.close()

    return UpgradeResponse(carry, on_close=close, switch=head)


class _Deaf:
    """A session that takes no input."""

    def __init__(self, session: AttachSession) -> None:
        self.output = session.output

    async def write(self, data: bytes) -> None:
        """Drops it."""

    async def close_input(self) -> None:
        """Nothing was open."""
