"""A container made anew: the old one waits, stopped and under another name, until the new one is what it shall be.

When a step of the way fails, the new one goes, the old one is back under its name and runs if it ran, and the task
fails with the reason. An agent that dies in between leaves the old one under its other name; the next plan removes it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wherry.containers.model import Container, CreateRequest, EndpointSettings
from wherry.engine import container_steps
from wherry.engine.attachments import UNNAMED_MODES
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.model import Action, Run, Step
from wherry.engine.world import World
from wherry.errors import NotFound, NotModified, WherryError

log = logging.getLogger(__name__)

SUFFIX = ".wherry-replaced"


def leftover(document: ContainerDocument, world: World) -> list[Step]:
    """Removes what a replacement that was broken off has left."""
    existing = world.container(document.name + SUFFIX)
    if existing is None:
        return []

    async def run() -> None:
        await container_steps.take_away(document, world, existing)

    action = Action(
        document.kind,
        document.name,
        "clean",
        "a replacement was broken off",
        {"replaced": existing.id},
        {"replaced": None},
    )
    return [Step(action, run)]


class Replacement:
    """One container in place of another."""

    def __init__(self, document: ContainerDocument, request: CreateRequest, world: World, existing: Container) -> None:
        self._document = document
        self._request = request
        self._containers = world.nouns.containers
        self._world = world
        self._existing = existing
        self._endpoints = _endpoints(existing)
        self._ran = False
        self._kept = False

    def guarded(self, action: Action, rest: Sequence[Step]) -> list[Step]:
        """The step that makes the new container, and the steps that follow it, each with the way back."""
        steps = [Step(action, self._make), *rest]
        runs = [step.run for step in steps]
        last = max(number for number, run in enumerate(runs) if run is not None)
        return [
            replace(step, run=self._with_way_back(step.run, last=number == last)) if step.run else step
            for number, step in enumerate(steps)
        ]

    def _with_way_back(self, run: Run, *, last: bool) -> Run:
        async def guarded() -> Mapping[str, Any] | None:
            try:
                outcome = await run()
            except WherryError as error:
                if await self._bring_back():
                    raise error.followed_by("the container as it was before is back") from error
                raise
            if last:
                await self._finish()
            return outcome

        return guarded

    async def _make(self) -> None:
        await self._step_aside()
        await self._containers.create(self._request)

    async def _step_aside(self) -> None:
        """Ends the old container and takes its name; one that removes itself at its end is just waited for."""
        try:
            current = self._containers.find(self._existing.id)
        except NotFound:
            return
        if current.host_config.auto_remove:
            await container_steps.take_away(self._document, self._world, current)
            return
        self._ran = current.state.is_running
        self._kept = True
        if self._ran:
            await container_steps.end(self._document, self._world, current)
        await self._containers.rename(current.id, self._document.name + SUFFIX)
        for name in self._endpoints:
            await self._containers.disconnect(name, current.id)  # its addresses are free for the new one

    async def _bring_back(self) -> bool:
        """Undoes what was done; whether the old container is back as it was."""
        if not self._kept:
            return False
        try:
            await self._remove_new()
            current = self._containers.find(self._existing.id)
            if current.name != self._document.name:
                await self._containers.rename(current.id, self._document.name)
            for name, wish in self._endpoints.items():
                if name not in current.networking.endpoints:
                    await self._containers.connect(name, current.id, wish)
            if self._ran:
                with contextlib.suppress(NotModified):
                    await self._containers.start(self._existing.id)
        except WherryError as error:
            log.warning("container %s: what was before could not be brought back: %s", self._document.name, error)
            return False
        return True

    async def _remove_new(self) -> None:
        with contextlib.suppress(NotFound):
            found = self._containers.find(self._document.name)
            if found.id != self._existing.id:
                await self._containers.remove(found.id, force=True, volumes=True)

    async def _finish(self) -> None:
        if self._kept:
            volumes = not self._document.handling.keep_volumes
            with contextlib.suppress(NotFound):
                await self._containers.remove(self._existing.id, force=True, volumes=volumes)


def _endpoints(container: Container) -> dict[str, EndpointSettings]:
    """The networks that it can leave and come back to, its network mode first: that is the one it starts in."""
    endpoints = {name: wish for name, wish in container.networking.endpoints.items() if name not in UNNAMED_MODES}
    mode = container.host_config.network_mode
    return {name: endpoints[name] for name in sorted(endpoints, key=lambda name: name != mode)}
