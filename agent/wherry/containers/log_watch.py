"""Wakes those who follow logs when the kernel reports that a log's directory changed (inotify(7)).

One descriptor serves all followers of an agent: instances are few (fs.inotify.max_user_instances), watches are not.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wherry import native

_EVENT = struct.Struct("iIII")  # wd, mask, cookie, length of the name that follows
_READ = 1 << 16


class LogWatch:
    """The followers of one agent, by directory. All calls are made on the event loop's thread."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._watches: dict[int, set[asyncio.Event]] = {}

    @contextmanager
    def directory(self, path: Path) -> Iterator[asyncio.Event]:
        """An event that is set at every change of a file directly in the directory. SystemFailure when the kernel's
        bounds are reached; a directory that is gone never changes.
        """
        changed = asyncio.Event()
        number = self._add(path)
        self._watches.setdefault(number, set()).add(changed)
        try:
            yield changed
        finally:
            self._remove(number, changed)

    def close(self) -> None:
        """Gives the descriptor back; nobody is woken any more."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
        self._descriptor = -1
        self._watches.clear()

    def _add(self, path: Path) -> int:
        if self._descriptor < 0:
            self._descriptor = native.inotify_open()
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        try:
            return native.inotify_add(self._descriptor, path)
        except FileNotFoundError:
            return -1

    def _remove(self, number: int, changed: asyncio.Event) -> None:
        followers = self._watches.get(number, set())
        followers.discard(changed)
        if not followers and self._watches.pop(number, None) is not None and number >= 0:
            native.inotify_remove(self._descriptor, number)
        if not self._watches:
            self.close()

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ)
        except BlockingIOError:
            return
        position = 0
        while position + _EVENT.size <= len(data):
            number, _, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            # -1: the queue was full and events were lost, so anything may have changed.
            for changed in self._watches.get(number, ()) if number >= 0 else set().union(*self._watches.values()):
                changed.set()
