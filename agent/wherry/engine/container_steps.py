"""The steps that plans for containers consist of: each an action, and the calls of the nouns that carry it out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from wherry.containers.log_options import READABLE
from wherry.containers.log_reader import LogQuery
from wherry.containers.model import Container, CreateRequest, ResourceUpdate, RestartPolicy
from wherry.containers.waiting import ExitResult
from wherry.engine import attachments
from wherry.engine.attachments import NetworkChanges
from wherry.engine.compare import Difference
from wherry.engine.documents.container import RUNNING, ContainerDocument
from wherry.engine.documents.container_properties import PROPERTIES
from wherry.engine.model import Action, Run, Step
from wherry.engine.world import World
from wherry.errors import Conflict, NotFound, NotModified, WherryError

KIND = ContainerDocument.kind
LARGEST_OUTPUT = 1 << 20
"""Bytes at the end of a container's output that a task which waits for it gets."""


def shown_state(container: Container) -> str:
    """A container's state in the words of the option ``state``."""
    return "started" if container.state.is_running else "stopped"


def create(request: CreateRequest, world: World) -> Run:
    """Makes the container."""

    async def run() -> None:
        await world.nouns.containers.create(request)

    return run


def first_start(document: ContainerDocument, world: World) -> list[Step]:
    """Starts what the step before has made. What cannot be started is taken back: a failed task changes nothing."""
    steps = start(document, world, "present")
    begin = steps[0].run

    async def run() -> Mapping[str, Any] | None:
        try:
            return await begin() if begin else None
        except WherryError:
            await world.nouns.containers.remove(document.name, force=True, volumes=True)
            raise

    return [Step(steps[0].action, run), *steps[1:]]


def start(document: ContainerDocument, world: World, before: str) -> list[Step]:
    """Starts the container; waits for its end when the document says so; pauses it when it shall be paused."""
    reason = "it shall run" if document.handling.detach else "it shall run to its end"
    action = Action(KIND, document.name, "start", reason, {"state": before}, {"state": "started"})

    async def run() -> Mapping[str, Any] | None:
        containers = world.nouns.containers
        ending = containers.wait(document.name, "next-exit") if not document.handling.detach else None
        with contextlib.suppress(NotModified):  # a restart policy, or somebody else, was faster
            await containers.start(document.name)
        return await _outcome(document, world, ending) if ending else None

    steps = [Step(action, run)]
    if document.paused:
        steps.append(_pause(document, world, pause=True))
    return steps


async def _outcome(document: ContainerDocument, world: World, ending: asyncio.Future[ExitResult]) -> Mapping[str, Any]:
    """Exit code and output of a container that was waited for; removes it when it shall not stay."""
    containers = world.nouns.containers
    container = containers.find(document.name)
    result = await ending
    outcome: dict[str, Any] = {"exit_code": result.exit_code}
    if container.host_config.auto_remove:
        outcome["output"] = "Cannot retrieve result as auto_remove is enabled"
        return outcome
    if container.host_config.log_config.type in READABLE:
        outcome["output"] = await _output(container, world)
    else:
        outcome["output"] = f"Result logged using `{container.host_config.log_config.type}` driver"
    if document.handling.cleanup:
        await containers.remove(container.id, force=True, volumes=not document.handling.keep_volumes)
    return outcome


async def _output(container: Container, world: World) -> str:
    content = bytearray()
    async for entry in world.nouns.containers.logs(container.id, LogQuery(stdout=True, stderr=True)):
        content += entry.data
        if len(content) > 2 * LARGEST_OUTPUT:
            del content[:-LARGEST_OUTPUT]
    return bytes(content[-LARGEST_OUTPUT:]).decode("utf-8", "replace")


def remove(document: ContainerDocument, world: World, existing: Container) -> Step:
    """Stops the container if it runs, and removes it."""
    world.expect_no_container(document.name)

    async def run() -> None:
        await take_away(document, world, existing)

    before = {"state": shown_state(existing)}
    return Step(Action(KIND, document.name, "remove", "it shall be absent", before, {"state": "absent"}), run)


async def take_away(document: ContainerDocument, world: World, existing: Container) -> None:
    """Ends and removes a container; one that removes itself at its end is waited for."""
    containers = world.nouns.containers
    try:
        current = containers.find(existing.id)
        gone = containers.wait(existing.id, "removed")
        if current.state.is_running:
            await end(document, world, existing)
            if current.host_config.auto_remove:
                await gone
                return
        removal = containers.remove(existing.id, force=True, volumes=not document.handling.keep_volumes)
        # It goes on when nobody waits any more: half a removal would help nobody.
        await asyncio.wait_for(asyncio.shield(removal), document.handling.removal_wait_timeout)
    except NotFound:
        return
    except asyncio.TimeoutError:
        waited = f"{document.handling.removal_wait_timeout:g}"
        raise Conflict(
            f"container {document.name} was not removed in time", field="removal_wait_timeout", value=waited
        ) from None


async def end(document: ContainerDocument, world: World, existing: Container) -> None:
    """Ends a container in the way that the document says."""
    handling, containers = document.handling, world.nouns.containers
    try:
        if handling.force_kill:
            ending = containers.wait(existing.id, "not-running")
            await containers.kill(existing.id, handling.kill_signal)
            await ending
        else:
            await containers.stop(existing.id, handling.stop_timeout)
    except NotModified:
        return


def update(document: ContainerDocument, world: World, existing: Container, changed: Sequence[Difference]) -> Step:
    """Changes limits and the restart policy in place."""
    limits = {PROPERTIES[one.option].limit: one.wanted for one in changed}
    policy = None
    if limits.pop("restart_policy", None) is not None:
        wanted = {one.option: one.wanted for one in changed}
        now = existing.host_config.restart_policy
        name = wanted.get("restart_policy", now.name)
        retries = wanted.get("restart_retries", now.maximum_retry_count if name == "on-failure" else 0)
        policy = RestartPolicy(name, retries)

    async def run() -> None:
        await world.nouns.containers.update(existing.id, ResourceUpdate(limits, policy))

    before = {one.option: one.before for one in changed}
    after = {one.option: one.after for one in changed}
    reason = f"{', '.join(before)} changed"
    return Step(Action(KIND, document.name, "update", reason, before, after), run)


def plug(document: ContainerDocument, world: World, existing: Container, networks: NetworkChanges) -> list[Step]:
    """Plugs the container into networks and out of others."""
    steps = []
    for name, wish in (networks.connect or {}).items():
        action = "reconnect" if name in existing.networking.endpoints else "connect"
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        show_networks(existing, NetworkChanges(connect={name: wish}), before, after)
        told = Action(KIND, document.name, action, f"network {name} differs", before, after)
        steps.append(Step(told, _connect(world, existing, name, wish)))
    for name in networks.disconnect:
        left = {name: existing.networking.endpoints[name]}
        told = Action(
            KIND, document.name, "disconnect", f"network {name} is not declared", {"networks": attachments.shown(left)},
            {"networks": []},
        )  # fmt: skip
        steps.append(Step(told, _disconnect(world, existing, name)))
    return steps


def show_networks(existing: Container, networks: NetworkChanges, before: dict[str, Any], after: dict[str, Any]) -> None:
    """Writes what differs between networks into ``before`` and ``after``."""
    now = existing.networking.endpoints
    touched = [*(networks.connect or {}), *networks.disconnect]
    before["networks"] = attachments.shown({name: now[name] for name in touched if name in now})
    after["networks"] = attachments.shown(networks.connect or {})


def _connect(world: World, existing: Container, name: str, wish: Any) -> Run:
    async def run() -> None:
        containers = world.nouns.containers
        if name in containers.find(existing.id).networking.endpoints:
            await containers.disconnect(name, existing.id, force=True)
        await containers.connect(name, existing.id, wish)

    return run


def _disconnect(world: World, existing: Container, name: str) -> Run:
    async def run() -> None:
        await world.nouns.containers.disconnect(name, existing.id, force=False)

    return run


def run_state(document: ContainerDocument, world: World, existing: Container) -> list[Step]:
    """Starts, stops, restarts, pauses or resumes a container that is otherwise as declared."""
    running = existing.state.is_running
    if document.state in RUNNING:
        if not running:
            return start(document, world, "stopped")
        steps = [_restart(document, world)] if document.handling.restart else []
        is_paused = existing.state.status == "paused" and not document.handling.restart
        if document.paused is not None and document.paused != is_paused:
            steps.append(_pause(document, world, pause=document.paused))
        return steps
    if document.state == "stopped" and running:

        async def stop() -> None:
            await end(document, world, existing)

        before, after = {"state": "started"}, {"state": "stopped"}
        return [Step(Action(KIND, document.name, "stop", "it shall not run", before, after), stop)]
    return []


def _restart(document: ContainerDocument, world: World) -> Step:
    async def run() -> None:
        await world.nouns.containers.restart(document.name, document.handling.stop_timeout)

    return Step(Action(KIND, document.name, "restart", "restart is asked for"), run)


def _pause(document: ContainerDocument, world: World, *, pause: bool) -> Step:
    async def run() -> None:
        containers = world.nouns.containers
        await (containers.pause(document.name) if pause else containers.unpause(document.name))

    action = "pause" if pause else "unpause"
    reason = "it shall be paused" if pause else "it shall not be paused"
    return Step(Action(KIND, document.name, action, reason, {"paused": not pause}, {"paused": pause}), run)
