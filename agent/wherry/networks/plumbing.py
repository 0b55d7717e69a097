"""Inside a container's network namespace: made, plugged, given addresses and routes, and taken away. All calls block.

The agent's own threads never enter another namespace: sockets and settings come out of them through the native library.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.errors import SystemFailure
from wherry.networks import links
from wherry.networks.model import Endpoint
from wherry.networks.netlink import Request, RouteSocket

_BRIDGE_NETFILTER = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")


@dataclass(frozen=True)
class Plug:
    """One endpoint and what it is plugged into: ``link`` is the bridge or the parent on the host."""

    endpoint: Endpoint
    driver: str
    link: str
    mtu: int = 0
    mode: str = ""
    isolated: bool = False


def create_namespace(path: Path, sysctls: Mapping[str, str], user_namespace: str = "") -> None:
    """A new namespace kept at the path, loopback up; ``sysctls`` (dotted names) are set before other links come.

    Only root of the user namespace that it belongs to can use raw sockets and low ports in it.
    """
    if user_namespace:
        native.userns_create_network(user_namespace, path)
    else:
        native.netns_create(path)
    # The kernel's defaults for links that come: addresses are the agent's choice, so no advertisements, no detection.
    if Path("/proc/sys/net/ipv6").exists():
        for name in ("accept_ra", "accept_dad"):
            native.netns_sysctl(str(path), f"net.ipv6.conf.default.{name}", "0")
    for name, value in sysctls.items():
        native.netns_sysctl(str(path), name, value)


def plug(path: Path, plugs: Sequence[Plug]) -> None:
    """Makes the links of the endpoints and brings them up with their addresses; routes come with ``set_routes``."""
    if not plugs:
        return
    _make_links(path, plugs)
    for one in plugs:
        _configure(path, one.endpoint)
    with _inside(path) as kernel:
        requests: list[Request] = []
        for one in plugs:
            index = _index(kernel, one.endpoint.interface)
            texts = [text for text in (one.endpoint.ipv4, one.endpoint.ipv6, *one.endpoint.link_local) if text]
            requests += [links.add_address(index, text) for text in texts]
            requests.append(links.set_up(index, f"bring {one.endpoint.interface} up"))
        kernel.send(requests)


def unplug(path: Path, endpoint: Endpoint) -> None:
    """Takes one endpoint's link out of the namespace."""
    if endpoint.host_link:
        with RouteSocket() as kernel:
            kernel.send([links.delete_link(endpoint.host_link)])
    elif endpoint.interface:
        with _inside(path) as kernel:
            kernel.send([links.delete_link(endpoint.interface)])


def set_routes(path: Path, gateway4: Endpoint | None, gateway6: Endpoint | None) -> None:
    """Makes these endpoints the ways out (None: there is none)."""
    with _inside(path) as kernel:
        requests = []
        for version, endpoint in ((4, gateway4), (6, gateway6)):
            if endpoint is None:
                requests.append(links.drop_default_route(version))
                continue
            gateway = endpoint.gateway4 if version == 4 else endpoint.gateway6
            requests.append(links.default_route(_index(kernel, endpoint.interface), gateway))
        kernel.send(requests)


def remove_namespace(path: Path, endpoints: Sequence[Endpoint]) -> None:
    """Takes the links on the host and the namespace away, whatever of them is still there."""
    names = [endpoint.host_link for endpoint in endpoints if endpoint.host_link]
    if names:
        with RouteSocket() as kernel:
            kernel.send([links.delete_link(name) for name in names])
    if path.exists():
        native.netns_remove(str(path))


def is_namespace(path: Path) -> bool:
    """Whether a namespace is kept there; after a reboot only an empty file may be left."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


@contextlib.contextmanager
def _inside(path: Path) -> Iterator[RouteSocket]:
    """A route socket of the namespace."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    descriptor = native.netns_socket(str(path), socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
    with RouteSocket(descriptor) as kernel:
        yield kernel


def _make_links(path: Path, plugs: Sequence[Plug]) -> None:
    namespace = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with RouteSocket() as kernel:
            kernel.send([_make_link(one, _host_index(kernel, one.link), namespace) for one in plugs])
            hairpin = _bridges_translate()
            special = [one for one in plugs if one.driver == "bridge" and (one.isolated or hairpin)]
            kernel.send([_set_port(kernel, one, hairpin) for one in special])
    finally:
        os.close(namespace)


def _make_link(one: Plug, parent: int, namespace: int) -> Request:
    endpoint = one.endpoint
    if one.driver == "bridge":
        return links.add_veth(
            endpoint.host_link,
            parent,
            one.mtu,
            peer_name=endpoint.interface,
            peer_mac=endpoint.mac,
            namespace=namespace,
        )
    return links.add_macvlan(parent, one.mode, one.mtu, name=endpoint.interface, mac=endpoint.mac, namespace=namespace)


def _set_port(kernel: RouteSocket, one: Plug, hairpin: bool) -> Request:
    return links.set_port(_host_index(kernel, one.endpoint.host_link), isolated=one.isolated, hairpin=hairpin)


def _bridges_translate() -> bool:
    """Whether br_netfilter passes bridged packets through the packet filter.

    Then a container that calls its own published port is translated inside the bridge, and the packet must leave by the
    port that it came in by. Otherwise the host routes it, and no port needs hairpin mode.
    """
    try:
        return _BRIDGE_NETFILTER.read_text(encoding="ascii").strip() == "1"
    except OSError:
        return False


def _configure(path: Path, endpoint: Endpoint) -> None:
    """Settings of the link inside and of its end on the host, before either carries a packet of the container's."""
    if not Path("/proc/sys/net/ipv6").exists():
        return
    if endpoint.host_link:
        # The port belongs to the bridge and needs no addresses of its own (CVE-2020-13401).
        with contextlib.suppress(FileNotFoundError):
            Path(f"/proc/sys/net/ipv6/conf/{endpoint.host_link}/disable_ipv6").write_text("1", encoding="ascii")
    needed = endpoint.ipv6 or any(":" in text for text in endpoint.link_local)
    native.netns_sysctl(str(path), f"net.ipv6.conf.{endpoint.interface}.disable_ipv6", "0" if needed else "1")


def _index(kernel: RouteSocket, name: str) -> int:
    index = links.index_of(kernel, name)
    if index is None:
        raise SystemFailure(f"the link {name} is missing in the container's network namespace")
    return index


def _host_index(kernel: RouteSocket, name: str) -> int:
    index = links.index_of(kernel, name)
    if index is None:
        raise SystemFailure(f"the link {name} is missing on the host")
    return index
