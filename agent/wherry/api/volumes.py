"""/volumes: list, inspect, create, remove and prune, with their JSON shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wherry.api import json_fields as j
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response
from wherry.api.json_fields import Field
from wherry.api.router import Router
from wherry.errors import Unavailable, Unsupported
from wherry.volumes.model import LOCAL_SCOPE, Volume, VolumeSpec

if TYPE_CHECKING:
    from wherry.agent import Agent

ANONYMOUS_PRUNE_VERSION = (1, 42)
"""From this API version on a prune without ``all`` leaves named volumes alone."""

CREATE_FIELDS = (
    Field("Name", "name", j.text),
    Field("Driver", "driver", j.text),
    Field("DriverOpts", "options", j.text_map),
    Field("Labels", "labels", j.text_map),
)


def volume_json(volume: Volume) -> dict[str, Any]:
    """A volume as list and inspect show it."""
    return {
        "CreatedAt": volume.created,
        "Driver": volume.driver,
        "Labels": dict(volume.labels) or None,
        "Mountpoint": volume.mountpoint,
        "Name": volume.name,
        "Options": dict(volume.options) or None,
        "Scope": LOCAL_SCOPE,
    }


async def list_volumes(agent: Agent, request: Request) -> Response:
    """Every volume that passes the filters."""
    volumes = [volume_json(volume) for volume in agent.volumes.list(request.query.filters())]
    return JsonResponse({"Volumes": volumes, "Warnings": None})


async def inspect(agent: Agent, request: Request) -> Response:
    """One volume, with what its driver has to say."""
    volume = agent.volumes.find(request.params["name"])
    status = dict(await agent.volumes.status(volume))
    return JsonResponse(volume_json(volume) | ({"Status": status} if status else {}))


async def create(agent: Agent, request: Request) -> Response:
    """A new volume, or the one of that name."""
    body = await request.json()
    if not j.is_neutral(body.get("ClusterVolumeSpec")):
        raise Unsupported("not supported: ClusterVolumeSpec: there is no swarm here")
    wishes = j.known_only(body, frozenset(field.key for field in CREATE_FIELDS), "")
    volume = await agent.volumes.create(VolumeSpec(**j.read_fields(CREATE_FIELDS, wishes, "")))
    return JsonResponse(volume_json(volume), status=201)


async def update(agent: Agent, request: Request) -> Response:
    """Only cluster volumes can be updated, and there are none."""
    agent.volumes.find(request.params["name"])
    raise Unavailable("volume update only valid for cluster volumes, but swarm is unavailable")


async def remove(agent: Agent, request: Request) -> Response:
    """A volume goes, with its content."""
    await agent.volumes.remove(request.params["name"], force=request.query.flag("force"))
    return EmptyResponse()


async def prune(agent: Agent, request: Request) -> Response:
    """Unused volumes go."""
    named_too = request.version < ANONYMOUS_PRUNE_VERSION
    pruned = await agent.volumes.prune(request.query.filters(), named_too=named_too)
    return JsonResponse({"VolumesDeleted": list(pruned.names), "SpaceReclaimed": pruned.reclaimed})


def register(router: Router) -> None:
    """Routes of this subject."""
    router.add("GET", "/volumes", list_volumes)
    router.add("POST", "/volumes/create", create)
    router.add("POST", "/volumes/prune", prune)
    router.add("GET", "/volumes/{name}", inspect)
    router.add("PUT", "/volumes/{name}", update)
    router.add("DELETE", "/volumes/{name}", remove)
