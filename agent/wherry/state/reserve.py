"""Space of the disk that is kept for records: what frees a full disk, or ends on one, is to be written down too."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

SIZE = 4 << 20
"""Bytes: as much as the write-ahead log grows to before it is folded into the database (sqlite.org/wal.html)."""
RETRY_SECONDS = 10.0

log = logging.getLogger(__name__)


class Reserve:
    """A file of that size beside the database, given up when the disk is full and taken back when there is room.

    Without a path there is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._next_try = 0.0
        self._held = False
        self.take_back()

    def give_up(self) -> None:
        """Frees the space, if that has not been done before."""
        if not self._held or self._path is None:
            return
        self._held = False
        self._next_try = time.monotonic() + RETRY_SECONDS
        self._path.unlink(missing_ok=True)
        log.warning("the disk of %s is full: records are written to the %d MiB kept for them", self._path, SIZE >> 20)

    def take_back(self) -> None:
        """Takes the space again if it was given up some time ago and the disk has it now."""
        if self._path is None or self._held or time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + RETRY_SECONDS
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(fd, 0, SIZE)
            self._held = True
        except OSError:  # no room, or a file system that cannot set any aside
            self._path.unlink(missing_ok=True)
        finally:
            os.close(fd)
