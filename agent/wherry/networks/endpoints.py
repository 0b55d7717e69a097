"""What a plug of a container looks like before the kernel knows of it: addresses, names, ways out. Pure functions."""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Sequence
from ipaddress import ip_address, ip_network

from wherry.errors import Forbidden, InvalidParameter, Unsupported
from wherry.ids import new_id
from wherry.networks.addresses import claim_address, mac_for
from wherry.networks.model import DEFAULT_NETWORK, Endpoint, EndpointRequest, Network, Sandbox
from wherry.networks.options import bridge_options, link_name, macvlan_options
from wherry.networks.plumbing import Plug
from wherry.networks.rules import PortRule

OWN_OPTIONS = "com.docker.network."
INTERFACE_NAME = f"{OWN_OPTIONS}endpoint.ifname"
_PLAIN_DRIVERS = ("host", "null")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_MULTICAST_BIT = 0x01
_LINK_DIGITS = 7


def make_endpoint(
    network: Network, request: EndpointRequest, taken: Collection[str], interfaces: Collection[str], instance: str
) -> Endpoint:
    """Chooses all that the request leaves open.

    ``taken`` are the addresses that the network has given out, ``interfaces`` the links that the container has.
    """
    endpoint_id = new_id()
    if network.driver in _PLAIN_DRIVERS:
        return Endpoint(endpoint_id, network.id, network.name, "", "")
    _check_request(network, request)
    spec = network.spec
    ipv4 = claim_address(spec.subnets, request.ipv4, 4, taken) if spec.enable_ipv4 else ""
    ipv6 = claim_address(spec.subnets, request.ipv6, 6, taken) if spec.enable_ipv6 else ""
    return Endpoint(
        id=endpoint_id,
        network_id=network.id,
        network_name=network.name,
        interface=_interface(request, interfaces),
        mac=_mac(request.mac, ipv4),
        host_link=f"v{instance}{endpoint_id[:_LINK_DIGITS]}" if network.driver == "bridge" else "",
        ipv4=ipv4,
        ipv6=ipv6,
        gateway4="" if spec.internal else _gateway(network, ipv4),
        gateway6="" if spec.internal else _gateway(network, ipv6),
        aliases=request.aliases,
        gw_priority=request.gw_priority,
        driver_options=request.driver_options,
        links=request.links,
        link_local=tuple(_link_local(text) for text in request.link_local),
    )


def plug_of(network: Network, endpoint: Endpoint) -> Plug:
    """How the endpoint is plugged in."""
    if network.driver == "bridge":
        options = bridge_options(network.spec.options)
        return Plug(endpoint, "bridge", network.link, options.mtu, isolated=not options.icc)
    macvlan = macvlan_options(network.spec.options)
    return Plug(endpoint, network.driver, network.link, macvlan.mtu, macvlan.mode)


def gateway_endpoint(endpoints: Sequence[Endpoint], version: int) -> Endpoint | None:
    """The way out: the highest gateway priority, then the first network by name, as Docker decides."""
    able = [one for one in endpoints if (one.gateway6 if version == 6 else one.gateway4)]
    return min(able, key=lambda one: (-one.gw_priority, one.network_name), default=None)


def port_rules(sandbox: Sandbox, networks: dict[str, Network]) -> tuple[PortRule, ...]:
    """What the firewall publishes for a container: its ports lead to the addresses that answers leave by."""
    rules = []
    for port in sandbox.ports:
        version = 6 if ":" in port.host_ip else 4
        endpoint = publishing_endpoint(sandbox.endpoints, networks, version)
        if endpoint is None:
            continue
        options = bridge_options(networks[endpoint.network_id].spec.options)
        mode = options.gateway_mode6 if version == 6 else options.gateway_mode4
        target = endpoint.address6 if version == 6 else endpoint.address4
        routed = mode == "routed"
        rules.append(PortRule(port.protocol, port.host_ip, port.host_port, target, port.container_port, routed))
    return tuple(rules)


def publishing_endpoint(endpoints: Sequence[Endpoint], networks: dict[str, Network], version: int) -> Endpoint | None:
    """The endpoint on a bridge that published ports lead to."""
    bridged = [one for one in endpoints if networks[one.network_id].driver == "bridge"]
    return gateway_endpoint(bridged, version)


def _check_request(network: Network, request: EndpointRequest) -> None:
    for name in request.driver_options:
        # Options of other drivers and of tools are theirs; as in Docker, a driver passes over what is not its own.
        if name.startswith(OWN_OPTIONS) and name != INTERFACE_NAME:
            raise Unsupported(f'not supported: endpoint option "{name}"; known: {INTERFACE_NAME}')
    wants_address = bool(request.ipv4 or request.ipv6)
    if wants_address and network.name == DEFAULT_NETWORK:
        raise InvalidParameter("user specified IP address is supported on user defined networks only")
    if wants_address and not network.user_subnet:
        raise InvalidParameter(
            "user specified IP address is supported only when connecting to networks with user configured subnets"
        )
    if request.ipv6 and not network.spec.enable_ipv6:
        raise InvalidParameter(
            f"IPv6 is not enabled for network {network.name}", field="IPv6Address", value=request.ipv6
        )
    if request.ipv4 and not network.spec.enable_ipv4:
        raise InvalidParameter(
            f"IPv4 is not enabled for network {network.name}", field="IPv4Address", value=request.ipv4
        )
    if request.aliases and network.name == DEFAULT_NETWORK:
        raise InvalidParameter("network-scoped aliases are only supported for user-defined networks")


def _interface(request: EndpointRequest, used: Collection[str]) -> str:
    wanted = request.driver_options.get(INTERFACE_NAME, "")
    if wanted:
        if link_name(INTERFACE_NAME, wanted) in {*used, "lo"}:
            raise Forbidden(f"the container already has a link {wanted}", field=INTERFACE_NAME, value=wanted)
        return wanted
    return next(name for number in range(len(used) + 1) if (name := f"eth{number}") not in used)


def _mac(wanted: str, ipv4: str) -> str:
    text = wanted.lower().replace("-", ":")
    if text:
        if not _MAC.fullmatch(text) or int(text[:2], 16) & _MULTICAST_BIT:
            raise InvalidParameter(
                "invalid MAC address",
                field="MacAddress",
                value=wanted,
                allowed="a unicast address like 02:42:ac:11:00:02",
            )
        return text
    if ipv4:
        return mac_for(ipv4.partition("/")[0])
    return "02:42:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(4))


def _link_local(text: str) -> str:
    """With the prefix that addresses of this kind have (RFC 3927, RFC 4291)."""
    try:
        address = ip_address(text)
    except ValueError:
        raise InvalidParameter(f"invalid link-local IP address: {text}") from None
    if not address.is_link_local:
        raise InvalidParameter(f"invalid link local IP address: {text}")
    return f"{address}/{16 if address.version == 4 else 64}"


def _gateway(network: Network, address: str) -> str:
    if not address:
        return ""
    alone = ip_address(address.partition("/")[0])
    return next((subnet.gateway for subnet in network.spec.subnets if alone in ip_network(subnet.subnet)), "")
