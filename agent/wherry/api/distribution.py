"""The endpoints about registries: what one has under a name, and whether credentials are good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.api import image_json as render
from wherry.api.http import JsonResponse, Request, Response
from wherry.api.router import Router
from wherry.errors import InvalidParameter
from wherry.images.reference import Reference, parse
from wherry.registry.credentials import (
    Credentials,
    parse_auth_config,
    parse_registry_auth_header,
    parse_registry_config_header,
)

if TYPE_CHECKING:
    from wherry.agent import Agent


def register(router: Router) -> None:
    """Adds the routes."""
    router.add("POST", "/auth", login)
    router.add("GET", "/distribution/{name:path}/json", inspect)


async def login(agent: Agent, request: Request) -> Response:
    """POST /auth"""
    body = await request.json()
    address = body.get("serveraddress") or ""
    if not isinstance(address, str):
        raise InvalidParameter("must be a text", field="serveraddress")
    credentials = parse_auth_config(body) or Credentials(server_address=address)
    status, identity_token = await agent.images.login(credentials)
    return JsonResponse({"Status": status, "IdentityToken": identity_token})


def credentials_of(request: Request, reference: Reference) -> Credentials | None:
    """What a client sent for a pull or push: X-Registry-Auth, else the registry's entry of X-Registry-Config."""
    given = parse_registry_auth_header(request.headers.get("x-registry-auth"))
    return given or parse_registry_config_header(request.headers.get("x-registry-config")).get(reference.domain)


async def inspect(agent: Agent, request: Request) -> Response:
    """GET /distribution/NAME/json"""
    reference = parse(request.params["name"])
    remote = await agent.images.describe_remote(reference, auth=credentials_of(request, reference))
    return JsonResponse(render.distribution(remote))
