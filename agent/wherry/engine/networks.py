"""Plans for networks. None is changed in place: what differs is made anew, and its containers are plugged in again."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wherry.containers.model import Container, EndpointSettings
from wherry.engine.documents.network import NetworkDocument
from wherry.engine.documents.networks import subnet_json
from wherry.engine.model import Action, Run, Step, nothing
from wherry.engine.world import World
from wherry.errors import Conflict, NotFound
from wherry.networks.model import Network, NetworkSpec, Subnet

KIND = NetworkDocument.kind


async def plan(document: NetworkDocument, world: World) -> list[Step]:
    """What has to be done for one network, and for the containers that shall be plugged into it."""
    existing = world.network(document.name)
    if document.state == "absent":
        return _absent(document, world, existing)
    changed = _differences(document, existing) if existing else {}
    if existing is None:
        world.nouns.networks.check(_spec(document, world))
        action = Action(
            KIND, document.name, "create", "there is no such network", {"state": "absent"},
            {"state": "present", **_declared(document)},
        )  # fmt: skip
        world.expect_network(document.name, present=True)
        steps = [Step(action, _create(document, world))]
        plugged: Sequence[Container] = ()
    elif changed or document.force:
        world.nouns.networks.check(_merged_spec(document, existing), replacing=existing.id)
        steps = [_recreate(document, world, existing, changed)]
        plugged = _plugged(world, existing)
    else:
        steps = []
        plugged = _plugged(world, existing)
    steps += _connections(document, world, plugged)
    return steps or [nothing(KIND, document.name, "the network is as declared")]


def _absent(document: NetworkDocument, world: World, existing: Network | None) -> list[Step]:
    if existing is None:
        return [nothing(KIND, document.name, "there is no such network")]
    plugged = [one for one in _plugged(world, existing) if not world.is_container_going(one.name)]
    if plugged and not document.force:
        names = ", ".join(one.name for one in plugged)
        message = f"containers are plugged into the network: {names}"
        raise Conflict(message, field="name", value=document.name, allowed="force unplugs them")
    world.expect_network(document.name, present=False)

    async def remove() -> None:
        for container in _plugged(world, existing):
            await world.nouns.containers.disconnect(document.name, container.id, force=True)
        await world.nouns.networks.remove(existing.id)

    before, after = {"state": "present"}, {"state": "absent"}
    return [Step(Action(KIND, document.name, "remove", "it shall be absent", before, after), remove)]


def _plugged(world: World, network: Network) -> list[Container]:
    """The running containers that are plugged in."""
    attached = world.nouns.networks.attached(network.id)
    return [one for one in world.nouns.containers.all() if one.id in attached]


def _create(document: NetworkDocument, world: World) -> Run:
    async def create() -> None:
        await world.nouns.networks.create(_spec(document, world))

    return create


def _recreate(document: NetworkDocument, world: World, existing: Network, changed: dict[str, tuple[Any, Any]]) -> Step:
    spec = _merged_spec(document, existing)
    world.expect_network(document.name, present=True)

    async def recreate() -> None:
        containers = world.nouns.containers
        plugged = _plugged(world, existing)
        for container in plugged:
            await containers.disconnect(existing.name, container.id, force=True)
        await world.nouns.networks.remove(existing.id)
        await world.nouns.networks.create(spec)
        for container in plugged:
            wishes = container.networking.endpoints.get(existing.name, EndpointSettings())
            await containers.connect(existing.name, container.id, _fitting(wishes, spec.subnets))

    reason = f"{', '.join(changed)} changed" if changed else "force"
    before = {option: values[0] for option, values in changed.items()}
    after = {option: values[1] for option, values in changed.items()}
    return Step(Action(KIND, document.name, "recreate", reason, before, after), recreate)


def _fitting(wishes: EndpointSettings, subnets: Sequence[Subnet]) -> EndpointSettings:
    """The wishes without addresses that are in none of the subnets."""

    def fits(address: str) -> bool:
        pools = [ipaddress.ip_network(one.subnet) for one in subnets if one.subnet]
        return bool(address) and any(ipaddress.ip_address(address) in pool for pool in pools)

    return replace(
        wishes,
        ipv4=wishes.ipv4 if fits(wishes.ipv4) else "",
        ipv6=wishes.ipv6 if fits(wishes.ipv6) else "",
    )


def _connections(document: NetworkDocument, world: World, plugged: Sequence[Container]) -> list[Step]:
    """Containers that ``connected`` names are plugged in; others are unplugged unless ``appends``."""
    if document.connected is None:
        return []
    wanted = []
    for number, reference in enumerate(document.connected):
        container = _container(world, reference, number)
        wanted.append(container.id)
    now = {container.id: container for container in plugged}
    steps = [
        _connect(document, world, container_id)
        for container_id in dict.fromkeys(wanted)
        if container_id not in now and not _wishes(world, container_id, document.name)
    ]
    if not document.appends:
        steps += [_disconnect(document, world, one) for one in plugged if one.id not in wanted]
    return steps


def _container(world: World, reference: str, number: int) -> Container:
    try:
        return world.nouns.containers.find(reference)
    except NotFound:
        raise NotFound("no such container", field=f"connected[{number}]", value=reference) from None


def _wishes(world: World, container_id: str, network: str) -> bool:
    """Whether a container that does not run will be plugged in when it starts."""
    container = world.nouns.containers.find(container_id)
    return not container.state.is_running and network in container.networking.endpoints


def _connect(document: NetworkDocument, world: World, container_id: str) -> Step:
    name = world.nouns.containers.find(container_id).name

    async def connect() -> None:
        await world.nouns.containers.connect(document.name, container_id, EndpointSettings())

    action = Action(KIND, document.name, "connect", f"{name} shall be connected", {}, {"connected": [name]})
    return Step(action, connect)


def _disconnect(document: NetworkDocument, world: World, container: Container) -> Step:
    async def disconnect() -> None:
        await world.nouns.containers.disconnect(document.name, container.id, force=False)

    reason = f"{container.name} is not in connected"
    return Step(Action(KIND, document.name, "disconnect", reason, {"connected": [container.name]}, {}), disconnect)


def _spec(document: NetworkDocument, world: World) -> NetworkSpec:
    default = NetworkSpec(document.name, labels=world.labels)
    return _merged(document, default)


def _merged_spec(document: NetworkDocument, existing: Network) -> NetworkSpec:
    """What is declared over what the network has; subnets that the agent chose are chosen anew."""
    kept = existing.spec if existing.user_subnet else replace(existing.spec, subnets=())
    if document.driver and document.driver != existing.driver:
        kept = replace(kept, options={})
    return _merged(document, kept)


def _merged(document: NetworkDocument, spec: NetworkSpec) -> NetworkSpec:
    declared: dict[str, Any] = {
        "driver": document.driver,
        "subnets": document.ipam_config,
        "enable_ipv4": document.enable_ipv4,
        "enable_ipv6": document.enable_ipv6,
        "internal": document.internal,
        "attachable": document.attachable,
        "ipam_driver": document.ipam_driver,
        "ipam_options": document.ipam_driver_options,
    }
    given: dict[str, Any] = {field: value for field, value in declared.items() if value is not None}
    options = {**spec.options, **(document.driver_options or {})}
    labels = {**spec.labels, **(document.labels or {})}
    return replace(spec, options=options, labels=labels, **given)


def _declared(document: NetworkDocument) -> dict[str, Any]:
    options: dict[str, Any] = {
        "driver": document.driver,
        "driver_options": document.driver_options,
        "ipam_driver": document.ipam_driver,
        "ipam_driver_options": document.ipam_driver_options,
        "enable_ipv4": document.enable_ipv4,
        "enable_ipv6": document.enable_ipv6,
        "internal": document.internal,
        "attachable": document.attachable,
        "labels": document.labels,
    }
    if document.ipam_config is not None:
        options["ipam_config"] = [subnet_json(one) for one in document.ipam_config]
    return {option: value for option, value in options.items() if value is not None}


def _differences(document: NetworkDocument, network: Network) -> dict[str, tuple[Any, Any]]:
    """Before and after of the options that differ; of options and labels only the declared names count."""
    spec = network.spec
    current: dict[str, Any] = {
        "driver": spec.driver,
        "driver_options": {name: spec.options.get(name) for name in document.driver_options or {}},
        "ipam_driver": spec.ipam_driver or "default",
        "ipam_driver_options": {name: spec.ipam_options.get(name) for name in document.ipam_driver_options or {}},
        "enable_ipv4": spec.enable_ipv4,
        "enable_ipv6": spec.enable_ipv6,
        "internal": spec.internal,
        "attachable": spec.attachable,
        "labels": {name: spec.labels.get(name) for name in document.labels or {}},
        "ipam_config": [subnet_json(one) for one in spec.subnets],
    }
    wanted = _declared(document)
    found = {
        option: (current[option], value)
        for option, value in wanted.items()
        if option != "ipam_config" and current[option] != value
    }
    if document.ipam_config is not None and not _same_pools(document.ipam_config, network):
        found["ipam_config"] = (current["ipam_config"], wanted["ipam_config"])
    return found


def _same_pools(wanted: Sequence[Subnet], network: Network) -> bool:
    """Whether every declared pool is there, and no other that a user asked for; order means nothing."""
    have = {one.subnet: one for one in network.spec.subnets}
    for pool in wanted:
        if not pool.subnet:
            continue
        current = have.pop(pool.subnet, None)
        if current is None or not _agrees(pool, current):
            return False
    return not have or not network.user_subnet or any(not pool.subnet for pool in wanted)


def _agrees(wanted: Subnet, current: Subnet) -> bool:
    """A gateway or range that is not declared is not compared."""
    return (
        wanted.gateway in {"", current.gateway}
        and wanted.ip_range in {"", current.ip_range}
        and (not wanted.auxiliary or dict(wanted.auxiliary) == dict(current.auxiliary))
    )
