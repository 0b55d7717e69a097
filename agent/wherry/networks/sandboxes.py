"""How containers are plugged in and out: record, kernel, packet filter, and all of it back when one of them fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from wherry.aio import in_thread
from wherry.errors import Conflict, Forbidden, NotFound, SystemFailure, Unavailable, WherryError
from wherry.events import Events
from wherry.ids import SHORT_ID_LENGTH
from wherry.networks import endpoints, plumbing, ports
from wherry.networks.dns.service import Names
from wherry.networks.host import HostSide
from wherry.networks.model import (
    DEFAULT_NETWORK,
    Attachment,
    Endpoint,
    EndpointRequest,
    Network,
    PublishedPort,
    Sandbox,
)
from wherry.networks.options import bridge_options, macvlan_options
from wherry.networks.registry import Registry
from wherry.state.networks import Phase

log = logging.getLogger(__name__)

CONTAINER_MODE = "container:"
JOINED_MODES = ("host", "none")
T = TypeVar("T")


class Sandboxes:
    """The network sandboxes of started containers."""

    def __init__(
        self,
        registry: Registry,
        host: HostSide,
        names: Names,
        events: Events,
        *,
        directory: Path,
        instance: str,
        default_ip: str,
    ) -> None:
        self._directory = directory
        self._instance = instance
        self._default_ip = default_ip
        self._registry = registry
        self._host = host
        self._events = events
        self._names = names
        self._departures: dict[str, asyncio.Task[None]] = {}
        # Of a container that ends while it is being plugged in or out; a lock lives while somebody holds it or waits.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def attach(self, attachment: Attachment) -> Sandbox:
        """Gives a starting container its network; on failure nothing is left of it."""
        if self._registry.sandbox(attachment.container_id) is not None:
            await self.detach(attachment.container_id)
        if attachment.container_id in self._departures:
            await self._departures[attachment.container_id]
        if attachment.mode.startswith(CONTAINER_MODE):
            return self._join(attachment)
        sandbox = await self._once_departed(lambda: self._reserve(attachment))
        try:
            await self._build(sandbox, attachment)
        except BaseException as error:
            await self._abandon(sandbox)
            raise _named(error, sandbox) from error
        self._registry.save_sandbox(sandbox, Phase.SETTLED)
        for endpoint in sandbox.endpoints:
            self._tell("connect", sandbox, endpoint)
        return sandbox

    async def detach(self, container_id: str) -> None:
        """Takes back all that a container had; harmless when it had nothing.

        Another container can have its ports at once. Rules and links follow within some 50 ms: the kernel takes that
        long to be sure that nobody uses them, and whoever stops a container need not wait for it (``settled`` does).
        """
        async with self._lock(container_id):
            self._detach(container_id)

    def _detach(self, container_id: str) -> None:
        sandbox = self._registry.sandbox(container_id)
        if sandbox is None:
            return
        self._names.forget(container_id)
        self._registry.save_sandbox(sandbox, Phase.REMOVING)
        self._registry.retire_sandbox(container_id)
        # Whoever takes the ports next publishes them in a task made later than this one: the packet filter serves both
        # in that order.
        self._departures[container_id] = asyncio.create_task(self._depart(sandbox))
        for endpoint in sandbox.endpoints:
            self._tell("disconnect", sandbox, endpoint)

    async def settled(self) -> None:
        """Waits until nothing of detached containers is left in the kernel."""
        await asyncio.gather(*self._departures.values())

    async def _once_departed(self, reserve: Callable[[], T]) -> T:
        """A reservation; one that fails is tried again when containers that are leaving have left their addresses."""
        try:
            return reserve()
        except (Forbidden, Unavailable):
            if not self._departures:
                raise
        await self.settled()
        return reserve()

    async def connect(self, network: Network, container_id: str, request: EndpointRequest) -> Endpoint:
        """Plugs a running container into one more network."""
        async with self._lock(container_id):
            return await self._connect(network, container_id, request)

    async def _connect(self, network: Network, container_id: str, request: EndpointRequest) -> Endpoint:
        def reserve() -> tuple[Sandbox, Endpoint, Sandbox]:
            before = self._running(container_id)
            self._check_connect(network, before)
            chosen = self._endpoint(network, request, before.endpoints)
            after = self._with_ways_in(replace(before, endpoints=(*before.endpoints, chosen)))
            self._registry.save_sandbox(after, Phase.SETTLED)
            return before, chosen, after

        sandbox, endpoint, after = await self._once_departed(reserve)
        try:
            await self._host.ensure(network)
            path = Path(str(sandbox.netns_path))
            await in_thread(plumbing.plug, path, [endpoints.plug_of(network, endpoint)])
            await self._settle_ways_out(after)
            await self._names.serve(after)
        except BaseException:
            self._registry.save_sandbox(sandbox, Phase.SETTLED)
            await in_thread(plumbing.unplug, Path(str(sandbox.netns_path)), endpoint)
            raise
        self._tell("connect", after, endpoint)
        return endpoint

    async def disconnect(self, network: Network, container_id: str, force: bool) -> None:
        """Takes a running container out of a network; ``force`` goes on when its namespace is damaged."""
        async with self._lock(container_id):
            await self._disconnect(network, container_id, force)

    async def _disconnect(self, network: Network, container_id: str, force: bool) -> None:
        sandbox = self._registry.sandbox(container_id)
        endpoint = _plugged(sandbox, network)
        if sandbox is None or endpoint is None:
            if force:
                return
            raise Forbidden(f"container {container_id[:SHORT_ID_LENGTH]} is not connected to network {network.name}")
        if network.name == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        left = tuple(one for one in sandbox.endpoints if one.id != endpoint.id)
        after = self._with_ways_in(replace(sandbox, endpoints=left))
        try:
            await in_thread(plumbing.unplug, Path(str(sandbox.netns_path)), endpoint)
            self._registry.save_sandbox(after, Phase.SETTLED)
            await self._settle_ways_out(after)
        except WherryError:
            if not force:
                raise
            log.exception("container %s left network %s by force", sandbox.name, network.name)
            self._registry.save_sandbox(after, Phase.SETTLED)
        self._tell("disconnect", sandbox, endpoint)

    def _lock(self, container_id: str) -> asyncio.Lock:
        lock = self._locks.get(container_id)
        if lock is None:
            lock = self._locks[container_id] = asyncio.Lock()
        return lock

    async def sweep(self, unfinished: Sequence[Sandbox]) -> None:
        """Takes away what a crash cut short, what lost its namespace by a reboot, and namespaces without a record."""
        for sandbox in self._registry.sandboxes():
            lost = sandbox.netns_path is not None and not plumbing.is_namespace(Path(sandbox.netns_path))
            if sandbox in unfinished or lost:
                # Of a container that joined another's network there is nothing at its own path.
                await in_thread(plumbing.remove_namespace, self._path(sandbox.container_id), sandbox.endpoints)
                self._registry.delete_sandbox(sandbox.container_id)
        for entry in self._directory.iterdir() if self._directory.is_dir() else ():
            if self._registry.sandbox(entry.name) is None:
                await in_thread(plumbing.remove_namespace, entry, ())

    def _join(self, attachment: Attachment) -> Sandbox:
        other = self._registry.sandbox(attachment.mode.removeprefix(CONTAINER_MODE))
        if other is None:
            joined = attachment.mode.removeprefix(CONTAINER_MODE)
            raise Conflict(f"cannot join network of a non running container: {joined}")
        sandbox = Sandbox(attachment.container_id, attachment.name, attachment.mode, other.netns_path)
        self._registry.save_sandbox(sandbox, Phase.SETTLED)
        return sandbox

    def _reserve(self, attachment: Attachment) -> Sandbox:
        """Chooses and records everything; without await, so that no other start can choose the same."""
        mode = attachment.mode or "default"
        if mode == "default":
            mode = DEFAULT_NETWORK if self._registry.named(DEFAULT_NETWORK) else "none"
        chosen: list[Endpoint] = []
        for request in _requests(attachment, mode, self._registry):
            network = self._registry.find(mode if request.network == "default" else request.network)
            chosen.append(self._endpoint(network, request, chosen))
        path = None if mode == "host" else str(self._path(attachment.container_id))
        sandbox = Sandbox(
            attachment.container_id,
            attachment.name,
            mode,
            path,
            tuple(chosen),
            requested_ports=attachment.ports,
            hostname=attachment.hostname,
            dns=attachment.dns,
        )
        sandbox = replace(sandbox, ports=self._ports(sandbox))
        self._registry.save_sandbox(sandbox, Phase.MAKING)
        return sandbox

    def _endpoint(self, network: Network, request: EndpointRequest, present: Sequence[Endpoint]) -> Endpoint:
        passthru = network.driver == "macvlan" and macvlan_options(network.spec.options).mode == "passthru"
        if passthru and any(True for _one in self._registry.attached(network.id)):
            raise Forbidden(f"network {network.name} has macvlan_mode=passthru, which takes one container only")
        taken = self._registry.taken_addresses(network.id)
        interfaces = {one.interface for one in present}
        return endpoints.make_endpoint(network, request, taken, interfaces, self._instance)

    def _with_ways_in(self, sandbox: Sandbox) -> Sandbox:
        """After a change of networks: without one to publish in, others can have the ports; with one they are back."""
        if not any(self._ways_in(sandbox)):
            return replace(sandbox, ports=())
        return sandbox if sandbox.ports else replace(sandbox, ports=self._ports(sandbox))

    def _ways_in(self, sandbox: Sandbox) -> tuple[Endpoint | None, Endpoint | None]:
        """Where published ports lead, for IPv4 and for IPv6."""
        networks = {network.id: network for network in self._registry.networks()}
        publishing = endpoints.publishing_endpoint
        return publishing(sandbox.endpoints, networks, 4), publishing(sandbox.endpoints, networks, 6)

    def _ports(self, sandbox: Sandbox) -> tuple[PublishedPort, ...]:
        networks = {network.id: network for network in self._registry.networks()}
        way4, way6 = self._ways_in(sandbox)
        if way4 is None and way6 is None:
            return ()
        default_ip = self._default_ip
        if way4 is not None:
            default_ip = bridge_options(networks[way4.network_id].spec.options).host_binding or default_ip
        bindings = [ports.validate(one, f"PortBindings[{place}]") for place, one in enumerate(sandbox.requested_ports)]
        try:
            return ports.publish(
                bindings,
                self._registry.published(),
                ipv4=way4 is not None,
                ipv6=way6 is not None,
                default_ip=default_ip,
                probe=ports.is_free,
            )
        except ports.PortTaken as taken:
            way = way4 or way6
            shown = f"{sandbox.name} ({way.id if way else ''})"
            raise ports.PortTaken(
                f"driver failed programming external connectivity on endpoint {shown}: {taken}"
            ) from None

    async def _build(self, sandbox: Sandbox, attachment: Attachment) -> None:
        networks = {one.network_id: self._registry.network(one.network_id) for one in sandbox.endpoints}
        for network in networks.values():
            await self._host.ensure(network)
        if sandbox.netns_path is None:
            return
        plugs = [endpoints.plug_of(networks[one.network_id], one) for one in sandbox.endpoints if one.interface]
        await asyncio.gather(
            in_thread(_construct, Path(sandbox.netns_path), plugs, sandbox, attachment), self._host.publish(sandbox)
        )
        await self._names.serve(sandbox)

    async def _settle_ways_out(self, sandbox: Sandbox) -> None:
        """After a change of networks: default routes, and where published ports lead."""
        gateway4 = endpoints.gateway_endpoint(sandbox.endpoints, 4)
        gateway6 = endpoints.gateway_endpoint(sandbox.endpoints, 6)
        await in_thread(plumbing.set_routes, Path(str(sandbox.netns_path)), gateway4, gateway6)
        await self._host.publish(sandbox)

    async def _depart(self, sandbox: Sandbox) -> None:
        try:
            if sandbox.ports:
                await self._host.withdraw(sandbox)
            await self._remove_namespace(sandbox)
            self._registry.delete_sandbox(sandbox.container_id)
        except WherryError:
            log.exception("links of container %s are left over; the next start of wherryd tries again", sandbox.name)
        finally:
            self._departures.pop(sandbox.container_id, None)

    async def _abandon(self, sandbox: Sandbox) -> None:
        self._names.forget(sandbox.container_id)
        try:
            await self._host.withdraw(sandbox)
            await self._remove_namespace(sandbox)
        except WherryError:
            log.exception(
                "the network of container %s is not wholly gone; the next start of wherryd tries again", sandbox.name
            )
            return
        self._registry.delete_sandbox(sandbox.container_id)

    async def _remove_namespace(self, sandbox: Sandbox) -> None:
        if sandbox.netns_path is not None and not sandbox.mode.startswith(CONTAINER_MODE):
            await in_thread(plumbing.remove_namespace, Path(sandbox.netns_path), sandbox.endpoints)

    def _running(self, container_id: str) -> Sandbox:
        sandbox = self._registry.sandbox(container_id)
        if sandbox is None:
            raise NotFound(f"container {container_id[:SHORT_ID_LENGTH]} has no network: it is not running")
        return sandbox

    def _check_connect(self, network: Network, sandbox: Sandbox) -> None:
        if sandbox.netns_path is None or network.name == "host":
            raise Forbidden("container cannot be disconnected from host network or connected to host network")
        if sandbox.mode.startswith(CONTAINER_MODE):
            raise Forbidden(
                "container sharing network namespace with another container or host "
                "cannot be connected to any other network"
            )
        if sandbox.mode == "none" or network.name == "none":
            raise Forbidden(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode"
            )
        if _plugged(sandbox, network) is not None:
            raise Forbidden(f"endpoint with name {sandbox.name} already exists in network {network.name}")

    def _path(self, container_id: str) -> Path:
        return self._directory / container_id

    def _tell(self, action: str, sandbox: Sandbox, endpoint: Endpoint) -> None:
        network = self._registry.network(endpoint.network_id)
        attributes = {"container": sandbox.container_id, "name": network.name, "type": network.driver}
        self._events.publish("network", action, network.id, attributes)


def _requests(attachment: Attachment, mode: str, registry: Registry) -> list[EndpointRequest]:
    """The endpoint requests with that for the mode's own network first, made up where the container said nothing."""
    if mode in JOINED_MODES:
        return [EndpointRequest(mode)]
    own = registry.find(mode)
    # Docker's command line names the network of mode "default" so in endpoint settings, too.
    asked = [
        ((own if request.network == "default" else registry.find(request.network)).id, request)
        for request in attachment.endpoints
    ]
    first = [request for network_id, request in asked if network_id == own.id]
    if len(first) > 1 or len({network_id for network_id, _request in asked}) < len(asked):
        raise Conflict(f"container {attachment.name} asks twice for one network")
    return [*(first or [EndpointRequest(mode)]), *(request for network_id, request in asked if network_id != own.id)]


def _construct(path: Path, plugs: Sequence[plumbing.Plug], sandbox: Sandbox, attachment: Attachment) -> None:
    """Everything inside the namespace, in one go on one thread."""
    plumbing.create_namespace(path, attachment.sysctls, attachment.user_namespace)
    plumbing.plug(path, plugs)
    if plugs:
        gateway4 = endpoints.gateway_endpoint(sandbox.endpoints, 4)
        gateway6 = endpoints.gateway_endpoint(sandbox.endpoints, 6)
        if gateway4 or gateway6:
            plumbing.set_routes(path, gateway4, gateway6)


def _plugged(sandbox: Sandbox | None, network: Network) -> Endpoint | None:
    if sandbox is None:
        return None
    return next((one for one in sandbox.endpoints if one.network_id == network.id), None)


def _named(error: BaseException, sandbox: Sandbox) -> BaseException:
    """The kernel's refusal, with the container's name; other errors speak for themselves."""
    if type(error).__name__ == "KernelRefusal":
        return SystemFailure(f"network of container {sandbox.name}: {error}")
    return error
