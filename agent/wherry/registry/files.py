"""Configuration files that others write while the agent runs: read again when they have changed, and only then."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from wherry.errors import InvalidParameter

FILE_MAX = 1024 * 1024  # bytes

T = TypeVar("T")


class Cached(Generic[T]):
    """What a reader made of files. ``get`` costs one stat(2) while a file stays as it is."""

    def __init__(self, read: Callable[[Path, bytes], T]) -> None:
        self._read = read
        self._known: dict[Path, tuple[tuple[int, ...], T]] = {}

    def get(self, path: Path) -> T | None:
        """What the file says now; ``None`` when there is none. Errors: ``InvalidParameter``, and the reader's."""
        try:
            # A pipe in the place of the file must not hold the agent.
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size > FILE_MAX:
                    raise InvalidParameter(f"{path}: not a regular file of at most {FILE_MAX} bytes")
                mark = (found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev)
                if path in self._known and self._known[path][0] == mark:
                    return self._known[path][1]
                data = file.read(FILE_MAX)
        except (FileNotFoundError, NotADirectoryError):
            self._known.pop(path, None)
            return None
        except OSError as error:
            raise InvalidParameter(f"{path}: {error.strerror}") from error
        made = self._read(path, data)
        self._known[path] = (mark, made)
        return made


def parse_toml(path: Path, data: bytes) -> dict[str, Any]:
    """The document of a TOML file. Errors: ``InvalidParameter`` naming the file and the line."""
    # Imported here: most hosts have no such file.
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: dict[str, Any] = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"{path}: {error}") from error
    return document
