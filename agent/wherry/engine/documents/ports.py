"""``published_ports`` and ``exposed_ports`` in all of their spellings.

``80``, ``8080:80``, ``127.0.0.1:8080:80``, ``127.0.0.1::80``, ``[::1]:8080:80``, ``9000-9010:80-90``, ``8000-9000:80``,
each with ``/udp`` or ``/sctp`` behind it; and the word ``all``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wherry.containers.model import HostPort
from wherry.engine.documents.fields import PORT_LIMIT
from wherry.errors import InvalidParameter

PROTOCOLS = ("tcp", "udp", "sctp")
PortMap = dict[str, tuple[HostPort, ...]]

_PUBLISHED = re.compile(
    r"(?:(?:\[(?P<ip6>[0-9a-fA-F:.]+)\]|(?P<ip>[^:\[\]]*)):(?=[^:]*:[^:]*$))?(?:(?P<host>[^:]*):)?(?P<container>[^:]+)"
)
_RANGE = re.compile(r"(\d+)(?:-(\d+))?")
_FORM = '"[[IP:]HOST_PORT:]CONTAINER_PORT[/PROTOCOL]", ports may be ranges'


@dataclass(frozen=True)
class Published:
    """Published ports; ``every`` when all that the image exposes shall be published, too."""

    bindings: Mapping[str, tuple[HostPort, ...]]
    every: bool = False


def published(value: Any, where: str, default_ip: str = "") -> Published:
    """Reads the option ``published_ports``; ``default_ip`` stands where no address is given."""
    if not isinstance(value, (list, tuple)):
        raise InvalidParameter("must be a list", field=where, value=value)
    bindings: dict[str, list[HostPort]] = {}
    every = False
    for number, entry in enumerate(value):
        if entry == "all":
            every = True
            continue
        for port, host in _published_entry(str(entry), f"{where}[{number}]", default_ip):
            hosts = bindings.setdefault(port, [])
            if host not in hosts:
                hosts.append(host)
    return Published({port: tuple(hosts) for port, hosts in bindings.items()}, every)


def exposed(value: Any, where: str) -> tuple[str, ...]:
    """Reads the option ``exposed_ports``: ``80``, ``80/udp``, ``8000-8010``, each port by itself as ``80/tcp``."""
    if not isinstance(value, (list, tuple)):
        raise InvalidParameter("must be a list", field=where, value=value)
    found: list[str] = []
    for number, entry in enumerate(value):
        place = f"{where}[{number}]"
        ports, protocol = _protocol(str(entry), str(entry), place)
        first, last = _range(ports, str(entry), place, "container port")
        found += [f"{port}/{protocol}" for port in range(first, last + 1)]
    return tuple(dict.fromkeys(found))


def canonical(bindings: Mapping[str, Iterable[HostPort]]) -> set[tuple[str, str, str]]:
    """Bindings as they count: no address is every address, ranges port by port, port 0 is a free one."""
    found = set()
    for key, hosts in bindings.items():
        ports, _, protocol = key.partition("/")
        for port in _each(ports):
            for host in tuple(hosts) or (HostPort(),):
                address = "" if host.host_ip in {"0.0.0.0", "::"} else host.host_ip.strip("[]")
                host_port = "" if host.host_port == "0" else host.host_port
                found.add((f"{port}/{protocol or 'tcp'}", address, host_port))
    return found


def _each(ports: str) -> range:
    first, _, last = ports.partition("-")
    return range(int(first), int(last or first) + 1)


def _published_entry(entry: str, where: str, default_ip: str) -> list[tuple[str, HostPort]]:
    match = _PUBLISHED.fullmatch(entry)
    if match is None:
        raise InvalidParameter("is not a port to publish", field=where, value=entry, allowed=_FORM)
    address = _address(match["ip6"] or match["ip"] or "", entry, where) or default_ip
    ports, protocol = _protocol(match["container"], entry, where)
    first, last = _range(ports, entry, where, "container port")
    keys = [f"{port}/{protocol}" for port in range(first, last + 1)]
    if not match["host"]:
        return [(key, HostPort(address, "")) for key in keys]
    host_first, host_last = _range(match["host"], entry, where, "host port")
    if len(keys) == 1 and host_first != host_last:
        return [(keys[0], HostPort(address, f"{host_first}-{host_last}"))]
    if host_last - host_first != last - first:
        raise InvalidParameter("the two port ranges have different lengths", field=where, value=entry)
    return [(key, HostPort(address, str(host_first + number))) for number, key in enumerate(keys)]


def _protocol(text: str, entry: str, where: str) -> tuple[str, str]:
    ports, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    if protocol not in PROTOCOLS:
        raise InvalidParameter(f'unknown protocol "{protocol}"', field=where, value=entry, allowed="tcp, udp or sctp")
    return ports, protocol


def _range(text: str, entry: str, where: str, what: str) -> tuple[int, int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InvalidParameter(f"{what} must be a number or a range", field=where, value=entry, allowed=_FORM)
    first, last = int(match[1]), int(match[2] or match[1])
    if not (1 <= first <= PORT_LIMIT and 1 <= last <= PORT_LIMIT):
        raise InvalidParameter(f"{what} must be between 1 and {PORT_LIMIT}", field=where, value=entry)
    if first > last:
        raise InvalidParameter(f"{what} range must have its lower end first", field=where, value=entry)
    return first, last


def _address(text: str, entry: str, where: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise InvalidParameter(f'"{text}" is not an IP address', field=where, value=entry) from None
