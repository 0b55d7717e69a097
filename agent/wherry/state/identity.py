"""The ID of an agent, made when its data root is first used."""

from __future__ import annotations

import uuid

from wherry.state.database import Database


def identity_of(database: Database) -> str:
    """The same for as long as the database lives."""
    database.migrate("identity", ["CREATE TABLE identity (id TEXT NOT NULL)"])
    with database.transaction():
        rows = database.execute("SELECT id FROM identity")
        if rows:
            return str(rows[0]["id"])
        made = str(uuid.uuid4())
        database.change("INSERT INTO identity VALUES (?)", (made,))
    return made
