"""The agent as a whole: ping, version, info, log-in."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from wherry.api import info
from wherry.api.http import JsonResponse, RawResponse, Request, Response
from wherry.api.router import Router

if TYPE_CHECKING:
    from wherry.agent import Agent

_PING_HEADERS = {
    "Builder-Version": "1",
    "Swarm": "inactive",
    "Cache-Control": "no-cache, no-store, must-revalidate",
    "Pragma": "no-cache",
}


async def ping(_agent: Agent, _request: Request) -> Response:
    """GET and HEAD /_ping."""
    return RawResponse(b"OK", "text/plain; charset=utf-8", headers=_PING_HEADERS)


async def version(agent: Agent, _request: Request) -> Response:
    """GET /version."""
    return JsonResponse(info.version(agent))


async def system_info(agent: Agent, _request: Request) -> Response:
    """GET /info."""
    return JsonResponse(await info.info(agent, datetime.now(timezone.utc)))


def register(router: Router) -> None:
    """Adds the routes."""
    router.add("GET", "/_ping", ping)
    router.add("HEAD", "/_ping", ping)
    router.add("GET", "/version", version)
    router.add("GET", "/info", system_info)
