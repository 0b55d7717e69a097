"""What is kept of exec sessions for the next agent: a file in each session's directory, which goes with the run."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.containers.model import ExecRequest
from wherry.state.records import decode, encode

PRIVATE_MODE = 0o700
FILE = "session.json"
PROCESS_FILE = "process.json"


@dataclass(frozen=True)
class ExecRecord:
    """One session. ``started``: its process was about to be made, or was. ``internal``: a health check's."""

    id: str
    request: ExecRequest
    started: bool = False
    exit_code: int | None = None
    internal: bool = False


def make(directory: Path, record: ExecRecord) -> None:
    """The directory of a new session. Not with its parents: of a container that is gone nothing may come back."""
    directory.parent.mkdir(mode=PRIVATE_MODE, exist_ok=True)
    directory.mkdir(mode=PRIVATE_MODE)
    write(directory, record)


def write(directory: Path, record: ExecRecord) -> None:
    """Replaces what is kept; OSError when the session's container is gone, or the disk is full."""
    temporary = directory / f"{FILE}.new"
    temporary.write_text(encode(record), encoding="utf-8")
    temporary.rename(directory / FILE)


def read(directory: Path) -> ExecRecord | None:
    """What is kept; ``None`` where there is nothing that can be read."""
    try:
        return decode(ExecRecord, (directory / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def settle(directory: Path, record: ExecRecord) -> None:
    """The process has ended: only the record stays. Harmless when the container, and all of this with it, is gone."""
    try:
        write(directory, record)
        for entry in directory.iterdir():
            if entry.name != FILE:
                entry.unlink(missing_ok=True)
    except OSError:
        return


def remove(directory: Path) -> None:
    """Forgets the session."""
    with contextlib.suppress(native.NativeError):
        native.remove_tree(directory)
