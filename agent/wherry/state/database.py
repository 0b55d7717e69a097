"""The agent's SQLite database: short synchronous calls from the event loop's thread, and nothing else opens it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wherry.errors import SystemFailure
from wherry.state.reserve import Reserve

Row = sqlite3.Row
Parameters = Sequence[str | int | float | bytes | None]

BUSY_TIMEOUT_SECONDS = 5.0


class Database:
    """One connection in WAL mode.

    A killed process loses nothing that was committed. After a power cut the last commits may be missing, never half
    there: ``synchronous=NORMAL`` leaves the flush of each commit to the next checkpoint, which is what keeps a
    container start from waiting for the disk half a dozen times.
    """

    def __init__(self, path: Path, reserve: Path | None = None) -> None:
        try:
            # The file is made before SQLite opens it, so that it never exists readable to others.
            path.touch(mode=0o600)
            self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_SECONDS, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_versions (subject TEXT PRIMARY KEY, version INTEGER NOT NULL)"
            )
        except (OSError, sqlite3.Error) as error:
            raise SystemFailure(f"cannot open the state database {path}: {error}") from error
        self._path = path
        self._reserve = Reserve(reserve)
        self._depth = 0
        self._owner: asyncio.Task[object] | None = None

    def execute(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """Runs one statement and returns its rows.

        Raises sqlite3.IntegrityError where a constraint stands against it, SystemFailure where the disk does.
        """
        self._reserve.take_back()
        return self._run(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Parameters = ()) -> int:
        """Runs one INSERT, UPDATE or DELETE and returns how many rows it touched."""
        self._reserve.take_back()
        return self._run(sql, parameters).rowcount

    def _run(self, sql: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        try:
            try:
                return self._connection.execute(sql, parameters)
            except sqlite3.OperationalError as error:
                # Within a transaction nothing can be done again alone: SQLite may have undone all of it.
                if self._connection.in_transaction or not _is_full(error):
                    raise
                self._reserve.give_up()
                # What is folded into the database makes room in the log, which is written from its beginning again.
                self._connection.execute("PRAGMA wal_checkpoint(RESTART)")
            return self._connection.execute(sql, parameters)
        except sqlite3.OperationalError as error:
            raise SystemFailure(f"the state database {self._path} cannot be used: {error}") from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of the block or nothing of it; a nested block is undone alone and settled with the outermost.

        The block must not await: the connection is shared, and another task's statements would become part of it.
        """
        task = _current_task()
        if self._depth and task is not self._owner:
            raise RuntimeError("a transaction of another task is open: a transaction must not await")
        begin, settle, undo = _TRANSACTION if self._depth == 0 else _SAVEPOINT
        name = f" level_{self._depth}" if self._depth else ""
        self._run(begin + name)
        self._owner = task
        self._depth += 1
        try:
            yield
            self._run(settle + name)
        except BaseException:
            # On a full disk SQLite may have undone everything by itself (sqlite.org/lang_transaction.html).
            if self._connection.in_transaction:
                self._run(undo + name)
                if name:
                    self._run(settle + name)
            raise
        finally:
            self._depth -= 1

    def migrate(self, subject: str, versions: Sequence[str]) -> None:
        """Brings the tables of one subject up to date: ``versions[n]`` is the script that leads to version n + 1."""
        rows = self.execute("SELECT version FROM schema_versions WHERE subject = ?", (subject,))
        present: int = rows[0]["version"] if rows else 0
        if present > len(versions):
            raise SystemFailure(
                f"{self._path} was written by a newer wherryd: {subject} has version {present}, "
                f"this one knows versions up to {len(versions)}"
            )
        if present == len(versions):
            return
        with self.transaction():
            for script in versions[present:]:
                for statement in _statements(script):
                    self._run(statement)
            self.execute(
                "INSERT OR REPLACE INTO schema_versions (subject, version) VALUES (?, ?)", (subject, len(versions))
            )

    def close(self) -> None:
        """Ends the connection; the write-ahead log is folded into the file."""
        self._connection.close()


_TRANSACTION = ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
_SAVEPOINT = ("SAVEPOINT", "RELEASE", "ROLLBACK TO")


def _is_full(error: sqlite3.OperationalError) -> bool:
    """SQLITE_FULL, or the I/O error that a full disk is to the write-ahead log's index (Python 3.10 has no codes)."""
    return "full" in str(error) or "disk I/O" in str(error)


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _statements(script: str) -> Iterator[str]:
    """Cuts a script into its statements (sqlite3's own executescript would commit the open transaction)."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n\t;"):
                yield statement
            statement = ""
