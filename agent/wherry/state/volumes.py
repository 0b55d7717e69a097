"""Tables of volumes and of who has them mounted."""

from __future__ import annotations

from enum import Enum

from wherry.state.database import Database
from wherry.state.records import decode, encode
from wherry.volumes.model import Volume

SUBJECT = "volumes"
MIGRATIONS = [
    """
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        phase TEXT NOT NULL CHECK (phase IN ('making', 'settled', 'removing')),
        record TEXT NOT NULL
    );
    CREATE TABLE volume_users (
        volume TEXT NOT NULL REFERENCES volumes (name) ON DELETE CASCADE,
        user_id TEXT NOT NULL,
        PRIMARY KEY (volume, user_id)
    );
    """,
]


class Phase(Enum):
    """What the agent was doing when the row was last written."""

    MAKING = "making"
    SETTLED = "settled"
    REMOVING = "removing"


class VolumesTable:
    """Typed reads and writes of the rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SUBJECT, MIGRATIONS)

    def all(self) -> list[tuple[Volume, Phase]]:
        """Every volume, oldest first."""
        rows = self._database.execute("SELECT record, phase FROM volumes ORDER BY rowid")
        return [(decode(Volume, row["record"]), Phase(row["phase"])) for row in rows]

    def save(self, volume: Volume, phase: Phase) -> None:
        """Writes a volume, new or known."""
        self._database.change(
            "INSERT INTO volumes (name, phase, record) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET phase = excluded.phase, record = excluded.record",
            (volume.name, phase.value, encode(volume)),
        )

    def delete(self, name: str) -> None:
        """Forgets a volume and its users."""
        self._database.change("DELETE FROM volumes WHERE name = ?", (name,))

    def users(self, name: str) -> list[str]:
        """Who has the volume mounted."""
        rows = self._database.execute("SELECT user_id FROM volume_users WHERE volume = ? ORDER BY rowid", (name,))
        return [row["user_id"] for row in rows]

    def all_users(self) -> list[tuple[str, str]]:
        """Every volume that somebody has mounted, with who that is."""
        rows = self._database.execute("SELECT volume, user_id FROM volume_users ORDER BY rowid")
        return [(row["volume"], row["user_id"]) for row in rows]

    def add_user(self, name: str, user_id: str) -> None:
        """Records that somebody is about to mount the volume."""
        self._database.change("INSERT OR IGNORE INTO volume_users (volume, user_id) VALUES (?, ?)", (name, user_id))

    def delete_user(self, name: str, user_id: str) -> None:
        """Somebody has given the volume back."""
        self._database.change("DELETE FROM volume_users WHERE volume = ? AND user_id = ?", (name, user_id))
