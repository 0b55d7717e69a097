"""Requests for links, addresses and routes: what the drivers of networks ask the kernel for.

Nothing is sent here; a driver collects requests into a batch for one RouteSocket.
"""

from __future__ import annotations

import errno
import socket
from ipaddress import ip_interface
from typing import Any

from wherry.networks.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWROUTE,
    RTM_SETLINK,
    Request,
    RouteSocket,
    nested,
)

_IFF_UP = 1
_NODAD = 0x02
_MAIN_TABLE, _STATIC_PROTOCOL, _UNIVERSE, _LINK_SCOPE, _UNICAST = 254, 4, 0, 253, 1


def add_bridge(name: str, mac: str, mtu: int) -> Request:
    """A bridge, up. The MAC is given, because otherwise it changes with every port that comes and goes."""
    attributes: list[tuple[str, Any]] = [
        ("IFLA_IFNAME", name),
        ("IFLA_ADDRESS", mac),
        ("IFLA_LINKINFO", nested(("IFLA_INFO_KIND", "bridge"))),
    ]
    if mtu:
        attributes.insert(1, ("IFLA_MTU", mtu))
    return Request(f"make bridge {name}", RTM_NEWLINK, _up(), attributes, CREATE | EXCLUSIVE, frozenset({errno.EEXIST}))


def add_veth(host_name: str, bridge: int, mtu: int, *, peer_name: str, peer_mac: str, namespace: int) -> Request:
    """A pair of links: one a port of the bridge and up, its peer at once inside the namespace (a descriptor)."""
    size: list[tuple[str, Any]] = [("IFLA_MTU", mtu)] if mtu else []
    peer = nested(("IFLA_IFNAME", peer_name), ("IFLA_ADDRESS", peer_mac), ("IFLA_NET_NS_FD", namespace), *size)
    info = nested(("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", nested(("VETH_INFO_PEER", peer))))
    attributes = [("IFLA_IFNAME", host_name), *size, ("IFLA_MASTER", bridge), ("IFLA_LINKINFO", info)]
    return Request(f"make link {host_name}", RTM_NEWLINK, _up(), attributes, CREATE | EXCLUSIVE)


def add_pair(name: str, peer_name: str) -> Request:
    """A pair of links on the host, both down."""
    peer = nested(("IFLA_IFNAME", peer_name))
    info = nested(("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", nested(("VETH_INFO_PEER", peer))))
    attributes = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    return Request(f"make link {name}", RTM_NEWLINK, {}, attributes, CREATE | EXCLUSIVE)


def add_macvlan(parent: int, mode: str, mtu: int, *, name: str, mac: str, namespace: int) -> Request:
    """A macvlan child of the parent link, made inside the namespace."""
    info = nested(("IFLA_INFO_KIND", "macvlan"), ("IFLA_INFO_DATA", nested(("IFLA_MACVLAN_MODE", mode))))
    attributes: list[tuple[str, Any]] = [("IFLA_LINK", parent), ("IFLA_IFNAME", name), ("IFLA_NET_NS_FD", namespace)]
    if mac:
        attributes.append(("IFLA_ADDRESS", mac))
    if mtu:
        attributes.append(("IFLA_MTU", mtu))
    attributes.append(("IFLA_LINKINFO", info))
    return Request(f"make macvlan link {name}", RTM_NEWLINK, {}, attributes, CREATE | EXCLUSIVE)


def add_vlan(parent: int, tag: int, name: str) -> Request:
    """A VLAN sub-interface of a link, up (802.1Q)."""
    info = nested(("IFLA_INFO_KIND", "vlan"), ("IFLA_INFO_DATA", nested(("IFLA_VLAN_ID", tag))))
    attributes = [("IFLA_LINK", parent), ("IFLA_IFNAME", name), ("IFLA_LINKINFO", info)]
    return Request(f"make VLAN link {name}", RTM_NEWLINK, _up(), attributes, CREATE | EXCLUSIVE)


def set_up(index: int, what: str = "bring the link up") -> Request:
    """A link that exists goes up."""
    return Request(what, RTM_SETLINK, {"index": index, **_up()}, [])


def set_mtu(index: int, mtu: int) -> Request:
    """Another largest packet."""
    return Request(f"set MTU {mtu}", RTM_SETLINK, {"index": index}, [("IFLA_MTU", mtu)])


def set_port(index: int, *, isolated: bool, hairpin: bool) -> Request:
    """How a bridge port behaves.

    ``isolated``: it reaches the bridge itself and no other isolated port (icc=false), without netfilter's help.
    ``hairpin``: what comes in by it may leave by it.
    """
    port = nested(("IFLA_BRPORT_MODE", int(hairpin)), ("IFLA_BRPORT_ISOLATED", int(isolated)))
    info = nested(("IFLA_INFO_SLAVE_KIND", "bridge"), ("IFLA_INFO_SLAVE_DATA", port))
    return Request("set up the bridge port", RTM_NEWLINK, {"index": index}, [("IFLA_LINKINFO", info)])


def delete_link(name: str) -> Request:
    """The link and, with it, its peer or children; no failure when it is gone already."""
    return Request(f"remove link {name}", RTM_DELLINK, {}, [("IFLA_IFNAME", name)], 0, frozenset({errno.ENODEV}))


def add_address(index: int, text: str) -> Request:
    """An address with prefix length; no duplicate address detection, because the agent knows what it hands out."""
    interface = ip_interface(text)
    fields = {
        "family": _family(interface.version),
        "prefixlen": interface.network.prefixlen,
        "flags": _NODAD if interface.version == 6 else 0,
        "scope": _UNIVERSE,
        "index": index,
    }
    attributes = [("IFA_LOCAL", str(interface.ip)), ("IFA_ADDRESS", str(interface.ip))]
    if interface.version == 4:
        attributes.append(("IFA_BROADCAST", str(interface.network.broadcast_address)))
    flags = CREATE | EXCLUSIVE
    return Request(f"add address {text}", RTM_NEWADDR, fields, attributes, flags, frozenset({errno.EEXIST}))


def delete_address(index: int, text: str) -> Request:
    """The address goes; no failure when it is gone already."""
    interface = ip_interface(text)
    fields = {"family": _family(interface.version), "prefixlen": interface.network.prefixlen, "index": index}
    attributes = [("IFA_LOCAL", str(interface.ip))]
    return Request(
        f"remove address {text}", RTM_DELADDR, fields, attributes, 0, frozenset({errno.EADDRNOTAVAIL, errno.ENODEV})
    )


def default_route(index: int, gateway: str) -> Request:
    """The default route of an IP version, by a gateway or (empty gateway) straight onto the link."""
    version = 6 if ":" in gateway else 4
    fields = _route_fields(version, _UNIVERSE if gateway else _LINK_SCOPE)
    attributes: list[tuple[str, Any]] = [("RTA_OIF", index)]
    if gateway:
        attributes.append(("RTA_GATEWAY", gateway))
    return Request(f"set default route by {gateway}", RTM_NEWROUTE, fields, attributes, CREATE | REPLACE)


def drop_default_route(version: int) -> Request:
    """No default route of that IP version any more."""
    fields = _route_fields(version, 255 if version == 4 else _UNIVERSE)
    return Request("drop the default route", RTM_DELROUTE, fields, [], 0, frozenset({errno.ESRCH, errno.ENETUNREACH}))


def index_of(route_socket: RouteSocket, name: str) -> int | None:
    """The index of a link, or None when there is none of that name."""
    link = route_socket.link(name)
    return None if link is None else int(link["index"])


def kind_of(link: Any) -> str:
    """``bridge``, ``veth``, ``vlan``, … or empty for hardware."""
    info = link.get_attr("IFLA_LINKINFO")
    return (info.get_attr("IFLA_INFO_KIND") or "") if info is not None else ""


def _up() -> dict[str, Any]:
    return {"flags": _IFF_UP, "change": _IFF_UP}


def _family(version: int) -> int:
    return int(socket.AF_INET6 if version == 6 else socket.AF_INET)


def _route_fields(version: int, scope: int) -> dict[str, Any]:
    return {
        "family": _family(version),
        "dst_len": 0,
        "src_len": 0,
        "tos": 0,
        "table": _MAIN_TABLE,
        "proto": _STATIC_PROTOCOL,
        "scope": scope,
        "type": _UNICAST,
        "flags": 0,
    }
