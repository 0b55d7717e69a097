"""Exposed and published ports: ``80/tcp`` and its bindings, from the Engine API's texts to what networks understand."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from wherry.containers.model import Container, ContainerConfig, HostConfig, HostPort
from wherry.errors import InvalidParameter
from wherry.networks.model import PortBinding

PROTOCOLS = ("tcp", "udp", "sctp")
_PORT = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?(?:/([a-zA-Z]+))?")


def canonical(text: str, field: str) -> list[str]:
    """``80`` and ``80/TCP`` as ``80/tcp``; a range as every port of it."""
    match = _PORT.fullmatch(text)
    protocol = (match[3] or "tcp").lower() if match else ""
    if match is None or protocol not in PROTOCOLS:
        raise InvalidParameter(
            f'invalid port specification: "{text}"', field=field, allowed="port or range, /tcp or /udp"
        )
    first = int(match[1])
    last = int(match[2] or first)
    if not 1 <= first <= last <= 65535:
        raise InvalidParameter("ports must be between 1 and 65535", field=field, value=text)
    return [f"{port}/{protocol}" for port in range(first, last + 1)]


def check(config: ContainerConfig, host_config: HostConfig) -> None:
    """Raises ``InvalidParameter`` that names the port or binding at fault."""
    for port in config.exposed_ports:
        canonical(port, "ExposedPorts")
    for _ in _asked_bindings(host_config):
        pass


def exposed(container: Container) -> list[str]:
    """Every port of the container that is exposed or published, ``80/tcp``, each once."""
    given = [*container.config.exposed_ports, *container.host_config.port_bindings]
    return list(dict.fromkeys(port for text in given for port in canonical(text, "ExposedPorts")))


def bindings_of(container: Container) -> tuple[PortBinding, ...]:
    """What has to be published; with ``PublishAllPorts`` every exposed port that has no binding gets one."""
    asked = list(_asked_bindings(container.host_config))
    if container.host_config.publish_all_ports:
        bound = {(binding.container_port, binding.protocol) for binding in asked}
        for text in exposed(container):
            port, protocol = _split(text)
            if (port, protocol) not in bound:
                asked.append(PortBinding(port, protocol))
    return tuple(asked)


def _asked_bindings(host_config: HostConfig) -> Iterator[PortBinding]:
    for key, hosts in host_config.port_bindings.items():
        field = f"HostConfig.PortBindings.{key}"
        for text in canonical(key, field):
            port, protocol = _split(text)
            for host in hosts or (HostPort(),):
                first, last = _host_range(host.host_port, field)
                yield PortBinding(port, protocol, _address(host.host_ip, field), first, last)


def _host_range(text: str, field: str) -> tuple[int, int]:
    if not text or text == "0":
        return 0, 0
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= first <= last <= 65535:
        raise InvalidParameter("host port must be between 1 and 65535", field=field, value=text)
    return first, last


def _address(text: str, field: str) -> str:
    if not text:
        return ""
    try:
        return str(ipaddress.ip_address(text.strip("[]")))
    except ValueError:
        raise InvalidParameter("is not an IP address", field=field, value=text) from None


def _split(text: str) -> tuple[int, str]:
    port, _, protocol = text.partition("/")
    return int(port), protocol
