"""From a network as asked for to a network that can be: names, drivers, options, pools and gateways are settled."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network

from wherry.config import Config
from wherry.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unsupported
from wherry.ids import new_id
from wherry.networks import addresses
from wherry.networks.addresses import AddressPool, Block
from wherry.networks.model import PREDEFINED, Network, NetworkSpec, Subnet
from wherry.networks.options import (
    BRIDGE_NAME,
    DEFAULT_BRIDGE,
    ENABLE_ICC,
    ENABLE_MASQUERADE,
    HOST_BINDING,
    MTU,
    bridge_options,
    macvlan_options,
)

LINK_DIGITS = 4
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9_. -]*[a-zA-Z0-9_.-])?")


@dataclass(frozen=True)
class Surroundings:
    """What a new network must not collide with."""

    networks: Sequence[Network]
    routes: Sequence[Block]
    links: Collection[str]


def check_name(name: str, networks: Sequence[Network]) -> None:
    """Refuses names that are malformed or taken, in Docker's words."""
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            "invalid network name",
            field="Name",
            value=name,
            allowed="a letter or digit, then letters, digits, underscores, periods, hyphens and, within, spaces",
        )
    if name in PREDEFINED:
        raise Forbidden(f"operation is not permitted on predefined {name} network")
    if name == "default":
        raise Forbidden('operation is not permitted: "default" is the name of a network mode')
    if any(network.name == name for network in networks):
        raise Conflict(f"network with name {name} already exists")


def settle(spec: NetworkSpec, around: Surroundings, config: Config, instance: str) -> Network:
    """A network with ID, link name, subnets and gateways; raises when the request cannot be."""
    check_name(spec.name, around.networks)
    driver = spec.driver or "bridge"
    if driver in {"host", "null"}:
        raise Forbidden(f'only one instance of "{driver}" network is allowed')
    if driver == "overlay":
        raise Unsupported("not supported: driver=overlay: there is no swarm here")
    if driver not in {"bridge", "macvlan", "ipvlan"}:
        raise NotFound(f"could not find plugin {driver} in v1 plugin registry: plugin not found")
    if driver == "ipvlan":
        raise Unsupported("not supported: driver=ipvlan; macvlan does the same with a MAC address for each container")
    _check_addressing(spec)
    network_id = new_id()
    options = bridge_options(spec.options) if driver == "bridge" else None
    link = (options.link if options else macvlan_options(spec.options).parent) or _free_link(
        instance, network_id, around
    )
    if options and link in around.links:
        raise Conflict(f"cannot make bridge {link}: a link of this name exists on this host")
    _check_link_owner(link, driver, around.networks)
    internal = spec.internal or (driver == "macvlan" and not macvlan_options(spec.options).parent)
    subnets = _subnets(spec, network_id, around, config)
    settled = replace(spec, driver=driver, subnets=subnets, internal=internal)
    return Network(network_id, timestamp(), settled, link, user_subnet=bool(spec.subnets))


def default_bridge(
    network: Network | None, around: Surroundings, config: Config, instance: str, given: Subnet | None = None
) -> Network:
    """The predefined network ``bridge`` as the configuration wants it, keeping ID and subnet of a known one.

    ``given`` is the subnet that an operator's own bridge (``bridge: br0``) has on the host.
    """
    link = config.bridge or f"{instance}0"
    options = {
        DEFAULT_BRIDGE: "true",
        ENABLE_ICC: _text(config.icc),
        ENABLE_MASQUERADE: _text(config.ip_masq),
        HOST_BINDING: config.ip,
        BRIDGE_NAME: link,
        MTU: str(config.mtu),
    }
    subnet = _default_subnet(network, around, config, given)
    spec = NetworkSpec("bridge", subnets=(subnet,), options=options)
    if network is None:
        return Network(new_id(), timestamp(), spec, link)
    return replace(network, spec=spec, link=link)


def timestamp() -> str:
    """The time now, RFC 3339 with microseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def taken_blocks(networks: Sequence[Network]) -> list[Block]:
    """The subnets that networks have."""
    return [ip_network(subnet.subnet) for network in networks for subnet in network.spec.subnets]


def _check_addressing(spec: NetworkSpec) -> None:
    if spec.ipam_driver not in {"", "default"}:
        raise Unsupported(f"not supported: IPAM driver {spec.ipam_driver}; supported: default")
    if spec.ipam_options:
        raise Unsupported(f"not supported: IPAM options {', '.join(sorted(spec.ipam_options))}")
    if not spec.enable_ipv4 and not spec.enable_ipv6:
        raise InvalidParameter("IPv4 or IPv6 must be enabled", field="EnableIPv4", value="false")


def _subnets(spec: NetworkSpec, network_id: str, around: Surroundings, config: Config) -> tuple[Subnet, ...]:
    asked = [
        addresses.validate_subnet(subnet, f"IPAM.Config[{place}]")
        for place, subnet in enumerate(spec.subnets)
        if subnet.subnet
    ]
    if len(asked) < len(spec.subnets):
        raise InvalidParameter(
            "invalid subnet: none given for a range, gateway or auxiliary address",
            field="IPAM.Config",
            value="",
            allowed="a network in CIDR form, like 10.20.0.0/24",
        )
    _check_versions(asked, spec)
    # Several macvlan networks on one segment may share a subnet; what they hand out is the operator's affair by range.
    others = [network for network in around.networks if spec.driver == "bridge" or network.driver != spec.driver]
    taken = taken_blocks(others)
    addresses.check_overlap(asked, taken)
    if spec.enable_ipv4 and not any(not subnet.is_ipv6 for subnet in asked):
        asked.append(addresses.choose_subnet(pools(config), [*taken, *around.routes]))
    if spec.enable_ipv6 and not any(subnet.is_ipv6 for subnet in asked):
        asked.append(_ipv6_subnet(config, taken, network_id))
    return tuple(addresses.with_gateway(subnet) for subnet in asked)


def _check_versions(subnets: Sequence[Subnet], spec: NetworkSpec) -> None:
    for subnet in subnets:
        if subnet.is_ipv6 and not spec.enable_ipv6:
            raise InvalidParameter("IPv6 is not enabled for this network", field="Subnet", value=subnet.subnet)
        if not subnet.is_ipv6 and not spec.enable_ipv4:
            raise InvalidParameter("IPv4 is not enabled for this network", field="Subnet", value=subnet.subnet)


def pools(config: Config) -> tuple[AddressPool, ...]:
    """The pools of the configuration, or Docker's."""
    configured = tuple(AddressPool(ip_network(pool.base), pool.size) for pool in config.default_address_pools)
    return configured or addresses.DEFAULT_POOLS


def _ipv6_subnet(config: Config, taken: Sequence[Block], network_id: str) -> Subnet:
    if any(isinstance(pool.base, IPv6Network) for pool in pools(config)):
        return addresses.choose_subnet(pools(config), taken, version=6)
    return addresses.unique_local_subnet(network_id)


def _default_subnet(network: Network | None, around: Surroundings, config: Config, given: Subnet | None) -> Subnet:
    if given is not None:
        chosen = given
    elif config.bip:
        address = ip_interface(config.bip)
        chosen = Subnet(str(address.network), gateway=str(address.ip))
    elif network is not None and network.spec.subnets:
        chosen = Subnet(network.spec.subnets[0].subnet)
    elif config.fixed_cidr:
        chosen = Subnet(config.fixed_cidr)
    else:
        taken = [*taken_blocks([one for one in around.networks if one.name != "bridge"]), *around.routes]
        chosen = addresses.choose_subnet(pools(config), taken)
    if config.fixed_cidr and isinstance(ip_network(config.fixed_cidr), IPv4Network):
        chosen = replace(chosen, ip_range=config.fixed_cidr)
    return addresses.with_gateway(addresses.validate_subnet(chosen, "bip"))


def _free_link(instance: str, network_id: str, around: Surroundings) -> str:
    """``<instance>-<4 hex>``: digits of the ID, further along while the name is taken."""
    used = {*around.links, *(network.link for network in around.networks)}
    for start in range(0, len(network_id) - LINK_DIGITS):
        name = f"{instance}-{network_id[start : start + LINK_DIGITS]}"
        if name not in used:
            return name
    raise Conflict(f"no free link name of the form {instance}-XXXX")


def _check_link_owner(link: str, driver: str, networks: Sequence[Network]) -> None:
    for network in networks:
        if network.link == link and not (driver == network.driver == "macvlan"):
            raise Forbidden(f"network {network.name} already uses the link {link}")


def _text(flag: bool) -> str:
    return "true" if flag else "false"
