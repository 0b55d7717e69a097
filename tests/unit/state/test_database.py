"""The state database: transactions, migrations, what survives a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import wherry
from wherry.errors import SystemFailure
from wherry.state.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Database:
    opened = Database(tmp_path / "state.db")
    opened.migrate("things", ["CREATE TABLE things (name TEXT UNIQUE)"])
    return opened


def names(database: Database) -> list[str]:
    return [row["name"] for row in database.execute("SELECT name FROM things ORDER BY name")]


def test_transaction_is_all_or_nothing(database: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError), database.transaction():
        database.execute("INSERT INTO things VALUES ('a')")
        database.execute("INSERT INTO things VALUES ('a')")
    assert names(database) == []


def test_nested_block_is_undone_alone(database: Database) -> None:
    with database.transaction():
        database.execute("INSERT INTO things VALUES ('a')")
        with pytest.raises(ValueError), database.transaction():
            database.execute("INSERT INTO things VALUES ('b')")
            raise ValueError
        with database.transaction():
            database.execute("INSERT INTO things VALUES ('c')")
    assert names(database) == ["a", "c"]


def test_nested_block_is_undone_with_the_outer_one(database: Database) -> None:
    with pytest.raises(ValueError), database.transaction():
        with database.transaction():
            database.execute("INSERT INTO things VALUES ('a')")
        raise ValueError
    assert names(database) == []


async def test_another_tasks_transaction_is_not_joined(database: Database) -> None:
    opened, done = asyncio.Event(), asyncio.Event()

    async def holder() -> None:
        with database.transaction():
            opened.set()
            await done.wait()

    holding = asyncio.ensure_future(holder())
    await opened.wait()
    with pytest.raises(RuntimeError, match="must not await"), database.transaction():
        pass
    done.set()
    await holding


def test_full_disk_is_an_error_and_the_database_works_afterwards(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    database.migrate("things", ["CREATE TABLE things (name TEXT UNIQUE)"])
    pages = database.execute("PRAGMA page_count")[0][0]
    database.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(SystemFailure, match="full"), database.transaction():
        database.execute("INSERT INTO things VALUES ('small')")
        database.execute("INSERT INTO things VALUES (?)", ("x" * 100_000,))
    assert names(database) == []
    database.execute(f"PRAGMA max_page_count = {pages + 1000}")
    with database.transaction():
        database.execute("INSERT INTO things VALUES ('after')")
    assert names(database) == ["after"]


def test_migration_goes_from_the_version_that_is_there(tmp_path: Path) -> None:
    first = ["CREATE TABLE a (x TEXT); INSERT INTO a VALUES ('one; two');"]
    database = Database(tmp_path / "state.db")
    database.migrate("a", first)
    database.close()
    database = Database(tmp_path / "state.db")
    database.migrate("a", [*first, "ALTER TABLE a ADD COLUMN y TEXT DEFAULT 'new'"])
    database.migrate("a", [*first, "ALTER TABLE a ADD COLUMN y TEXT DEFAULT 'new'"])
    assert [tuple(row) for row in database.execute("SELECT * FROM a")] == [("one; two", "new")]


def test_failed_migration_leaves_the_old_version(database: Database) -> None:
    with pytest.raises(SystemFailure, match="already exists"):
        database.migrate("things", ["", "CREATE TABLE other (x TEXT); CREATE TABLE things (x TEXT)"])
    assert database.execute("SELECT name FROM sqlite_master WHERE name = 'other'") == []


def test_database_of_a_newer_agent_is_refused(database: Database) -> None:
    database.migrate("things", ["", "CREATE TABLE more (x TEXT)"])
    with pytest.raises(SystemFailure, match="newer wherryd"):
        database.migrate("things", [""])


def test_database_is_readable_by_its_owner_only(database: Database, tmp_path: Path) -> None:
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


def test_committed_rows_survive_a_kill(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from wherry.state.database import Database\n"
        "database = Database(pathlib.Path(sys.argv[1]))\n"
        "database.migrate('things', ['CREATE TABLE things (name TEXT)'])\n"
        "database.execute(\"INSERT INTO things VALUES ('kept')\")\n"
        "database._connection.execute('BEGIN IMMEDIATE')\n"
        "database.execute(\"INSERT INTO things VALUES ('half')\")\n"
        "print('written', flush=True); sys.stdin.read()\n"
    )
    path = tmp_path / "state.db"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(wherry.__file__).parents[1])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        os.kill(process.pid, signal.SIGKILL)
    assert names(Database(path)) == ["kept"]
