"""Engine API JSON of networks: request bodies to records, records to what list and inspect show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.api import json_fields as j
from wherry.api.json_fields import Field
from wherry.errors import InvalidParameter, Unsupported
from wherry.networks.model import LOCAL_SCOPE, Endpoint, Network, NetworkSpec, Sandbox, Subnet

IPAM_FIELDS = (
    Field("Subnet", "subnet", j.text),
    Field("IPRange", "ip_range", j.text),
    Field("Gateway", "gateway", j.text),
    Field("AuxiliaryAddresses", "auxiliary", j.text_map),
)
CREATE_FIELDS = (
    Field("Name", "name", j.text),
    Field("Driver", "driver", j.text),
    Field("EnableIPv4", "enable_ipv4", j.flag),
    Field("EnableIPv6", "enable_ipv6", j.flag),
    Field("Internal", "internal", j.flag),
    Field("Attachable", "attachable", j.flag),
    Field("Options", "options", j.text_map),
    Field("Labels", "labels", j.text_map),
)
_SETTLED_ELSEWHERE = frozenset({"IPAM", "Scope", "CheckDuplicate"})
_SWARM_ONLY = ("Ingress", "ConfigOnly", "ConfigFrom")


def read_spec(body: Mapping[str, Any]) -> NetworkSpec:
    """The body of POST /networks/create."""
    known = frozenset(field.key for field in CREATE_FIELDS) | _SETTLED_ELSEWHERE | frozenset(_SWARM_ONLY)
    body = j.spelled(body, known)
    for name in _SWARM_ONLY:
        if not j.is_neutral(body.get(name)):
            raise Unsupported(f"not supported: {name}: there is no swarm here")
    if body.get("Scope") not in {None, "", LOCAL_SCOPE}:
        raise Unsupported(f'not supported: Scope="{body["Scope"]}"; supported: {LOCAL_SCOPE}')
    body = j.known_only(body, known, "")
    if not body.get("Name"):
        raise InvalidParameter("network name cannot be empty", field="Name")
    wishes = j.read_fields(CREATE_FIELDS, body, "")
    if not wishes.get("driver"):
        wishes["driver"] = "bridge"
    spec = NetworkSpec(**wishes, **_read_ipam(body.get("IPAM")))
    # Clients ask for an IPv6 subnet without the flag: docker-py leaves it out, older command lines send false.
    return replace(spec, enable_ipv6=True) if any(subnet.is_ipv6 for subnet in spec.subnets) else spec


def network_json(network: Network, containers: Mapping[str, tuple[Sandbox, Endpoint]]) -> dict[str, Any]:
    """A network as list and inspect show it; ``containers`` are its endpoints by container ID."""
    spec = network.spec
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": network.created,
        "Scope": LOCAL_SCOPE,
        "Driver": network.driver,
        "EnableIPv4": spec.enable_ipv4,
        "EnableIPv6": spec.enable_ipv6,
        "IPAM": {
            "Driver": spec.ipam_driver,
            "Options": dict(spec.ipam_options) or None,
            "Config": [_subnet_json(subnet) for subnet in spec.subnets],
        },
        "Internal": spec.internal,
        "Attachable": spec.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {container_id: _endpoint_json(*plugged) for container_id, plugged in containers.items()},
        "Options": dict(spec.options),
        "Labels": dict(spec.labels),
    }


def _read_ipam(value: Any) -> dict[str, Any]:
    ipam = j.known_only(value, frozenset({"Driver", "Options", "Config"}), "IPAM")
    subnets = j.list_of(j.record_of(_subnet, IPAM_FIELDS))(ipam.get("Config") or [], "IPAM.Config")  # type: ignore[arg-type]
    return {
        "subnets": tuple(subnet for subnet in subnets if subnet != Subnet("")),
        "ipam_driver": j.text(ipam.get("Driver") or "default", "IPAM.Driver"),
        "ipam_options": j.text_map(ipam.get("Options"), "IPAM.Options"),
    }


def _subnet(**wishes: Any) -> Subnet:
    """A pool of which only the range or the gateway may be given; the noun refuses that with the place of it."""
    return Subnet(**{"subnet": "", **wishes})


def _subnet_json(subnet: Subnet) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": subnet.subnet}
    if subnet.ip_range:
        shown["IPRange"] = subnet.ip_range
    if subnet.gateway:
        shown["Gateway"] = subnet.gateway
    if subnet.auxiliary:
        shown["AuxiliaryAddresses"] = dict(subnet.auxiliary)
    return shown


def _endpoint_json(sandbox: Sandbox, endpoint: Endpoint) -> dict[str, Any]:
    return {
        "Name": sandbox.name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": endpoint.ipv4,
        "IPv6Address": endpoint.ipv6,
    }
