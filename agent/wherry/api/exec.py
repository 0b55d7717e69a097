"""/exec: further processes in running containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from wherry.api import json_fields as j
from wherry.api.attach_stream import Carrier
from wherry.api.container_json import parse_exec
from wherry.api.containers import terminal_size
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response, Stream, UpgradeResponse
from wherry.api.multiplex import content_type, frame, parse_detach_keys
from wherry.api.router import Router
from wherry.containers.attach import Streams
from wherry.containers.exec_sessions import ExecSession
from wherry.errors import WherryError

if TYPE_CHECKING:
    from wherry.agent import Agent

START_KEYS = frozenset({"Detach", "Tty", "ConsoleSize"})


class ExecStream:
    """An exec session in the shape that ``Carrier`` works with."""

    def __init__(self, session: ExecSession) -> None:
        assert session.client is not None
        self._client = session.client

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Stream number and bytes until the process ends."""
        async for piece in self._client.output():
            yield piece

    async def write(self, data: bytes) -> None:
        """Bytes for its standard input."""
        await self._client.write_stdin(data)

    async def close_input(self) -> None:
        """No more input comes."""
        await self._client.close_stdin()


async def create(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/exec."""
    wanted = parse_exec(await request.json())
    session = agent.containers.execs.create(request.params["name"], wanted)
    return JsonResponse({"Id": session.id}, status=201)


async def start(agent: Agent, request: Request) -> Response:
    """POST /exec/{id}/start: with ``Detach`` it returns when the process runs, else it carries the streams.

    The process is started after the head of the answer has gone out, as in Docker: what it says at once must not arrive
    together with the head, where docker-py loses it. A failure is then told as output, and by the exit code.
    """
    execs = agent.containers.execs
    body = j.known_only(await request.json(), START_KEYS, "")
    session = execs.find(request.params["id"])
    wanted = session.request
    if j.flag(body.get("Detach") or False, "Detach"):
        await execs.start(session.id, Streams())
        return EmptyResponse(200)
    execs.check_startable(session)
    detach_keys = parse_detach_keys(wanted.detach_keys)
    raw = j.flag(body.get("Tty") or False, "Tty")  # as in Docker, this says how the output is sent
    size = j.numbers(body.get("ConsoleSize") or [], "ConsoleSize")

    async def carry(stream: Stream) -> None:
        streams = Streams(wanted.attach_stdin, wanted.attach_stdout, wanted.attach_stderr)
        try:
            await execs.start(session.id, streams)
        except WherryError as failure:
            data = str(failure).encode() + b"\r\n"
            await stream.write(data if raw else frame(1, data))
            return
        if wanted.tty and len(size) == 2 and all(size):
            await execs.resize(session.id, size[0], size[1])
        carrier = Carrier(stream, ExecStream(session), tty=wanted.tty, framed=not raw, detach_keys=detach_keys)
        await carrier.carry(stdin=wanted.attach_stdin, closes_input=not wanted.tty)

    async def close() -> None:
        if session.client is not None:
            await session.client.close()

    return UpgradeResponse(carry, content_type(request.version, tty=raw), close)


async def show(agent: Agent, request: Request) -> Response:
    """GET /exec/{id}/json."""
    session = agent.containers.execs.find(request.params["id"])
    wanted = session.request
    return JsonResponse(
        {
            "ID": session.id,
            "Running": session.running,
            "ExitCode": session.exit_code,
            "ProcessConfig": {
                "tty": wanted.tty,
                "entrypoint": wanted.command[0],
                "arguments": list(wanted.command[1:]),
                "privileged": wanted.privileged,
                "user": wanted.user,
            },
            "OpenStdin": wanted.attach_stdin,
            "OpenStderr": wanted.attach_stderr,
            "OpenStdout": wanted.attach_stdout,
            "CanRemove": False,
            "ContainerID": session.container_id,
            "DetachKeys": wanted.detach_keys,
            "Pid": session.pid,
        }
    )


async def resize(agent: Agent, request: Request) -> Response:
    """POST /exec/{id}/resize."""
    rows, columns = terminal_size(request)
    await agent.containers.execs.resize(request.params["id"], rows, columns)
    return EmptyResponse(200)


def register(router: Router) -> None:
    """Adds the routes."""
    router.add("POST", "/containers/{name:path}/exec", create)
    router.add("POST", "/exec/{id}/start", start)
    router.add("GET", "/exec/{id}/json", show)
    router.add("POST", "/exec/{id}/resize", resize)
