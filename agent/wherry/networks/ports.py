"""Published ports: from what a container asks for to exactly one host address and port each, free at that moment."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from pathlib import Path

from wherry.errors import InvalidParameter, SystemFailure, Unsupported
from wherry.networks.model import PortBinding, PublishedPort

PROTOCOLS = ("tcp", "udp", "sctp")
EVERY_IPV4, EVERY_IPV6 = "0.0.0.0", "::"
LARGEST_PORT = 65535
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DEFAULT_RANGE = (49153, 65535)

Probe = Callable[[PublishedPort], bool]
"""Whether no process of the host has this address and port."""


class PortTaken(SystemFailure):
    """A host port that was asked for has an owner already."""


def validate(binding: PortBinding, field: str) -> PortBinding:
    """Checks one binding; ``field`` is named in errors."""
    if binding.protocol not in PROTOCOLS:
        raise InvalidParameter("unknown protocol", field=field, value=binding.protocol, allowed="tcp, udp or sctp")
    if not 1 <= binding.container_port <= LARGEST_PORT:
        raise InvalidParameter(
            "container port out of range", field=field, value=binding.container_port, allowed="1 to 65535"
        )
    last = binding.host_port_last or binding.host_port
    if not 0 <= binding.host_port <= last <= LARGEST_PORT:
        shown = f"{binding.host_port}-{last}"
        raise InvalidParameter(
            "host port out of range", field=field, value=shown, allowed="1 to 65535, lower one first"
        )
    if binding.host_ip:
        try:
            ip_address(binding.host_ip)
        except ValueError:
            raise InvalidParameter("invalid IP address", field=field, value=binding.host_ip) from None
    return binding


def publish(
    bindings: Sequence[PortBinding],
    taken: Iterable[PublishedPort],
    *,
    ipv4: bool,
    ipv6: bool,
    default_ip: str,
    probe: Probe,
) -> tuple[PublishedPort, ...]:
    """Chooses host ports for all bindings; raises PortTaken with Docker's words when one cannot be had.

    ``ipv4`` and ``ipv6`` say which addresses the container has; ``default_ip`` stands for an address not given.
    """
    published: list[PublishedPort] = []
    occupied = list(taken)
    # Fixed ports first, so that a chosen one never takes what another binding names.
    for binding in sorted(bindings, key=lambda one: (one.host_port == 0, (one.host_port_last or 0) > one.host_port)):
        chosen = _choose(binding, _addresses(binding, ipv4, ipv6, default_ip), occupied, probe)
        published += chosen
        occupied += chosen
    order = {(one.container_port, one.protocol): place for place, one in reversed(list(enumerate(bindings)))}
    return tuple(sorted(published, key=lambda one: (order[one.container_port, one.protocol], ":" in one.host_ip)))


def conflicts(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether two published ports want the same packets."""
    if (one.protocol, one.host_port) != (other.protocol, other.host_port):
        return False
    if (":" in one.host_ip) != (":" in other.host_ip):
        return False
    return one.host_ip == other.host_ip or bool({one.host_ip, other.host_ip} & {EVERY_IPV4, EVERY_IPV6})


def is_free(port: PublishedPort) -> bool:
    """Asks the kernel by binding a socket for a moment; a protocol or address that it does not have is free of owners.

    The socket is closed again: published ports live in the packet filter, where they outlive the agent, and a process
    that binds the port later gets no packets for it.
    """
    family = socket.AF_INET6 if ":" in port.host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if port.protocol == "udp" else socket.SOCK_STREAM
    number = {"tcp": socket.IPPROTO_TCP, "udp": socket.IPPROTO_UDP, "sctp": socket.IPPROTO_SCTP}[port.protocol]
    try:
        with socket.socket(family, kind, number) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            if kind == socket.SOCK_STREAM:
                # A connection that ended a moment ago is no owner; one that listens still is.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((port.host_ip, port.host_port))
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise InvalidParameter(
                f"failed to bind host port {_shown(port.host_ip, port.host_port)}/{port.protocol}: "
                "cannot assign requested address"
            ) from error
        return error.errno != errno.EADDRINUSE
    return True


def ephemeral_range() -> tuple[int, int]:
    """The ports that the kernel and the agent choose from (ip(7), ip_local_port_range)."""
    try:
        low, high = _PORT_RANGE.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return _DEFAULT_RANGE
    return int(low), int(high)


def _addresses(binding: PortBinding, ipv4: bool, ipv6: bool, default_ip: str) -> list[str]:
    """The host addresses that a binding means."""
    host_ip = str(ip_address(binding.host_ip)) if binding.host_ip else ""
    if not host_ip:
        every = [default_ip] if ipv4 else []
        return every + ([EVERY_IPV6] if ipv6 and (default_ip == EVERY_IPV4 or not ipv4) else [])
    if ":" in host_ip and not ipv6:
        raise Unsupported(
            f"not supported: publishing on {host_ip} for a container without an IPv6 address; "
            "give its network an IPv6 subnet"
        )
    if ":" not in host_ip and not ipv4:
        raise Unsupported(f"not supported: publishing on {host_ip} for a container without an IPv4 address")
    return [host_ip]


def _choose(
    binding: PortBinding, addresses: Sequence[str], occupied: Sequence[PublishedPort], probe: Probe
) -> list[PublishedPort]:
    """The first host port of the binding that is free on all its addresses."""
    for number in _candidates(binding):
        wanted = [PublishedPort(binding.container_port, binding.protocol, address, number) for address in addresses]
        if not any(conflicts(one, other) for one in wanted for other in occupied) and all(map(probe, wanted)):
            return wanted
    shown = _shown(addresses[0] if addresses else EVERY_IPV4, binding.host_port)
    if not binding.host_port:
        raise PortTaken(f"Bind for {shown} failed: all ports are allocated")
    raise PortTaken(f"Bind for {shown} failed: port is already allocated")


def _candidates(binding: PortBinding) -> Iterable[int]:
    if binding.host_port:
        return range(binding.host_port, (binding.host_port_last or binding.host_port) + 1)
    low, high = ephemeral_range()
    # A start by chance, so that a port just given up is not handed to the next one at once.
    start = int.from_bytes(os.urandom(4), "little") % (high - low + 1)
    return [*range(low + start, high + 1), *range(low, low + start)]


def _shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
