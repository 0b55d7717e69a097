"""/containers: life cycle, list, inspect, wait, top."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from wherry.api import container_streams
from wherry.api.container_inspect import for_version, inspect, summary
from wherry.api.container_json import parse_create, parse_update
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response, StreamResponse
from wherry.api.router import Handler, Router
from wherry.containers.waiting import ExitResult
from wherry.errors import InvalidParameter, Unsupported, WherryError

if TYPE_CHECKING:
    import asyncio

    from wherry.agent import Agent

LATER = (
    ("GET", "checkpoints"),
    ("POST", "checkpoints"),
)
"""What the Engine API has for a container and Wherry has not, answered by name."""


async def create(agent: Agent, request: Request) -> Response:
    """POST /containers/create."""
    body = await request.json()
    wanted = parse_create(body, request.query.text("name"), request.query.text("platform"), request.version)
    created = await agent.containers.create(wanted)
    return JsonResponse({"Id": created.container.id, "Warnings": list(created.warnings)}, status=201)


async def listing(agent: Agent, request: Request) -> Response:
    """GET /containers/json."""
    query = request.query
    limit = query.number("limit")
    filters = query.filters()
    for name in ("before", "since"):
        if query.text(name):
            filters.setdefault(name, []).append(query.text(name))
    chosen = agent.containers.list(filters, everything=query.flag("all"), limit=limit or None)
    with_size = query.flag("size")
    lines = [
        summary(agent.containers, container, await agent.containers.size_of(container) if with_size else None)
        for container in chosen
    ]
    return JsonResponse(lines)


async def show(agent: Agent, request: Request) -> Response:
    """GET /containers/{id}/json."""
    container = agent.containers.find(request.params["name"])
    sizes = await agent.containers.size_of(container) if request.query.flag("size") else None
    return JsonResponse(for_version(inspect(agent.containers, container, sizes), request.version))


async def start(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/start."""
    await agent.containers.start(request.params["name"])
    return EmptyResponse()


async def stop(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/stop."""
    query = request.query
    await agent.containers.stop(request.params["name"], query.number("t"), query.text("signal"))
    return EmptyResponse()


async def restart(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/restart."""
    query = request.query
    await agent.containers.restart(request.params["name"], query.number("t"), query.text("signal"))
    return EmptyResponse()


async def kill(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/kill."""
    await agent.containers.kill(request.params["name"], request.query.text("signal"))
    return EmptyResponse()


async def pause(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/pause."""
    await agent.containers.pause(request.params["name"])
    return EmptyResponse()


async def unpause(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/unpause."""
    await agent.containers.unpause(request.params["name"])
    return EmptyResponse()


async def rename(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/rename."""
    await agent.containers.rename(request.params["name"], request.query.text("name"))
    return EmptyResponse()


async def update(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/update."""
    change = parse_update(await request.json(), request.version)
    warnings = await agent.containers.update(request.params["name"], change)
    return JsonResponse({"Warnings": list(warnings) or None})


async def remove(agent: Agent, request: Request) -> Response:
    """DELETE /containers/{id}."""
    query = request.query
    await agent.containers.remove(
        request.params["name"], force=query.flag("force"), volumes=query.flag("v"), link=query.flag("link")
    )
    return EmptyResponse()


async def prune(agent: Agent, request: Request) -> Response:
    """POST /containers/prune."""
    removed, reclaimed = await agent.containers.prune(request.query.filters())
    return JsonResponse({"ContainersDeleted": list(removed) or None, "SpaceReclaimed": reclaimed})


async def top(agent: Agent, request: Request) -> Response:
    """GET /containers/{id}/top."""
    titles, rows = await agent.containers.top(request.params["name"], request.query.text("ps_args"))
    return JsonResponse({"Titles": titles, "Processes": rows})


async def resize(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/resize."""
    rows, columns = terminal_size(request)
    await agent.containers.resize(request.params["name"], rows, columns)
    return EmptyResponse(200)


def terminal_size(request: Request) -> tuple[int, int]:
    """``h`` and ``w`` of a resize."""
    sizes = []
    for name in ("h", "w"):
        value = request.query.number(name, 0) or 0
        if not 0 <= value <= 0xFFFF:
            raise InvalidParameter("must be between 0 and 65535", field=name, value=value)
        sizes.append(value)
    return sizes[0], sizes[1]


async def wait(agent: Agent, request: Request) -> Response:
    """POST /containers/{id}/wait: the head goes out at once, so that a client knows that it is waited for."""
    future = agent.containers.wait(request.params["name"], request.query.text("condition"))

    async def end() -> None:
        future.cancel()

    return StreamResponse(_exit_document(future), on_close=end)


async def _exit_document(future: asyncio.Future[ExitResult]) -> AsyncIterator[bytes]:
    try:
        result = await future
    except WherryError as error:
        result = ExitResult(-1, str(error))
    body: dict[str, Any] = {"StatusCode": result.exit_code}
    if result.error:
        body["Error"] = {"Message": result.error}
    yield json.dumps(body).encode() + b"\n"


def _later(what: str) -> Handler:
    async def refuse(agent: Agent, request: Request) -> Response:
        agent.containers.find(request.params["name"])
        raise Unsupported(f"not supported: /containers/{{id}}/{what}")

    return refuse


def register(router: Router) -> None:
    """Adds the routes."""
    router.add("POST", "/containers/create", create)
    router.add("GET", "/containers/json", listing)
    router.add("POST", "/containers/prune", prune)
    router.add("GET", "/containers/{name:path}/json", show)
    router.add("GET", "/containers/{name:path}/top", top)
    router.add("GET", "/containers/{name:path}/logs", container_streams.logs)
    router.add("POST", "/containers/{name:path}/attach", container_streams.attach)
    router.add("GET", "/containers/{name:path}/attach/ws", container_streams.attach_by_websocket)
    verbs = {
        "start": start,
        "stop": stop,
        "restart": restart,
        "kill": kill,
        "pause": pause,
        "unpause": unpause,
        "rename": rename,
        "update": update,
        "wait": wait,
        "resize": resize,
    }
    for verb, handler in verbs.items():
        router.add("POST", f"/containers/{{name:path}}/{verb}", handler)
    router.add("DELETE", "/containers/{name:path}", remove)  # a link is called PARENT/ALIAS
    for method, what in LATER:
        router.add(method, f"/containers/{{name}}/{what}", _later(what))
