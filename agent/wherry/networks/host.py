"""The host's side of networks: bridges, parent links, packet filter and kernel settings, as the records want them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection

from wherry.aio import in_thread
from wherry.errors import WherryError
from wherry.networks import bridges, conntrack, endpoints, macvlan
from wherry.networks.firewall import Firewall
from wherry.networks.host_settings import HostSettings
from wherry.networks.links import delete_link
from wherry.networks.model import Network, Sandbox
from wherry.networks.netlink import RouteSocket
from wherry.networks.registry import Registry
from wherry.networks.watch import RuleWatch
from wherry.state.networks import HostSetting, NetworksTable

MADE_LINK = "link/"
MADE_TABLE = "nftables"


class HostSide:
    """Makes what a network needs on the host when it is first needed, and takes it away again."""

    def __init__(
        self, instance: str, registry: Registry, table: NetworksTable, *, own_bridge: str, forward: bool
    ) -> None:
        self._instance = instance
        self._registry = registry
        self._table = table
        self._own_bridge = own_bridge
        self._forward = forward
        self._settings = HostSettings(table)
        self._firewall = Firewall(instance)
        self._watch = RuleWatch(instance, self._firewall.rebuild, self._firewall.made_by)
        self._ready: set[str] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    async def start(self, in_use: Collection[str]) -> None:
        """Brings the host to what the records say: user-defined networks, and those (IDs) that containers use.

        The default bridge waits for its first container, so that an agent without containers changes nothing.
        """
        await self._sweep_links()
        wanted = [one for one in self._registry.networks() if one.id in in_use or not one.predefined]
        bridged = [one for one in wanted if one.driver == "bridge"]
        if not bridged and not self._recorded(MADE_TABLE):
            for network in wanted:
                await self.ensure(network)
            return
        rules = [bridges.rules_of(network) for network in bridged]
        networks = {network.id: network for network in self._registry.networks()}
        ports = {one.container_id: endpoints.port_rules(one, networks) for one in self._registry.sandboxes()}
        self._firewall.expect(rules, {owner: owned for owner, owned in ports.items() if owned}, guard=self._guard)
        # The rules stand before the links that they guard.
        await self._make_table()
        for network in wanted:
            await self.ensure(network)

    async def stop(self) -> None:
        """Lets go, leaving all as it is: containers run on."""
        await self._watch.stop()

    async def ensure(self, network: Network) -> None:
        """Makes sure that containers can be plugged into the network."""
        if network.id in self._ready or not network.link:
            return
        async with self._locks.setdefault(network.id, asyncio.Lock()):
            if network.id in self._ready:
                return
            if network.driver == "bridge":
                await self._ensure_bridge(network)
            else:
                await self._ensure_parent(network)
            self._ready.add(network.id)

    async def remove(self, network: Network) -> None:
        """Takes away what was made for the network; harmless when it was not."""
        self._ready.discard(network.id)
        if network.driver == "bridge":
            if network.link != self._own_bridge:
                await in_thread(bridges.remove, network.link)
            await self._firewall.drop_bridge(network.link)
        elif self._recorded(MADE_LINK + network.link) and not self._shared(network):
            await in_thread(macvlan.remove_parent, network.link)
            self._table.delete_host_setting(MADE_LINK + network.link)

    async def publish(self, sandbox: Sandbox) -> None:
        """Makes the packet filter lead the container's published ports to it."""
        networks = {network.id: network for network in self._registry.networks()}
        await self._firewall.publish(sandbox.container_id, endpoints.port_rules(sandbox, networks))
        await self._forget_flows(sandbox)

    async def withdraw(self, sandbox: Sandbox) -> None:
        """Publishes nothing of that container any more."""
        await self._firewall.withdraw(sandbox.container_id)
        await self._forget_flows(sandbox)

    async def restore(self) -> None:
        """Takes everything of this agent off the host's network and puts its settings back."""
        await self._watch.stop()
        for network in self._registry.networks():
            await self.remove(network)
        if self._recorded(MADE_TABLE):
            await self._firewall.remove()
            self._table.delete_host_setting(MADE_TABLE)
        self._settings.restore()

    async def _forget_flows(self, sandbox: Sandbox) -> None:
        if any(port.protocol == "udp" for port in sandbox.ports):
            await in_thread(conntrack.forget, sandbox.ports)

    async def _ensure_bridge(self, network: Network) -> None:
        owned = network.link != self._own_bridge
        if self._forward and not network.spec.internal:
            self._settings.forward_ipv4()
            if network.spec.enable_ipv6:
                self._settings.forward_ipv6()
        await self._make_table()
        await self._firewall.add_bridge(bridges.rules_of(network), guard=self._guard)
        await in_thread(bridges.ensure, network, self._settings, owned=owned)

    async def _ensure_parent(self, network: Network) -> None:
        if network.driver != "macvlan":
            return
        # Said before it is done: a parent that was there all along is never recorded.
        known = self._recorded(MADE_LINK + network.link)
        present = network.link in host_links()
        if not present and not known:
            self._table.add_host_setting(HostSetting(MADE_LINK + network.link, "", network.id))
        try:
            await in_thread(macvlan.ensure_parent, network)
        except WherryError:
            if not present and not known:
                self._table.delete_host_setting(MADE_LINK + network.link)
            raise

    async def _make_table(self) -> None:
        if self._firewall.present:
            return
        self._table.add_host_setting(HostSetting(MADE_TABLE, "", self._instance))
        await self._firewall.rebuild()
        self._watch.start()

    async def _sweep_links(self) -> None:
        """Deletes links that carry this agent's name and that no record knows: what a crash left behind."""
        sandboxes = self._registry.sandboxes()
        known = {name for one in self._registry.networks() for name in (one.link, macvlan.stub_of(one.link))}
        known |= {endpoint.host_link for sandbox in sandboxes for endpoint in sandbox.endpoints}
        prefixes = (f"{self._instance}-", f"v{self._instance}")
        stray = [name for name in host_links() if name.startswith(prefixes) and name not in known]
        if stray:
            await in_thread(_delete_links, stray)

    def _recorded(self, name: str) -> bool:
        return any(setting.name == name for setting in self._table.host_settings())

    def _shared(self, network: Network) -> bool:
        return any(one.link == network.link and one.id != network.id for one in self._registry.networks())

    @property
    def _guard(self) -> bool:
        return self._settings.forwarding_is_ours


def host_links() -> set[str]:
    """The names of all links of the host."""
    return {name for _index, name in socket.if_nameindex()}


def _delete_links(names: Collection[str]) -> None:
    with RouteSocket() as kernel:
        kernel.send([delete_link(name) for name in names])
