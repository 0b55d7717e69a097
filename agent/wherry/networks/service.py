"""The noun ``network``: what can be done to networks, and how containers are plugged in and out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Interface, ip_interface

from wherry.aio import in_thread
from wherry.config import Config
from wherry.errors import Forbidden, NotFound, SystemFailure
from wherry.events import Events
from wherry.ids import SHORT_ID_LENGTH, new_id
from wherry.networks import addresses, creation
from wherry.networks.creation import Surroundings
from wherry.networks.dns.service import Names
from wherry.networks.filters import Filters, matches, prunes
from wherry.networks.host import HostSide, host_links
from wherry.networks.links import index_of
from wherry.networks.model import (
    DEFAULT_NETWORK,
    Attachment,
    Endpoint,
    EndpointRequest,
    Network,
    NetworkSpec,
    Sandbox,
    Subnet,
)
from wherry.networks.netlink import RouteSocket
from wherry.networks.registry import Registry
from wherry.networks.sandboxes import Sandboxes
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.state.networks import NetworksTable, Phase

NO_BRIDGE = "none"
_NO_FILTERS: Filters = {}


class Networks:
    """All networks of one agent."""

    def __init__(self, config: Config, paths: Paths, database: Database, events: Events) -> None:
        self._config = config
        self._instance = paths.instance
        self._events = events
        table = NetworksTable(database)
        self._registry = Registry(table)
        self._own_bridge = config.bridge if config.bridge != NO_BRIDGE else ""
        self._host = HostSide(
            paths.instance, self._registry, table, own_bridge=self._own_bridge, forward=config.ip_forward
        )
        self._names = Names(self._registry)
        self._sandboxes = Sandboxes(
            self._registry,
            self._host,
            self._names,
            events,
            directory=paths.netns,
            instance=paths.instance,
            default_ip=config.ip,
        )

    async def start(self) -> None:
        """Finishes or undoes what a crash cut short, and brings the host to what the records say."""
        unfinished, unfinished_sandboxes = self._registry.load()
        await self._sandboxes.sweep(unfinished_sandboxes)
        for network in unfinished:
            await self._host.remove(network)
            self._registry.delete_network(network)
        await self._predefine()
        in_use = {endpoint.network_id for one in self._registry.sandboxes() for endpoint in one.endpoints}
        await self._host.start(in_use)
        await self._names.resume()

    async def stop(self) -> None:
        """Lets go; networks and published ports stay for the containers that run on."""
        self._names.stop()
        await self._sandboxes.settled()
        await self._host.stop()

    async def restore_host(self) -> None:
        """Takes all links, rules and settings of this agent off the host; refused while containers use them.

        The records stay: the next start makes everything anew.
        """
        running = [sandbox.name for sandbox in self._registry.sandboxes()]
        if running:
            raise Forbidden(f"containers still use the network: {', '.join(sorted(running))}")
        await self._sandboxes.settled()
        await self._host.restore()

    async def create(self, spec: NetworkSpec) -> Network:
        """A new network, ready for containers."""
        network = creation.settle(spec, self._surroundings(), self._config, self._instance)
        self._registry.save_network(network, Phase.MAKING)
        self._registry.hide(network)
        try:
            await self._host.ensure(network)
        except BaseException:
            await self._host.remove(network)
            self._registry.delete_network(network)
            raise
        self._registry.save_network(network, Phase.SETTLED)
        self._registry.show(network)
        self._tell("create", network)
        return network

    def check(self, spec: NetworkSpec, *, replacing: str = "") -> None:
        """Raises what ``create`` would raise for what is asked; ``replacing`` is the full ID of a network that goes."""
        creation.settle(spec, self._surroundings(without=replacing), self._config, self._instance)

    def find(self, name_or_id: str) -> Network:
        """By name, ID or the beginning of an ID; NotFound otherwise."""
        return self._registry.find(name_or_id)

    def list(self, filters: Filters = _NO_FILTERS) -> Sequence[Network]:
        """The networks that pass the filters, oldest first."""
        return [one for one in self._registry.networks() if matches(one, filters, in_use=self._in_use(one))]

    async def remove(self, name_or_id: str) -> None:
        """Removes a network that no running container is plugged into."""
        network = self._registry.find(name_or_id)
        if network.predefined:
            raise Forbidden(f"{network.name} is a pre-defined network and cannot be removed")
        used = [
            f'name:"{box.name}" id:"{one.id[:SHORT_ID_LENGTH]}"' for box, one in self._registry.attached(network.id)
        ]
        if used:
            raise Forbidden(
                f"error while removing network: network {network.name} has active endpoints ({', '.join(used)})"
            )
        self._registry.save_network(network, Phase.REMOVING)
        self._registry.hide(network)
        try:
            await self._sandboxes.settled()
            await self._host.remove(network)
        except BaseException:
            self._registry.save_network(network, Phase.SETTLED)
            self._registry.show(network)
            raise
        self._registry.delete_network(network)
        self._tell("destroy", network)

    async def prune(self, filters: Filters = _NO_FILTERS) -> Sequence[str]:
        """Removes the unused networks that pass the filters; returns their names."""
        doomed = [one for one in self._registry.networks() if prunes(one, filters) and not one.predefined]
        removed = []
        for network in doomed:
            if not self._in_use(network):
                try:
                    await self.remove(network.id)
                except (NotFound, Forbidden):
                    continue  # somebody else has removed it, or begun to use it, meanwhile
                removed.append(network.name)
        self._events.publish("network", "prune", "", {"reclaimed": "0"})
        return removed

    async def connect(self, network: str, container_id: str, request: EndpointRequest) -> Endpoint:
        """Plugs a running container into one more network."""
        return await self._sandboxes.connect(self._registry.find(network), container_id, request)

    async def disconnect(self, network: str, container_id: str, force: bool = False) -> None:
        """Takes a running container out of a network."""
        await self._sandboxes.disconnect(self._registry.find(network), container_id, force)

    async def attach(self, attachment: Attachment) -> Sandbox:
        """Gives a starting container its namespace, links and published ports."""
        return await self._sandboxes.attach(attachment)

    async def detach(self, container_id: str) -> None:
        """Takes back what ``attach`` and ``connect`` gave."""
        await self._sandboxes.detach(container_id)

    def sandbox(self, container_id: str) -> Sandbox | None:
        """What a started container has, or None."""
        return self._registry.sandbox(container_id)

    def cut_off(self, container_id: str) -> Sequence[str]:
        """Full IDs of the networks that a started container is in by its record, with its cable there gone."""
        sandbox = self._registry.sandbox(container_id)
        there = host_links()
        ends = sandbox.endpoints if sandbox is not None else ()
        return [one.network_id for one in ends if one.host_link and one.host_link not in there]

    def serves_names(self, container_id: str) -> bool:
        """Whether the container has a DNS server at 127.0.0.11."""
        return self._names.serves(container_id)

    def sandboxes(self) -> Sequence[Sandbox]:
        """What all started containers have."""
        return self._registry.sandboxes()

    def attached(self, network_id: str) -> Mapping[str, tuple[Sandbox, Endpoint]]:
        """Who is plugged into the network of that full ID, by container ID."""
        return {sandbox.container_id: (sandbox, one) for sandbox, one in self._registry.attached(network_id)}

    def rename(self, container_id: str, name: str) -> None:
        """A started container has another name from now on."""
        sandbox = self._registry.sandbox(container_id)
        if sandbox is not None:
            self._registry.save_sandbox(replace(sandbox, name=name), Phase.SETTLED)

    def _in_use(self, network: Network) -> bool:
        return any(True for _one in self._registry.attached(network.id))

    def _surroundings(self, without: str = "") -> Surroundings:
        """``without`` is the ID of a network that is taken as gone, with its routes."""
        known = self._registry.networks()
        own = {network.link for network in known}
        networks = [network for network in known if network.id != without]
        return Surroundings(networks, addresses.host_routes(without=own), host_links())

    async def _predefine(self) -> None:
        """Makes sure of the networks that every agent has; the default bridge follows the configuration."""
        for name, driver in (("host", "host"), ("none", "null")):
            if self._registry.named(name) is None:
                spec = NetworkSpec(name, driver=driver)
                self._registry.save_network(Network(new_id(), creation.timestamp(), spec), Phase.SETTLED)
        known = self._registry.named(DEFAULT_NETWORK)
        if self._config.bridge == NO_BRIDGE:
            if known is not None and not self._in_use(known):
                await self._host.remove(known)
                self._registry.delete_network(known)
            return
        given = await in_thread(_subnet_of, self._own_bridge) if self._own_bridge else None
        bridge = creation.default_bridge(known, self._surroundings(), self._config, self._instance, given)
        if bridge == known:
            return
        if known is not None and known.spec.subnets != bridge.spec.subnets and self._in_use(known):
            # Its containers keep the addresses that they have; the change waits until the last of them has stopped.
            return
        if known is not None and known.link != bridge.link:
            await self._host.remove(known)
        self._registry.save_network(bridge, Phase.SETTLED)

    def _tell(self, action: str, network: Network) -> None:
        self._events.publish("network", action, network.id, {"name": network.name, "type": network.driver})


def _subnet_of(bridge: str) -> Subnet:
    """The IPv4 subnet that an operator's bridge has on this host."""
    with RouteSocket() as kernel:
        index = index_of(kernel, bridge)
        texts = kernel.addresses(index) if index is not None else []
    for text in texts:
        address = ip_interface(text)
        if isinstance(address, IPv4Interface):
            return Subnet(str(address.network), gateway=str(address.ip))
    raise SystemFailure(f"bridge: {bridge} does not exist on this host or has no IPv4 address")
