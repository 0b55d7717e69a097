"""The record of registry rules, one a prefix. The rule itself is a JSON document that ``registry`` reads."""

from __future__ import annotations

from wherry.state.database import Database

MIGRATIONS = [
    "CREATE TABLE registry_mirror (prefix TEXT PRIMARY KEY, document TEXT NOT NULL);",
]


class MirrorTable:
    """Reads and writes of the table; the storage of ``wherry.registry.mirrors.Mirrors``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate("registry_mirrors", MIGRATIONS)

    def load(self) -> list[str]:
        """All documents, by prefix."""
        rows = self._database.execute("SELECT document FROM registry_mirror ORDER BY prefix")
        return [row["document"] for row in rows]

    def save(self, prefix: str, document: str) -> None:
        """Writes a document in place of the one of the same prefix."""
        self._database.change(
            "INSERT OR REPLACE INTO registry_mirror (prefix, document) VALUES (?, ?)", (prefix, document)
        )

    def remove(self, prefix: str) -> None:
        """Removes the document of this prefix, if there is one."""
        self._database.change("DELETE FROM registry_mirror WHERE prefix = ?", (prefix,))
