"""What of the Engine API is not Wherry's: swarm, plugins, building. Each answers with what clients handle."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wherry.api.http import JsonResponse, Request, Response
from wherry.api.router import Handler, Router
from wherry.errors import NotFound, Unavailable, Unsupported

if TYPE_CHECKING:
    from wherry.agent import Agent

NOT_A_MANAGER = (
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
    "swarm and try again."
)
_SWARM_LISTS = ("/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/swarm/unlockkey")
_SWARM_OBJECTS = ("nodes", "services", "tasks", "secrets", "configs")
_SWARM_CREATED = ("services", "secrets", "configs")
_PLUGIN_VERB = re.compile("/(json|enable|disable|upgrade|push|set)$")
_UNSUPPORTED = (
    ("POST", "/swarm/init", "swarm mode"),
    ("POST", "/swarm/join", "swarm mode"),
    ("POST", "/session", "BuildKit sessions"),
    ("POST", "/grpc", "BuildKit"),
    ("POST", "/build", "building images"),
    ("POST", "/build/cancel", "building images"),
    ("GET", "/plugins/privileges", "plugins"),
    ("POST", "/plugins/pull", "plugins"),
    ("POST", "/plugins/create", "plugins"),
)


async def not_a_manager(_agent: Agent, _request: Request) -> Response:
    """Every question about a swarm."""
    raise Unavailable(NOT_A_MANAGER)


async def not_in_a_swarm(_agent: Agent, _request: Request) -> Response:
    """POST /swarm/leave."""
    raise Unavailable("This node is not part of a swarm")


async def no_plugins(_agent: Agent, _request: Request) -> Response:
    """GET /plugins: there are none."""
    return JsonResponse([])


async def no_such_plugin(_agent: Agent, request: Request) -> Response:
    """Whatever is asked of a named plugin."""
    name = _PLUGIN_VERB.sub("", request.params["name"])
    raise NotFound(f'plugin "{name}" not found')


async def nothing_cached(_agent: Agent, _request: Request) -> Response:
    """POST /build/prune, which ``docker system prune`` always sends: there is no build cache, so nothing is removed."""
    return JsonResponse({"CachesDeleted": None, "SpaceReclaimed": 0})


def register(router: Router) -> None:
    """Adds the routes."""
    for path in _SWARM_LISTS:
        router.add("GET", path, not_a_manager)
    for noun in _SWARM_OBJECTS:
        if noun in _SWARM_CREATED:
            router.add("POST", f"/{noun}/create", not_a_manager)
        for method in ("GET", "POST", "DELETE"):
            router.add(method, f"/{noun}/{{rest:path}}", not_a_manager)
    router.add("POST", "/swarm/update", not_a_manager)
    router.add("POST", "/swarm/unlock", not_in_a_swarm)
    router.add("POST", "/swarm/leave", not_in_a_swarm)
    router.add("GET", "/plugins", no_plugins)
    for method, path, what in _UNSUPPORTED:
        router.add(method, path, _refuser(what))
    for method in ("GET", "POST", "DELETE"):
        router.add(method, "/plugins/{name:path}", no_such_plugin)
    router.add("POST", "/build/prune", nothing_cached)


def _refuser(what: str) -> Handler:
    async def refuse(_agent: Agent, _request: Request) -> Response:
        raise Unsupported(f"not supported: {what}")

    return refuse
