"""How a container's networks are compared with those declared, and what has to be plugged in or out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.containers.model import Container, EndpointSettings
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.networks import attachment_json
from wherry.engine.world import World
from wherry.errors import InvalidParameter, NotFound

UNNAMED_MODES = ("host", "none")
DEFAULT_MODE = "default"
BRIDGE = "bridge"


@dataclass(frozen=True)
class Wanted:
    """The network mode and the endpoints that a container shall have; ``mode`` ``None`` is not declared."""

    mode: str | None
    endpoints: Mapping[str, EndpointSettings] | None


@dataclass(frozen=True)
class NetworkChanges:
    """What differs: a network mode asks for a recreate, endpoints are plugged in and out of a running container."""

    mode: tuple[str, str] | None = None
    connect: Mapping[str, EndpointSettings] | None = None
    disconnect: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.mode or self.connect or self.disconnect)


def wanted(document: ContainerDocument) -> Wanted:
    """Mode and endpoints as declared. Without a mode the first network is it, as with ``docker run --network``."""
    mode = document.network_mode
    if mode is None and document.networks and document.handling.networks_cli_compatible:
        mode = next(iter(document.networks))
    return Wanted(mode, document.networks)


def check_networks(document: ContainerDocument, world: World) -> None:
    """Every network named must be there, or come by this request; addresses must be in one of its pools."""
    asked = wanted(document)
    names = dict.fromkeys(asked.endpoints or {}, "networks")
    if asked.mode and asked.mode not in {*UNNAMED_MODES, DEFAULT_MODE} and not asked.mode.startswith("container:"):
        names.setdefault(asked.mode, "network_mode")
    for name, option in names.items():
        coming = world.is_network_coming(name)
        network = world.network(name)
        if coming is False or (coming is None and network is None):
            field = f"networks[{list(asked.endpoints or {}).index(name)}].name" if option == "networks" else option
            raise NotFound("no such network", field=field, value=name)
        if network is not None and coming is None:
            pools = [ipaddress.ip_network(one.subnet) for one in network.spec.subnets]
            _check_addresses(document, name, pools)


def _check_addresses(document: ContainerDocument, name: str, pools: list[Any]) -> None:
    endpoints = document.networks or {}
    if name not in endpoints or not pools:
        return
    place = f"networks[{list(endpoints).index(name)}]"
    settings = endpoints[name]
    for option, address in (("ipv4_address", settings.ipv4), ("ipv6_address", settings.ipv6)):
        if address and not any(ipaddress.ip_address(address) in pool for pool in pools):
            shown = ", ".join(str(pool) for pool in pools)
            raise InvalidParameter(f"is not in a subnet of network {name}", field=f"{place}.{option}", value=address,
                                   allowed=f"its subnets are {shown}")  # fmt: skip


def changes(document: ContainerDocument, container: Container, world: World) -> NetworkChanges:
    """What differs between the container's networks and the declared ones."""
    asked = wanted(document)
    mode = None
    comparisons = document.handling.comparisons
    if document.network_mode is not None and comparisons.get("network_mode") != "ignore":
        have = _plain_mode(container.host_config.network_mode, world)
        if _plain_mode(document.network_mode, world) != have:
            mode = (container.host_config.network_mode, document.network_mode)
    if asked.endpoints is None or comparisons.get("networks") == "ignore":
        return NetworkChanges(mode)
    now = container.networking.endpoints
    connect = {name: wish for name, wish in asked.endpoints.items() if name not in now or not _agrees(wish, now[name])}
    # A network that is made anew by this request plugs its containers in again by itself.
    purge = document.handling.purge_networks or comparisons.get("networks", comparisons.get("*")) == "strict"
    kept = {*asked.endpoints, *({asked.mode} if document.network_mode else set())}
    gone = tuple(name for name in now if purge and name not in kept)
    return NetworkChanges(mode, connect, gone)


def _plain_mode(mode: str, world: World) -> str:
    """``default`` is the network ``bridge``; a container counts by its ID."""
    if mode.startswith("container:"):
        try:
            return f"container:{world.nouns.containers.find(mode.partition(':')[2]).id}"
        except NotFound:
            return mode
    return BRIDGE if mode in {"", DEFAULT_MODE} else mode


def _agrees(wish: EndpointSettings, now: EndpointSettings) -> bool:
    """Only what is declared of an attachment is compared; aliases that are more do not matter."""
    return (
        (not wish.ipv4 or wish.ipv4 == now.ipv4)
        and (not wish.ipv6 or wish.ipv6 == now.ipv6)
        and (not wish.mac or wish.mac == now.mac.lower())
        and set(wish.aliases) <= set(now.aliases)
        and set(wish.links) <= set(now.links)
        and (not wish.gw_priority or wish.gw_priority == now.gw_priority)
        and all(now.driver_options.get(name) == value for name, value in wish.driver_options.items())
    )


def shown(endpoints: Mapping[str, EndpointSettings]) -> list[dict[str, Any]]:
    """Endpoints in the words of the option ``networks``."""
    return [attachment_json(settings, name) for name, settings in endpoints.items()]
