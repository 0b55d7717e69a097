"""The bounded store of past events, for clients that ask for what happened ``since`` a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from wherry.state.database import Database, Row

KEPT_EVENTS = 4096
PRUNE_EVERY = 256

_SCHEMA = (
    """
    CREATE TABLE events (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        time_ns INTEGER NOT NULL,
        kind TEXT NOT NULL,
        action TEXT NOT NULL,
        actor_id TEXT NOT NULL,
        attributes TEXT NOT NULL
    );
    CREATE INDEX events_by_time ON events (time_ns);
    """,
)


@dataclass(frozen=True)
class Event:
    """Something that happened to an object: ``container`` ``start`` …, at nanoseconds since the epoch."""

    time_ns: int
    kind: str
    action: str
    actor_id: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class EventsTable:
    """The last few thousand events, oldest dropped first."""

    def __init__(self, database: Database) -> None:
        database.migrate("events", _SCHEMA)
        self._database = database
        self._until_prune = PRUNE_EVERY

    def add(self, event: Event) -> None:
        """Records an event."""
        self._database.change(
            "INSERT INTO events (time_ns, kind, action, actor_id, attributes) VALUES (?, ?, ?, ?, ?)",
            (event.time_ns, event.kind, event.action, event.actor_id, json.dumps(dict(event.attributes))),
        )
        self._until_prune -= 1
        if self._until_prune <= 0:
            self._until_prune = PRUNE_EVERY
            self._database.change(
                "DELETE FROM events WHERE number <= (SELECT MAX(number) FROM events) - ?", (KEPT_EVENTS,)
            )

    def between(self, since_ns: int, until_ns: int | None) -> list[Event]:
        """The recorded events of that time, both ends included, oldest first."""
        last = until_ns if until_ns is not None else 2**63 - 1
        rows = self._database.execute(
            "SELECT * FROM events WHERE time_ns BETWEEN ? AND ? ORDER BY number", (since_ns, last)
        )
        return [_event(row) for row in rows]


def _event(row: Row) -> Event:
    attributes = json.loads(row["attributes"])
    return Event(row["time_ns"], row["kind"], row["action"], row["actor_id"], attributes)
