"""A real server on a unix socket with routes of the test's own, and a client that writes bytes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from wherry.api.dispatch import Dispatcher
from wherry.api.listen import Listener
from wherry.api.router import Router
from wherry.api.server import Server


class Wire:
    """One connection, as bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in lower case and body of the next response."""
        raw = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        lines = raw.decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        status = int(lines[0].split()[1])
        if head or status in {100, 101, 204, 304}:
            return status, headers, b""
        if headers.get("transfer-encoding") == "chunked":
            return status, headers, await self._chunks()
        if "content-length" in headers:
            return status, headers, await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, await asyncio.wait_for(self.reader.read(), 5)

    async def _chunks(self) -> bytes:
        body = b""
        while size := int(await asyncio.wait_for(self.reader.readline(), 5), 16):
            body += (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()
        return body

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        return await asyncio.wait_for(self.reader.read(), 5)

    def close(self) -> None:
        self.writer.close()


class Harness:
    """The server under test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.router = Router()
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(str(path))
        sock.listen(64)
        agent: Any = None
        self.server = Server(Dispatcher(agent, self.router), [Listener(f"unix://{path}", sock)])
        self.wires: list[Wire] = []

    async def connect(self) -> Wire:
        wire = Wire(*await asyncio.open_unix_connection(str(self.path)))
        self.wires.append(wire)
        return wire

    async def ask(self, data: bytes) -> tuple[int, dict[str, str], bytes]:
        wire = await self.connect()
        await wire.send(data)
        return await wire.response()

    def route(self, method: str, path: str, handler: Callable[[Any, Any], Awaitable[Any]]) -> None:
        self.router.add(method, path, handler)


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[Harness]:
    under_test = Harness(tmp_path / "s")
    await under_test.server.start()
    yield under_test
    for wire in under_test.wires:
        wire.close()
    await under_test.server.stop(1)
