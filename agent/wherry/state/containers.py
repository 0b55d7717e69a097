"""The table of containers: one row each, written before the act that it describes."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from wherry.containers.model import Container, ContainerState
from wherry.state.database import Database
from wherry.state.records import decode, encode

SUBJECT = "containers"
MIGRATIONS = [
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        phase TEXT NOT NULL CHECK (phase IN ('creating', 'settled', 'starting', 'removing')),
        record TEXT NOT NULL,
        state TEXT NOT NULL
    )
    """,
]


class Phase(Enum):
    """What the agent was doing to a container when the row was last written."""

    CREATING = "creating"
    SETTLED = "settled"
    STARTING = "starting"
    REMOVING = "removing"


class ContainersTable:
    """Typed reads and writes of the rows; the record and its state are apart, because the state changes often."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SUBJECT, MIGRATIONS)

    def all(self) -> list[tuple[Container, Phase]]:
        """Every container with the phase that it is in."""
        rows = self._database.execute("SELECT record, state, phase FROM containers ORDER BY rowid")
        return [(self._container(row[0], row[1]), Phase(row[2])) for row in rows]

    def insert(self, container: Container, phase: Phase) -> None:
        """A new row; the caller has made sure that id and name are free."""
        self._database.execute(
            "INSERT INTO containers (id, name, phase, record, state) VALUES (?, ?, ?, ?, ?)",
            (container.id, container.name, phase.value, _record(container), encode(container.state)),
        )

    def update(self, container: Container, phase: Phase) -> None:
        """Rewrites record, state and phase of an existing row."""
        self._database.execute(
            "UPDATE containers SET name = ?, phase = ?, record = ?, state = ? WHERE id = ?",
            (container.name, phase.value, _record(container), encode(container.state), container.id),
        )

    def update_state(self, container: Container) -> None:
        """Rewrites only the state."""
        self._database.execute("UPDATE containers SET state = ? WHERE id = ?", (encode(container.state), container.id))

    def set_phase(self, container_id: str, phase: Phase) -> None:
        """Says what is about to be done."""
        self._database.execute("UPDATE containers SET phase = ? WHERE id = ?", (phase.value, container_id))

    def delete(self, container_id: str) -> None:
        """Forgets the container; harmless when it is not there."""
        self._database.execute("DELETE FROM containers WHERE id = ?", (container_id,))

    @staticmethod
    def _container(record: str, state: str) -> Container:
        return replace(decode(Container, record), state=decode(ContainerState, state), removing=False)


def _record(container: Container) -> str:
    return encode(replace(container, state=ContainerState(), removing=False))
