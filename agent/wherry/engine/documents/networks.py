"""How containers and networks meet: ``networks`` of a container, ``ipam_config`` of a network."""

from __future__ import annotations

import ipaddress
from typing import Any

from wherry.containers.model import EndpointSettings
from wherry.engine.documents import fields, links
from wherry.engine.documents.container_values import mac_address
from wherry.errors import InvalidParameter
from wherry.networks.model import Subnet


def attachments(value: Any, where: str) -> dict[str, EndpointSettings]:
    """Reads ``networks`` of a container, in the order given."""
    found: dict[str, EndpointSettings] = {}
    if not isinstance(value, (list, tuple)):
        raise InvalidParameter("must be a list", field=where, value=value)
    for number, entry in enumerate(value):
        options = fields.suboptions(entry, f"{where}[{number}]")
        name = options.required("name", fields.filled)
        if name in found:
            raise InvalidParameter("is given twice", field=options.field("name"), value=name)
        found[name] = EndpointSettings(
            ipv4=options.default("ipv4_address", fields.address(4), ""),
            ipv6=options.default("ipv6_address", fields.address(6), ""),
            mac=options.default("mac_address", mac_address, ""),
            aliases=options.default("aliases", fields.texts, ()),
            driver_options=options.default("driver_opts", fields.text_map, {}),
            gw_priority=options.default("gw_priority", fields.whole(), 0),
            links=options.default("links", links.read, ()),
        )
        options.finish()
    return found


def subnets(value: Any, where: str) -> tuple[Subnet, ...]:
    """Reads ``ipam_config`` of a network."""
    return fields.list_of(_subnet)(value, where)


def _subnet(value: Any, where: str) -> Subnet:
    options = fields.suboptions(value, where)
    subnet = options.default("subnet", _network, "")
    made = Subnet(
        subnet=subnet,
        ip_range=options.default("iprange", _network, ""),
        gateway=options.default("gateway", fields.address(), ""),
        auxiliary=options.default("aux_addresses", fields.map_of(fields.address()), {}),
    )
    options.finish()
    if not subnet:
        if made != Subnet(""):
            raise InvalidParameter(
                "is required beside gateway, iprange and aux_addresses", field=options.field("subnet")
            )
        return made
    pool = ipaddress.ip_network(subnet)
    if made.gateway and ipaddress.ip_address(made.gateway) not in pool:
        raise InvalidParameter(f"is not in the subnet {subnet}", field=options.field("gateway"), value=made.gateway)
    if made.ip_range and not _within(made.ip_range, subnet):
        raise InvalidParameter(
            f"is not within the subnet {subnet}", field=options.field("iprange"), value=made.ip_range
        )
    for name, address in made.auxiliary.items():
        if ipaddress.ip_address(address) not in pool:
            field = options.field(f"aux_addresses.{name}")
            raise InvalidParameter(f"is not in the subnet {subnet}", field=field, value=address)
    return made


def _within(inner: str, outer: str) -> bool:
    first, second = ipaddress.ip_network(inner), ipaddress.ip_network(outer)
    same = first.version == second.version
    return same and first.network_address in second and first.broadcast_address in second


def _network(value: Any, where: str) -> str:
    try:
        return str(ipaddress.ip_network(fields.text(value, where)))
    except ValueError as error:
        detail = "has host bits set" if "host bits" in str(error) else "is not a subnet"
        raise InvalidParameter(
            detail, field=where, value=value, allowed="address/prefix length, such as 10.88.0.0/24"
        ) from None


def attachment_json(settings: EndpointSettings, name: str) -> dict[str, Any]:
    """An entry of ``networks`` in the words of the option, without what says nothing."""
    body = {
        "name": name,
        "ipv4_address": settings.ipv4,
        "ipv6_address": settings.ipv6,
        "mac_address": settings.mac,
        "aliases": list(settings.aliases),
        "driver_opts": dict(settings.driver_options),
        "gw_priority": settings.gw_priority,
        "links": list(settings.links),
    }
    return {key: value for key, value in body.items() if value}


def subnet_json(subnet: Subnet) -> dict[str, Any]:
    """An entry of ``ipam_config`` in the words of the option."""
    body = {
        "subnet": subnet.subnet,
        "iprange": subnet.ip_range,
        "gateway": subnet.gateway,
        "aux_addresses": dict(subnet.auxiliary),
    }
    return {key: value for key, value in body.items() if value}
