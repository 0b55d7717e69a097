"""Plans for containers: made, made anew, changed in place, plugged in and out, started, stopped, removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.containers import log_options, merge, validate
from wherry.containers.model import Container, CreateRequest, EndpointSettings, NetworkingConfig
from wherry.engine import attachments, container_steps, healthy, ownership, replacement
from wherry.engine.compare import Difference, differences
from wherry.engine.container_steps import KIND, shown_state
from wherry.engine.documents.container import RUNNING, ContainerDocument
from wherry.engine.documents.container_properties import PROPERTIES
from wherry.engine.documents.image import named
from wherry.engine.documents.property import Draft
from wherry.engine.images import pull_step
from wherry.engine.model import Action, Step, nothing
from wherry.engine.world import ExpectedImage, World
from wherry.errors import InvalidParameter, NotFound
from wherry.images.model import Image, ImageConfig

Target = Image | ExpectedImage | None


@dataclass(frozen=True)
class Findings:
    """What of a container is not as declared: options, networks, and whether it has another image."""

    options: Sequence[Difference]
    networks: attachments.NetworkChanges
    image: bool

    @property
    def needs_recreate(self) -> bool:
        """Whether an update in place cannot do it."""
        return self.image or bool(self.networks.mode) or any(not one.live for one in self.options)


async def plan(document: ContainerDocument, world: World) -> list[Step]:
    """What has to be done for one container."""
    existing = world.container(document.name)
    left = replacement.leftover(document, world)
    if document.state == "absent":
        if existing is None:
            return left or [nothing(KIND, document.name, "there is no such container")]
        return [container_steps.remove(document, world, existing), *left]
    attachments.check_networks(document, world)
    _check_containers(document, world)
    steps, image = await _image_steps(document, world, existing)
    if existing is None:
        steps += _create(document, world, image)
    else:
        steps += _settle(document, world, existing, image)
    steps += left
    as_declared = not any(step.action.changed for step in steps)
    return [nothing(KIND, document.name, "the container is as declared"), *steps] if as_declared else steps


def _last(document: ContainerDocument, world: World) -> list[Step]:
    """What comes when the container runs."""
    return [healthy.wait(document, world)] if document.state == "healthy" else []


def _check_containers(document: ContainerDocument, world: World) -> None:
    """Containers whose namespaces or volumes are used must be there, or come by this request."""
    references = {
        option: value.partition(":")[2]
        for option, value in (
            ("network_mode", document.network_mode or ""),
            ("pid_mode", document.declared.get("pid_mode", "")),
            ("ipc_mode", document.declared.get("ipc_mode", "")),
        )
        if value.startswith("container:")
    }
    for option in ("volumes_from", "links"):
        for number, entry in enumerate(document.declared.get(option, ())):
            references[f"{option}[{number}]"] = entry.partition(":")[0]
    for option, reference in references.items():
        if not world.declares(KIND, reference):
            try:
                world.nouns.containers.find(reference)
            except NotFound:
                raise NotFound("no such container", field=option, value=reference) from None


# ---- the image


async def _image_steps(
    document: ContainerDocument, world: World, existing: Container | None
) -> tuple[list[Step], Target]:
    """The image that the container shall have, with the pull that brings it."""
    name = document.image
    if name is None:
        if existing is None:
            raise InvalidParameter("is required to create the container", field="image")
        return [], world.image(existing.image_id)
    coming = world.coming_image(name)
    handling = document.handling
    if isinstance(coming, ExpectedImage) or name.startswith("sha256:") or handling.pull == "never":
        if coming is None:
            reason = "no such image on the host" + (", and pull is never" if handling.pull == "never" else "")
            raise NotFound(reason, field="image", value=name)
        return [], coming
    if coming is not None and handling.pull == "missing":
        return [], coming
    step = await pull_step(named(name, "latest"), handling.platform, world, coming, field="image")
    return ([step] if step.action.changed else []), world.coming_image(name)


def _image_differs(document: ContainerDocument, existing: Container, image: Target) -> bool:
    if document.image is None or document.handling.comparisons.get("image") == "ignore":
        return False
    if image is None or image.id != existing.image_id:
        return True
    by_name = document.handling.image_name_mismatch == "recreate"
    return by_name and named(existing.config.image, "latest") != named(document.image, "latest")


# ---- a container that is not there


def _create(document: ContainerDocument, world: World, image: Target) -> list[Step]:
    request = _request(document, document.image or "", world.labels)
    _check_request(request, image)
    after = {"state": "present", "image": document.image, **_declared(document)}
    action = Action(KIND, document.name, "create", "there is no such container", {"state": "absent"}, after)
    steps = [Step(action, container_steps.create(request, world))]
    if document.state in RUNNING:
        steps += container_steps.first_start(document, world)
    return [*steps, *_last(document, world)]


def _request(document: ContainerDocument, image: str, labels: Mapping[str, str]) -> CreateRequest:
    draft = Draft().with_config(image=image)
    for option, value in document.declared.items():
        draft = PROPERTIES[option].write(draft, value)
    asked = attachments.wanted(document)
    draft = draft.with_host(network_mode=asked.mode or attachments.DEFAULT_MODE)
    draft = draft.with_config(labels={**draft.config.labels, **labels})
    config = draft.config
    if config.open_stdin and not document.handling.detach:
        draft = draft.with_config(attach_stdin=True, stdin_once=True)
    endpoints: Mapping[str, EndpointSettings] = asked.endpoints or {}
    return CreateRequest(
        document.name, document.handling.platform, draft.config, draft.host, NetworkingConfig(endpoints)
    )


def _check_request(request: CreateRequest, image: Target) -> None:
    """What creation would refuse is refused by the plan, before anything has changed."""
    validate.check_request(request)
    if request.host_config.log_config.type:
        log_options.check(request.host_config.log_config)
    if isinstance(image, Image):
        merge.command_line(merge.with_image_defaults(request.config, image.config))
    for number, mount in enumerate(request.host_config.mounts):
        made = mount.bind is not None and mount.bind.create_mountpoint
        if mount.type == "bind" and not made and not Path(mount.source).exists():
            raise InvalidParameter("no such path on the host", field=f"mounts[{number}].source", value=mount.source)


def _declared(document: ContainerDocument) -> dict[str, Any]:
    """The declared options as JSON, for the account of a creation."""
    shown = {option: PROPERTIES[option].show(value) for option, value in document.declared.items()}
    if document.network_mode is not None:
        shown["network_mode"] = document.network_mode
    if document.networks is not None:
        shown["networks"] = attachments.shown(document.networks)
    return shown


# ---- a container that is there


def _settle(document: ContainerDocument, world: World, existing: Container, image: Target) -> list[Step]:
    inherited = _inherited(document, world, existing, image)
    changed = differences(document, existing, inherited)
    _check_labels(document, inherited)
    found = Findings(changed, attachments.changes(document, existing, world), _image_differs(document, existing, image))
    if found.needs_recreate or document.handling.recreate:
        return _recreate(document, world, existing, image, found)
    steps = []
    if changed:
        steps.append(container_steps.update(document, world, existing, changed))
    steps += container_steps.plug(document, world, existing, found.networks)
    return [*steps, *container_steps.run_state(document, world, existing), *_last(document, world)]


def _inherited(document: ContainerDocument, world: World, existing: Container, image: Target) -> ImageConfig:
    """The image configuration that explains what nobody declared."""
    if document.handling.image_comparison == "desired-image" and isinstance(image, Image):
        return image.config
    return world.image_config(existing)


def _check_labels(document: ContainerDocument, image: ImageConfig) -> None:
    """``image_label_mismatch: fail``: labels that come from the image and are not declared are a fault."""
    if document.handling.image_label_mismatch != "fail" or "labels" not in document.declared:
        return
    unknown = sorted(name for name in image.labels if name not in document.declared["labels"])
    if unknown:
        raise InvalidParameter(f"the image brings labels that are not declared: {', '.join(unknown)}", field="labels")


def _recreate(
    document: ContainerDocument, world: World, existing: Container, image: Target, found: Findings
) -> list[Step]:
    labels = {**ownership.kept(existing.config.labels), **world.labels}
    request = _request(document, document.image or existing.config.image, labels)
    _check_request(request, image)
    reasons = [one.option for one in found.options if not one.live]
    before = {one.option: one.before for one in found.options}
    after = {one.option: one.after for one in found.options}
    if found.networks.mode:
        reasons.append("network_mode")
        before["network_mode"], after["network_mode"] = found.networks.mode
    if found.image:
        reasons.append("image")
        new_id = image.id if image is not None else ""
        before |= {"image": existing.config.image, "image_id": existing.image_id}
        after |= {"image": document.image, "image_id": new_id or "(not known before it is made)"}
    if found.networks.connect or found.networks.disconnect:
        container_steps.show_networks(existing, found.networks, before, after)
    reason = f"{', '.join(reasons)} changed" if reasons else "recreate is asked for"
    action = Action(KIND, document.name, "recreate", reason, before, after)
    rest = container_steps.start(document, world, shown_state(existing)) if document.state in RUNNING else []
    rest += _last(document, world)
    return replacement.Replacement(document, request, world, existing).guarded(action, rest)
