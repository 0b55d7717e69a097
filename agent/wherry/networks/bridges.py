"""The bridge driver's part on the host: the bridge itself, its addresses and settings."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

from wherry.errors import Conflict, SystemFailure
from wherry.networks import links
from wherry.networks.host_settings import HostSettings
from wherry.networks.model import Network
from wherry.networks.netlink import RouteSocket
from wherry.networks.options import bridge_options
from wherry.networks.rules import BridgeRules


def ensure(network: Network, settings: HostSettings, *, owned: bool) -> None:
    """Makes the bridge as the record says, or repairs it. Blocks.

    ``owned`` is false for a bridge of the operator's that the default network was told to use: that one keeps its
    settings and must be there.
    """
    options = bridge_options(network.spec.options)
    with RouteSocket() as kernel:
        link = kernel.link(network.link)
        if link is None and not owned:
            raise SystemFailure(f"bridge {network.link} of the configuration does not exist on this host")
        if link is not None and links.kind_of(link) != "bridge":
            raise Conflict(f"cannot make bridge {network.link}: a link of this name exists and is no bridge")
        if link is None:
            kernel.send([links.add_bridge(network.link, _mac(network.id), options.mtu)])
        if owned:
            _configure(kernel, network, settings)
    _allow_loopback(network, settings)


def remove(link: str) -> None:
    """Deletes the bridge; harmless when it is gone. Blocks."""
    with RouteSocket() as kernel:
        kernel.send([links.delete_link(link)])


def rules_of(network: Network) -> BridgeRules:
    """What the firewall must know of a bridge network."""
    options = bridge_options(network.spec.options)
    return BridgeRules(
        link=network.link,
        subnets=tuple(subnet.subnet for subnet in network.spec.subnets),
        masquerade=options.masquerade,
        icc=options.icc,
        internal=network.spec.internal,
        mode4=options.gateway_mode4,
        mode6=options.gateway_mode6,
    )


def _configure(kernel: RouteSocket, network: Network, settings: HostSettings) -> None:
    index = links.index_of(kernel, network.link)
    if index is None:
        raise SystemFailure(f"bridge {network.link} vanished while it was made")
    ipv6 = network.spec.enable_ipv6
    conf = f"net/ipv6/conf/{network.link}"
    # A router advertisement that a container sends must not become a route of the host (CVE-2020-13401).
    settings.set_own_link(f"{conf}/accept_ra", "0", optional=True)
    settings.set_own_link(f"{conf}/accept_dad", "0", optional=True)
    settings.set_own_link(f"{conf}/disable_ipv6", "0" if ipv6 else "1", optional=not ipv6)
    wanted = {_gateway_with_prefix(subnet.gateway, subnet.subnet) for subnet in network.spec.subnets}
    present = set(kernel.addresses(index))
    kernel.send(
        [links.delete_address(index, text) for text in sorted(present - wanted)]
        + [links.add_address(index, text) for text in sorted(wanted - present)]
        + [links.set_up(index, f"bring bridge {network.link} up")]
    )


def _allow_loopback(network: Network, settings: HostSettings) -> None:
    """Lets the host reach published ports on 127.0.0.1: its packets leave by the bridge with that source address.

    ``chain protect_loopback`` in rules.py keeps everybody else out of 127.0.0.0/8.
    """
    if not network.spec.internal and bridge_options(network.spec.options).gateway_mode4 == "nat":
        settings.set_own_link(f"net/ipv4/conf/{network.link}/route_localnet", "1")


def _mac(network_id: str) -> str:
    return "02:42:" + ":".join(network_id[place : place + 2] for place in range(0, 8, 2))


def _gateway_with_prefix(gateway: str, subnet: str) -> str:
    return str(ip_interface(f"{gateway}/{ip_network(subnet).prefixlen}"))
