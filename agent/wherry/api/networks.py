"""/networks: list, inspect, create, remove, prune, connect and disconnect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.api import json_fields as j
from wherry.api.container_fields import read_endpoint
from wherry.api.http import EmptyResponse, JsonResponse, Request, Response
from wherry.api.network_json import network_json, read_spec
from wherry.api.router import Router
from wherry.errors import InvalidParameter, NotFound
from wherry.networks.model import LOCAL_SCOPE

if TYPE_CHECKING:
    from wherry.agent import Agent


async def list_networks(agent: Agent, request: Request) -> Response:
    """Every network that passes the filters; who is plugged in is for inspect."""
    return JsonResponse([network_json(one, {}) for one in agent.networks.list(request.query.filters())])


async def inspect(agent: Agent, request: Request) -> Response:
    """One network with its containers. ``verbose`` adds what only a swarm has: nothing."""
    reference = request.params["id"]
    network = agent.networks.find(reference)
    if request.query.text("scope", LOCAL_SCOPE) != LOCAL_SCOPE:
        raise NotFound(f"network {reference} not found")
    return JsonResponse(network_json(network, agent.networks.attached(network.id)))


async def create(agent: Agent, request: Request) -> Response:
    """A new network."""
    network = await agent.networks.create(read_spec(await request.json()))
    return JsonResponse({"Id": network.id, "Warning": ""}, status=201)


async def remove(agent: Agent, request: Request) -> Response:
    """A network goes."""
    await agent.networks.remove(request.params["id"])
    return EmptyResponse()


async def prune(agent: Agent, request: Request) -> Response:
    """All unused networks go."""
    return JsonResponse({"NetworksDeleted": list(await agent.networks.prune(request.query.filters())) or None})


async def connect(agent: Agent, request: Request) -> Response:
    """A container, running or not, gets one more network."""
    body = j.known_only(await request.json(), frozenset({"Container", "EndpointConfig"}), "")
    network = agent.networks.find(request.params["id"])
    wishes = read_endpoint(body.get("EndpointConfig"), "EndpointConfig")
    await agent.containers.connect(network.name, _container(body.get("Container")), wishes)
    return EmptyResponse(status=200)


async def disconnect(agent: Agent, request: Request) -> Response:
    """A container leaves a network."""
    body = j.known_only(await request.json(), frozenset({"Container", "Force"}), "")
    network = agent.networks.find(request.params["id"])
    force = j.flag(body.get("Force") or False, "Force")
    await agent.containers.disconnect(network.name, _container(body.get("Container")), force=force)
    return EmptyResponse(status=200)


def register(router: Router) -> None:
    """Routes of this subject."""
    router.add("GET", "/networks/", list_networks)
    router.add("GET", "/networks", list_networks)
    router.add("POST", "/networks/create", create)
    router.add("POST", "/networks/prune", prune)
    router.add("GET", "/networks/{id}", inspect)
    router.add("DELETE", "/networks/{id}", remove)
    router.add("POST", "/networks/{id}/connect", connect)
    router.add("POST", "/networks/{id}/disconnect", disconnect)


def _container(value: object) -> str:
    reference = j.text(value or "", "Container")
    if not reference:
        raise InvalidParameter("name or ID of a container is missing", field="Container")
    return reference
