"""All networks and sandboxes in memory, and each change of them in the records first."""

from __future__ import annotations

from collections.abc import Iterator

from wherry.errors import InvalidParameter, NotFound
from wherry.networks.model import Endpoint, Network, PublishedPort, Sandbox
from wherry.state.networks import NetworksTable, Phase


class Registry:
    """What exists. Used on the event loop's thread only; a lookup and the change after it need no lock between them.

    ``generation`` grows with every change of a sandbox.
    """

    def __init__(self, table: NetworksTable) -> None:
        self._table = table
        self._networks: dict[str, Network] = {}
        self._sandboxes: dict[str, Sandbox] = {}
        self._leaving: dict[str, Sandbox] = {}
        self._hidden: set[str] = set()
        self.generation = 0

    def load(self) -> tuple[list[Network], list[Sandbox]]:
        """Reads all records; returns those whose making or removing a crash cut short."""
        networks, sandboxes = self._table.networks(), self._table.sandboxes()
        self._networks = {network.id: network for network, _phase in networks}
        self._sandboxes = {sandbox.container_id: sandbox for sandbox, _phase in sandboxes}
        return (
            [network for network, phase in networks if phase is not Phase.SETTLED],
            [sandbox for sandbox, phase in sandboxes if phase is not Phase.SETTLED],
        )

    def networks(self) -> list[Network]:
        """All networks, oldest first."""
        return list(self._networks.values())

    def sandboxes(self) -> list[Sandbox]:
        """All sandboxes, oldest first."""
        return list(self._sandboxes.values())

    def save_network(self, network: Network, phase: Phase) -> None:
        """Records a network."""
        self._table.save_network(network, phase)
        self._networks[network.id] = network

    def delete_network(self, network: Network) -> None:
        """Forgets a network."""
        self._table.delete_network(network.id)
        self._networks.pop(network.id, None)
        self._hidden.discard(network.id)

    def hide(self, network: Network) -> None:
        """Nobody finds the network, which is being made or removed; its name and its addresses are taken."""
        self._hidden.add(network.id)

    def show(self, network: Network) -> None:
        """Takes ``hide`` back."""
        self._hidden.discard(network.id)

    def save_sandbox(self, sandbox: Sandbox, phase: Phase) -> None:
        """Records a sandbox."""
        self._table.save_sandbox(sandbox, phase)
        self._sandboxes[sandbox.container_id] = sandbox
        self.generation += 1

    def retire_sandbox(self, container_id: str) -> None:
        """The container is plugged in no more, while its links are still being removed: only its addresses count."""
        self._leaving[container_id] = self._sandboxes.pop(container_id)
        self.generation += 1

    def delete_sandbox(self, container_id: str) -> None:
        """Forgets a sandbox."""
        self._table.delete_sandbox(container_id)
        self._sandboxes.pop(container_id, None)
        self._leaving.pop(container_id, None)
        self.generation += 1

    def sandbox(self, container_id: str) -> Sandbox | None:
        """The sandbox of a container, if it has one."""
        return self._sandboxes.get(container_id)

    def network(self, network_id: str) -> Network:
        """The network of that full ID, which is known to exist."""
        return self._networks[network_id]

    def named(self, name: str) -> Network | None:
        """The network of exactly that name."""
        return next((network for network in self._networks.values() if network.name == name), None)

    def find(self, name_or_id: str) -> Network:
        """By full ID, by name, or by the beginning of an ID that only one network has."""
        found = self._networks.get(name_or_id) or self.named(name_or_id)
        if found is not None and found.id not in self._hidden:
            return found
        shown = [network for network in self._networks.values() if network.id not in self._hidden]
        matches = [network for network in shown if name_or_id and network.id.startswith(name_or_id)]
        if len(matches) > 1:
            raise InvalidParameter(
                f"network {name_or_id} is ambiguous ({len(matches)} matches found based on ID prefix)"
            )
        if not matches:
            raise NotFound(f"network {name_or_id} not found")
        return matches[0]

    def attached(self, network_id: str) -> Iterator[tuple[Sandbox, Endpoint]]:
        """Who is plugged into a network."""
        for sandbox in self._sandboxes.values():
            for endpoint in sandbox.endpoints:
                if endpoint.network_id == network_id:
                    yield sandbox, endpoint

    def taken_addresses(self, network_id: str) -> set[str]:
        """The addresses that endpoints of a network have, those of links that are being removed included."""
        sandboxes = (*self._sandboxes.values(), *self._leaving.values())
        plugs = [one for sandbox in sandboxes for one in sandbox.endpoints if one.network_id == network_id]
        return {address for one in plugs for address in (one.address4, one.address6)} - {""}

    def published(self) -> list[PublishedPort]:
        """Every published port of this agent."""
        return [port for sandbox in self._sandboxes.values() for port in sandbox.ports]
