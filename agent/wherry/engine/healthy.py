"""``state: healthy``: the last step waits until the container's own check says so, and tells why it never did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from wherry.containers.model import Container, Health
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.model import Action, Step
from wherry.engine.world import World
from wherry.errors import Conflict

LOOK_SECONDS = 0.1
"""Between two looks at the record; checks are seconds apart."""
SHOWN_RESULTS = 3


def wait(document: ContainerDocument, world: World) -> Step:
    """Waits for health. A container without a check is as healthy as it can tell. Changes nothing."""

    async def run() -> Mapping[str, Any]:
        limit = document.handling.healthy_wait_timeout
        try:
            health = await asyncio.wait_for(_healthy(document.name, world), limit if limit > 0 else None)
        except asyncio.TimeoutError:
            container = world.nouns.containers.find(document.name)
            raise Conflict(
                f"container {document.name} did not become healthy within {limit:g} s: {_said(container)}",
                field="state", value="healthy",
            ) from None  # fmt: skip
        return {"health": health}

    return Step(Action(document.kind, document.name, "wait", "it shall be healthy"), run)


async def _healthy(name: str, world: World) -> str:
    """Returns when the container is healthy; raises ``Conflict`` when it has ended, which no waiting mends."""
    while True:
        container = world.nouns.containers.find(name)
        state = container.state
        if not state.is_running:
            raise Conflict(
                f"container {name} ended with exit code {state.exit_code} before it was healthy: {_said(container)}",
                field="state", value="healthy",
            )  # fmt: skip
        check = container.config.healthcheck
        if check is None or not check.is_run:
            return "none"
        if state.health is not None and state.health.status == "healthy" and state.status == "running":
            return state.health.status
        await asyncio.sleep(LOOK_SECONDS)


def _said(container: Container) -> str:
    """What the last checks said."""
    health = container.state.health
    if health is None or not health.log:
        return "no check has ended"
    return "; ".join(_result_text(health, number) for number in range(len(health.log))[-SHOWN_RESULTS:])


def _result_text(health: Health, number: int) -> str:
    result = health.log[number]
    said = result.output.strip() or "no output"
    return f"check exited with {result.exit_code} ({said})"
