"""GET /system/df: what images, containers and volumes take up on the disk."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from wherry.api import container_inspect, image_json
from wherry.api.http import JsonResponse, Request, Response
from wherry.api.router import Router
from wherry.api.volumes import volume_json
from wherry.errors import InvalidParameter

if TYPE_CHECKING:
    from wherry.agent import Agent

TYPES = ("container", "image", "volume", "build-cache")


async def disk_usage(agent: Agent, request: Request) -> Response:
    """All of it, or of the types asked for; sizes are counted now, which takes as long as the files are many."""
    wanted = request.query.many("type") or list(TYPES)
    for kind in wanted:
        if kind not in TYPES:
            raise InvalidParameter(f"unknown object type: {kind}", allowed="one of " + ", ".join(TYPES))
    body: dict[str, Any] = {}
    if "image" in wanted:
        body["LayersSize"] = agent.images.disk_usage()
        body["Images"] = _images(agent, request)
    if "container" in wanted:
        body["Containers"] = await _containers(agent)
    if "volume" in wanted:
        body["Volumes"] = await _volumes(agent)
    if "build-cache" in wanted:
        body["BuildCache"] = []
    return JsonResponse(body)


def _images(agent: Agent, request: Request) -> list[dict[str, Any]]:
    return [
        image_json.summary(
            image,
            request.version,
            shared_size=agent.images.shared_size(image),
            containers=len(agent.images.in_use(image.id)),
        )
        for image in agent.images.list()
    ]


async def _containers(agent: Agent) -> list[dict[str, Any]]:
    containers = agent.containers.list(everything=True)
    sizes = await asyncio.gather(*(agent.containers.size_of(container) for container in containers))
    return [
        container_inspect.summary(agent.containers, container, size)
        for container, size in zip(containers, sizes, strict=True)
    ]


async def _volumes(agent: Agent) -> list[dict[str, Any]]:
    volumes = agent.volumes.list()
    sizes = await asyncio.gather(*(agent.volumes.size_of(volume) for volume in volumes))
    return [
        volume_json(volume) | {"UsageData": {"Size": size, "RefCount": len(agent.volumes.users(volume.name))}}
        for volume, size in zip(volumes, sizes, strict=True)
    ]


def register(router: Router) -> None:
    """Adds the route."""
    router.add("GET", "/system/df", disk_usage)
