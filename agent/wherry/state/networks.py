"""Tables of networks, of the network sandboxes of containers, and of what was changed on the host for them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from wherry.networks.model import Network, Sandbox
from wherry.state.database import Database
from wherry.state.records import decode, encode

SUBJECT = "networks"
MIGRATIONS = [
    """
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        phase TEXT NOT NULL CHECK (phase IN ('making', 'settled', 'removing')),
        record TEXT NOT NULL
    );
    CREATE TABLE sandboxes (
        container_id TEXT PRIMARY KEY,
        phase TEXT NOT NULL CHECK (phase IN ('making', 'settled', 'removing')),
        record TEXT NOT NULL
    );
    CREATE TABLE network_host_settings (
        name TEXT PRIMARY KEY,
        before TEXT NOT NULL,
        changed_to TEXT NOT NULL
    );
    """,
]


class Phase(Enum):
    """What the agent was doing when the row was last written; anything but settled is undone by the next start."""

    MAKING = "making"
    SETTLED = "settled"
    REMOVING = "removing"


@dataclass(frozen=True)
class HostSetting:
    """A kernel setting of the host that was changed: by path below /proc/sys, or ``link/NAME`` for a link made."""

    name: str
    before: str
    changed_to: str


class NetworksTable:
    """Typed reads and writes of the three tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SUBJECT, MIGRATIONS)

    def networks(self) -> list[tuple[Network, Phase]]:
        """Every network, oldest first."""
        rows = self._database.execute("SELECT record, phase FROM networks ORDER BY rowid")
        return [(decode(Network, row["record"]), Phase(row["phase"])) for row in rows]

    def save_network(self, network: Network, phase: Phase) -> None:
        """Writes a network, new or known."""
        self._database.change(
            "INSERT INTO networks (id, name, phase, record) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET name = excluded.name, phase = excluded.phase, record = excluded.record",
            (network.id, network.name, phase.value, encode(network)),
        )

    def delete_network(self, network_id: str) -> None:
        """Forgets a network."""
        self._database.change("DELETE FROM networks WHERE id = ?", (network_id,))

    def sandboxes(self) -> list[tuple[Sandbox, Phase]]:
        """Every sandbox, oldest first."""
        rows = self._database.execute("SELECT record, phase FROM sandboxes ORDER BY rowid")
        return [(decode(Sandbox, row["record"]), Phase(row["phase"])) for row in rows]

    def save_sandbox(self, sandbox: Sandbox, phase: Phase) -> None:
        """Writes a sandbox, new or known."""
        self._database.change(
            "INSERT INTO sandboxes (container_id, phase, record) VALUES (?, ?, ?) "
            "ON CONFLICT (container_id) DO UPDATE SET phase = excluded.phase, record = excluded.record",
            (sandbox.container_id, phase.value, encode(sandbox)),
        )

    def delete_sandbox(self, container_id: str) -> None:
        """Forgets a sandbox."""
        self._database.change("DELETE FROM sandboxes WHERE container_id = ?", (container_id,))

    def host_settings(self) -> list[HostSetting]:
        """What was changed on the host, latest first: the order in which it is put back."""
        rows = self._database.execute("SELECT * FROM network_host_settings ORDER BY rowid DESC")
        return [HostSetting(row["name"], row["before"], row["changed_to"]) for row in rows]

    def add_host_setting(self, setting: HostSetting) -> None:
        """Records a change before it is made; what was there before the first change is kept."""
        self._database.change(
            "INSERT INTO network_host_settings (name, before, changed_to) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET changed_to = excluded.changed_to",
            (setting.name, setting.before, setting.changed_to),
        )

    def delete_host_setting(self, name: str) -> None:
        """Forgets a change that was put back."""
        self._database.change("DELETE FROM network_host_settings WHERE name = ?", (name,))
