"""An image made of a container: the configuration that it gets, and the layer of what the container has changed."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wherry import native
from wherry.containers import runtime_commands
from wherry.containers.context import Context
from wherry.containers.files import PLACES_OF_MOUNTS
from wherry.containers.model import Container
from wherry.errors import Conflict
from wherry.images.instructions import apply_changes
from wherry.images.model import HistoryEntry, Image

IMAGE_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "Healthcheck",
    "Shell", "OnBuild",
)  # fmt: skip
"""What an image keeps of a container's configuration."""

ConfigBody = Mapping[str, Any]


@dataclass(frozen=True)
class CommitRequest:
    """What is asked for; ``own`` and ``given`` are ``ContainerConfig`` as the Engine API has it, the latter counts."""

    repository: str
    tag: str
    comment: str
    author: str
    pause: bool
    changes: Sequence[str]
    own: ConfigBody
    given: ConfigBody


async def commit(context: Context, container: Container, request: CommitRequest) -> Image:
    """The new image. A container that runs is paused meanwhile, unless ``pause`` is off; nobody can remove it."""
    async with context.registry.lock(container.id):
        return await _commit(context, context.registry.find(container.id), request)


async def _commit(context: Context, container: Container, request: CommitRequest) -> Image:
    config = image_config(request)
    parent = context.images.find(container.image_id)
    upper = context.layout(container.id).upper
    settings = native.PackSettings(compression="gzip")
    entry = HistoryEntry(
        created_by=" ".join((container.path, *container.args)), author=request.author, comment=request.comment
    )
    pauses = request.pause and container.state.status == "running"
    if container.removing:
        raise Conflict(f"container {container.id} is marked for removal and cannot be committed")
    async with _paused(context, container) if pauses else contextlib.nullcontext():
        return await context.images.commit(
            parent,
            lambda target: native.pack_layer(upper, target, settings, places=PLACES_OF_MOUNTS),
            config=config,
            entry=entry,
            container=container.id,
            repository=request.repository,
            tag=request.tag,
        )


@contextlib.asynccontextmanager
async def _paused(context: Context, container: Container) -> AsyncIterator[None]:
    """Frozen meanwhile. One that is just ending, which the agent has yet to hear of, lies still by itself."""
    with contextlib.suppress(runtime_commands.OutOfState):
        await runtime_commands.pause(context, container)
    try:
        yield
    finally:
        with contextlib.suppress(runtime_commands.OutOfState):
            await runtime_commands.resume(context, container)


def image_config(request: CommitRequest) -> dict[str, Any]:
    """What was given and changed, over what the container has, in Docker's way of merging."""
    given = {key: request.given[key] for key in IMAGE_KEYS if request.given.get(key)}
    given.setdefault("Env", request.own.get("Env") or [])  # instructions may name its variables
    above = apply_changes(given, request.changes)
    below = {key: request.own[key] for key in IMAGE_KEYS if request.own.get(key)}
    if above.get("Entrypoint"):
        below.pop("Cmd", None)
    merged = {**below, **above}
    for key in ("ExposedPorts", "Volumes", "Labels"):
        if below.get(key) and above.get(key):
            merged[key] = {**below[key], **above[key]}
    if below.get("Env") and above.get("Env"):
        names = {entry.partition("=")[0] for entry in above["Env"]}
        merged["Env"] = [*above["Env"], *(one for one in below["Env"] if one.partition("=")[0] not in names)]
    return merged
