"""/exec: further processes in running containers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from wherry.api import json_fields as j
from wherry.api.attach_stream import Carrier
from wherry.api.container_json import parse_exec
from wherry.api.containers import terminal_size
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response, Stream, UpgradeResponse
from wherry.api.multiplex import content_type, frame, parse_detach_keys
from wherry.api.router import Router
from wherry.containers.attach import Streams
from wherry.containers.exec_sessions import ExecFailed, ExecSession

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
    agent.containers.find(request.params["name"])
    session = agent.containers.execs.create(request.params["name"], parse_exec(await request.json()))
    return JsonResponse({"Id": session.id}, status=201)


async def start(agent: Agent, request: Request) -> Response:
    """POST /exec/{id}/start: with ``Detach`` it returns when the process runs, else it carries the streams."""
    session = agent.containers.execs.find(request.params["id"])
    body = await request.json()
    j.refuse_unknown(body, START_KEYS, "")
    wanted = session.request
    if j.flag(body.get("Detach") or False, "Detach"):
        await agent.containers.execs.start(session.id, Streams())
        return EmptyResponse(200)
    detach_keys = parse_detach_keys(wanted.detach_keys)
    streams = Streams(wanted.attach_stdin, wanted.attach_stdout, wanted.attach_stderr)
    size = j.numbers(body.get("ConsoleSize") or [], "ConsoleSize")
    try:
        await agent.containers.execs.start(session.id, streams)
    except ExecFailed as failure:
        return UpgradeResponse(_said(str(failure), tty=wanted.tty), content_type(request.version, tty=wanted.tty))
    if wanted.tty and len(size) == 2 and all(size):
        await agent.containers.execs.resize(session.id, size[0], size[1])

    async def carry(stream: Stream) -> None:
        carrier = Carrier(stream, ExecStream(session), tty=wanted.tty, detach_keys=detach_keys)
        await carrier.carry(stdin=wanted.attach_stdin, closes_input=not wanted.tty)

    async def close() -> None:
        if session.client is not None:
            await session.client.close()

    return UpgradeResponse(carry, content_type(request.version, tty=wanted.tty), close)


def _said(message: str, *, tty: bool) -> Any:
    """A client that hijacks reads no error documents: the message comes as output, the exit code by inspect."""
    data = message.encode() + b"\r\n"

    async def carry(stream: Stream) -> None:
        await stream.write(data if tty else frame(1, data))

    return carry


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
    router.add("POST", "/containers/{name}/exec", create)
    router.add("POST", "/exec/{id}/start", start)
    router.add("GET", "/exec/{id}/json", show)
    router.add("POST", "/exec/{id}/resize", resize)
