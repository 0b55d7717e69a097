"""A small Engine API client on asyncio: hundreds of clients at once in one test process, each request on its own."""

from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import h11

VERSION = "/v1.47"
PIECE = 1 << 16


@dataclass(frozen=True)
class Answer:
    """Status and body of one answer."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a document; None when there is none."""
        return json.loads(self.body) if self.body.strip() else None

    @property
    def message(self) -> str:
        """What an error says."""
        return str(self.json["message"])


class RequestFailed(Exception):
    """An answer that is no success, for those who asked for one."""


class Engine:
    """Requests to the agent that listens on a socket. Errors of the connection are OSError or EOFError."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    async def ask(self, method: str, path: str, body: Any = None, /, **query: Any) -> Answer:
        """One request on a connection of its own; ``body`` is a document, or bytes of an archive."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            return await _exchange(reader, writer, method, _target(path, query), body)
        finally:
            writer.close()

    async def want(self, method: str, path: str, body: Any = None, /, **query: Any) -> Any:
        """The same, and its document; RequestFailed when it is no success (304 is one)."""
        answer = await self.ask(method, path, body, **query)
        if answer.status >= 400:
            raise RequestFailed(f"{method} {path}: {answer.status} {answer.body.decode(errors='replace')[:300]}")
        return answer.json if answer.body[:1] in (b"{", b"[") else None

    async def create(self, name: str, body: dict[str, Any]) -> str:
        """Creates a container and returns its id."""
        made = await self.want("POST", "/containers/create", body, name=name)
        return str(made["Id"])

    async def execute(self, container: str, *command: str) -> tuple[int, bytes, bytes]:
        """Exit code, standard output and standard error of a further process."""
        wish = {"Cmd": list(command), "AttachStdout": True, "AttachStderr": True}
        session = (await self.want("POST", f"/containers/{container}/exec", wish))["Id"]
        output = await self.hijack(f"/exec/{session}/start", {"Detach": False, "Tty": False})
        state = await self.want("GET", f"/exec/{session}/json")
        assert not state["Running"], f"exec {session} still runs after its output has ended"
        return state["ExitCode"], *apart(output)

    async def hijack(self, path: str, body: Any = None, given: bytes = b"", /, **query: Any) -> bytes:
        """POSTs with an upgrade, writes ``given``, half-closes, and returns all that comes back."""
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            content = b"" if body is None else json.dumps(body).encode()
            head = (
                f"POST {_target(path, query)} HTTP/1.1\r\nHost: agent\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
            )
            writer.write(head.encode() + content)
            answer = await reader.readuntil(b"\r\n\r\n")
            if not answer.startswith((b"HTTP/1.1 101", b"HTTP/1.1 200")):
                raise RequestFailed(
                    f"{path}: {answer.decode().splitlines()[0]} {(await reader.read(PIECE)).decode()[-300:]}"
                )
            if given:
                writer.write(given)
            writer.write_eof()
            return await reader.read()
        finally:
            writer.close()


def apart(output: bytes) -> tuple[bytes, bytes]:
    """Standard output and standard error of a multiplexed stream (Engine API, ContainerAttach)."""
    streams: dict[int, bytes] = {1: b"", 2: b""}
    while output:
        stream, length = struct.unpack(">B3xI", output[:8])
        streams[stream] = streams.get(stream, b"") + output[8 : 8 + length]
        output = output[8 + length :]
    return streams[1], streams[2]


def _target(path: str, query: dict[str, Any]) -> str:
    flat = {name: json.dumps(value) if isinstance(value, dict) else value for name, value in query.items()}
    return f"{VERSION}{path}" + (f"?{urlencode(flat)}" if flat else "")


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str, body: Any
) -> Answer:
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
    head = f"{method} {target} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\nContent-Length: {len(content)}\r\n"
    if content:
        head += f"Content-Type: {kind}\r\n"
    writer.write(head.encode() + b"\r\n" + content)
    await writer.drain()
    http = h11.Connection(h11.CLIENT)
    http.send(h11.Request(method=method, target="/", headers=[("Host", "agent")]))
    http.send(h11.EndOfMessage())
    status, parts = 0, []
    while True:
        try:
            event = http.next_event()
        except h11.RemoteProtocolError as error:
            raise EOFError(f"the agent has closed the connection in the middle of an answer: {error}") from error
        if event is h11.NEED_DATA:
            data = await reader.read(PIECE)
            if not data and not status:
                raise EOFError("the agent has closed the connection without an answer")
            http.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, b"".join(parts))
        elif isinstance(event, h11.ConnectionClosed):
            raise EOFError("the agent has closed the connection in the middle of an answer")
