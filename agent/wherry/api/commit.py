"""POST /commit: an image made of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wherry.api import json_fields as j
from wherry.api.container_fields import CONFIG_FIELDS
from wherry.api.http import JsonResponse, Request, Response
from wherry.api.json_fields import read_fields, write_fields
from wherry.api.router import Router
from wherry.containers.committing import CommitRequest
from wherry.containers.model import ContainerConfig

if TYPE_CHECKING:
    from wherry.agent import Agent

CONFIG_KEYS = frozenset(field.key for field in CONFIG_FIELDS)


async def commit(agent: Agent, request: Request) -> Response:
    """The body is a configuration that counts before the container's; ``changes`` are Dockerfile instructions."""
    query = request.query
    container = agent.containers.find(query.text("container"))
    body = j.known_only(await request.json(optional=True), CONFIG_KEYS, "")
    given = ContainerConfig(**read_fields(CONFIG_FIELDS, body, ""))
    image = await agent.containers.commit(
        container.id,
        CommitRequest(
            repository=query.text("repo"),
            tag=query.text("tag"),
            comment=query.text("comment"),
            author=query.text("author"),
            pause=query.flag("pause", default=True),
            changes=[line for text in query.many("changes") for line in text.splitlines() if line.strip()],
            own=write_fields(CONFIG_FIELDS, container.config),
            given=write_fields(CONFIG_FIELDS, given),
        ),
    )
    return JsonResponse({"Id": image.id}, status=201)


def register(router: Router) -> None:
    """Adds the route."""
    router.add("POST", "/commit", commit)
