"""The DNS servers of all containers: one for each that is plugged into a network with names."""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.aio import in_thread
from wherry.errors import WherryError
from wherry.networks.dns import redirect
from wherry.networks.dns.directory import Directory, has_names
from wherry.networks.dns.server import Server
from wherry.networks.dns.upstream import HostServers, Upstream, chosen
from wherry.networks.model import Sandbox
from wherry.networks.registry import Registry

log = logging.getLogger(__name__)


def needs_server(sandbox: Sandbox) -> bool:
    """Whether the container is to ask 127.0.0.11."""
    return sandbox.netns_path is not None and any(has_names(endpoint) for endpoint in sandbox.endpoints)


@dataclass(frozen=True)
class Listeners:
    """Sockets bound inside a container's network namespace, to which its queries are led."""

    udp: socket.socket
    tcp: socket.socket


def listen(namespace: Path, *, replace: bool) -> Listeners:
    """Takes a port for both protocols and leads queries there; blocks."""
    kind = socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    udp = socket.socket(fileno=native.netns_socket(namespace, socket.AF_INET, socket.SOCK_DGRAM | kind))
    tcp = socket.socket(fileno=native.netns_socket(namespace, socket.AF_INET, socket.SOCK_STREAM | kind))
    try:
        udp.bind((redirect.ADDRESS, 0))
        tcp.bind((redirect.ADDRESS, udp.getsockname()[1]))
        redirect.install(namespace, udp.getsockname()[1], replace=replace)
    except BaseException:
        udp.close()
        tcp.close()
        raise
    return Listeners(udp, tcp)


class Names:
    """Starts and ends the servers as containers come and go."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._directory = Directory(registry)
        self._host_servers = HostServers()
        self._servers: dict[str, Server] = {}

    def serves(self, container_id: str) -> bool:
        """Whether the container has its server."""
        return container_id in self._servers

    async def serve(self, sandbox: Sandbox, *, replace: bool = False) -> None:
        """Gives a container its server if it needs one and has none. ``replace``: an earlier agent's may have been."""
        if not needs_server(sandbox) or self.serves(sandbox.container_id):
            return
        namespace = Path(str(sandbox.netns_path))
        listeners = await in_thread(listen, namespace, replace=replace)
        asker = _Container(self._registry, self._directory, self._host_servers, sandbox.container_id)
        server = Server(asker, namespace)
        self._servers[sandbox.container_id] = server
        await server.start(listeners.udp, listeners.tcp)

    async def resume(self) -> None:
        """After a start of the agent: every container that runs gets its server back."""
        for sandbox in self._registry.sandboxes():
            try:
                if not sandbox.mode.startswith("container:"):
                    await self.serve(sandbox, replace=True)
            except (WherryError, OSError):
                log.exception("container %s has no DNS server", sandbox.name)

    def forget(self, container_id: str) -> None:
        """The container has ended."""
        server = self._servers.pop(container_id, None)
        if server is not None:
            server.close()

    def stop(self) -> None:
        """Ends all servers; the next agent's take over."""
        for container_id in tuple(self._servers):
            self.forget(container_id)


class _Container:
    """What a container may know, read from the records at every question."""

    def __init__(self, registry: Registry, directory: Directory, host_servers: HostServers, container_id: str) -> None:
        self._registry = registry
        self._directory = directory
        self._host_servers = host_servers
        self._id = container_id

    def addresses(self, name: str, *, version: int) -> Sequence[str] | None:
        sandbox = self._registry.sandbox(self._id)
        found = self._directory.endpoints(sandbox, name) if sandbox is not None else None
        if found is None:
            return None
        texts = (one.address4 if version == 4 else one.address6 for one in found)
        return [text for text in texts if text]

    def pointer(self, address: str) -> str | None:
        sandbox = self._registry.sandbox(self._id)
        return self._directory.pointer(sandbox, address) if sandbox is not None else None

    def servers(self) -> Sequence[Upstream]:
        """The host asks only for a container that has a way out of its own."""
        sandbox = self._registry.sandbox(self._id)
        if sandbox is None:
            return ()
        has_way_out = any(one.gateway4 or one.gateway6 for one in sandbox.endpoints)
        servers = chosen(sandbox.dns) or self._host_servers.current()
        return [one for one in servers if has_way_out or not one.from_host]
