"""Plans for volumes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.engine import ownership
from wherry.engine.documents.volume import VolumeDocument
from wherry.engine.model import Action, Run, Step, nothing
from wherry.engine.world import World
from wherry.errors import Conflict, InvalidParameter
from wherry.volumes.loop import DEFAULT_KIND, parse_size
from wherry.volumes.model import LOCAL_DRIVER, LOOP_DRIVER, Volume, VolumeSpec

KIND = VolumeDocument.kind


async def plan(document: VolumeDocument, world: World) -> list[Step]:
    """Makes or removes a volume; one that differs is made anew only where the document allows to lose its content."""
    existing = world.volume(document.name)
    if document.state == "absent":
        return [_absent(document, world, existing)]
    if existing is None:
        world.nouns.volumes.check(_spec(document, world))
        after = {"state": "present", **_declared(document)}
        action = Action(KIND, document.name, "create", "there is no such volume", {"state": "absent"}, after)
        return [Step(action, _create(document, world))]
    changed = _differences(document, existing, world)
    if changed:
        world.nouns.volumes.check(_spec(document, world))
    if document.recreate == "always" or (changed and document.recreate == "options-changed"):
        _check_unused(document, world)
        before = {option: values[0] for option, values in changed.items()}
        after = {option: values[1] for option, values in changed.items()}
        reason = f"{', '.join(changed)} changed" if changed else "recreate is always"
        action = Action(KIND, document.name, "recreate", reason, before, after)
        return [Step(action, _recreate(document, world))]
    if _only_grows(document, existing, changed):
        before, after = changed["driver_options"]
        action = Action(KIND, document.name, "update", "the volume grows in place", before, after)
        return [Step(action, _grow(document, world))]
    if changed:
        kept = f"{', '.join(changed)} differs and recreate is never: a volume keeps its content"
        return [nothing(KIND, document.name, kept)]
    return [nothing(KIND, document.name, "the volume is as declared")]


def _absent(document: VolumeDocument, world: World, existing: Volume | None) -> Step:
    if existing is None:
        return nothing(KIND, document.name, "there is no such volume")
    _check_unused(document, world)

    async def remove() -> None:
        await world.nouns.volumes.remove(document.name)

    before, after = {"state": "present"}, {"state": "absent"}
    return Step(Action(KIND, document.name, "remove", "it shall be absent", before, after), remove)


def _check_unused(document: VolumeDocument, world: World) -> None:
    names = [
        container.name
        for container in world.nouns.containers.all()
        if container.id in world.nouns.volumes.users(document.name) and not world.is_container_going(container.name)
    ]
    if names:
        raise Conflict(f"the volume is used by {', '.join(names)}", field="name", value=document.name)


def _spec(document: VolumeDocument, world: World) -> VolumeSpec:
    existing = world.volume(document.name)
    labels = {**ownership.kept(existing.labels if existing else {}), **world.labels, **(document.labels or {})}
    return VolumeSpec(document.name, document.driver or LOCAL_DRIVER, document.driver_options or {}, labels)


def _create(document: VolumeDocument, world: World) -> Run:
    async def create() -> None:
        await world.nouns.volumes.create(_spec(document, world))

    return create


def _recreate(document: VolumeDocument, world: World) -> Run:
    spec = _spec(document, world)

    async def recreate() -> None:
        await world.nouns.volumes.remove(document.name)
        await world.nouns.volumes.create(spec)

    return recreate


def _only_grows(document: VolumeDocument, existing: Volume, changed: Mapping[str, Any]) -> bool:
    """Whether another size of a loop volume is all that differs; InvalidParameter when it would have to shrink."""
    if existing.driver != LOOP_DRIVER or set(changed) != {"driver_options"}:
        return False
    now, wanted = existing.options, document.driver_options or {}
    if now.get("fstype", DEFAULT_KIND) != wanted.get("fstype", DEFAULT_KIND):
        return False
    if parse_size(wanted["size"]) < parse_size(now["size"]):
        raise InvalidParameter(
            "a volume cannot be made smaller",
            field="driver_options.size",
            value=wanted["size"],
            allowed=f"at least {now['size']}, or recreate=options-changed, which loses the content",
        )
    return True


def _grow(document: VolumeDocument, world: World) -> Run:
    async def grow() -> None:
        await world.nouns.volumes.grow(document.name, document.driver_options or {})

    return grow


def _declared(document: VolumeDocument) -> dict[str, Any]:
    options = {"driver": document.driver, "driver_options": document.driver_options, "labels": document.labels}
    return {option: value for option, value in options.items() if value is not None}


def _differences(document: VolumeDocument, volume: Volume, world: World) -> dict[str, tuple[Any, Any]]:
    """Before and after of the options that differ in effect; labels that nobody declared are left alone."""
    labels = {name: volume.labels.get(name) for name in document.labels or {}}
    current = {"driver": volume.driver, "driver_options": dict(volume.options), "labels": labels}
    wanted = _declared(document)
    changed = {option: (current[option], value) for option, value in wanted.items() if current[option] != value}
    # The spelling of another driver's options says nothing about this one's.
    if "driver" not in changed and not world.nouns.volumes.differ(volume, document.driver_options or volume.options):
        changed.pop("driver_options", None)
    return changed
