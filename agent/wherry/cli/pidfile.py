"""Locks that keep two agents apart, and the pid file."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType

from wherry.errors import Conflict, SystemFailure


class LockedFile:
    """A file that holds this process's pid and stays locked for as long as the process lives.

    The kernel lets go of the lock when the process ends in whatever way, so a stale file is never in the way.
    """

    def __init__(self, path: Path, *, subject: str, remove: bool) -> None:
        self._path = path
        self._subject = subject
        self._remove = remove
        self._fd = -1

    def __enter__(self) -> LockedFile:
        self._path.parent.mkdir(mode=0o710, parents=True, exist_ok=True)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except OSError as error:
            raise SystemFailure(f"cannot write {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(fd, 32).decode("ascii", "replace").strip()
            os.close(fd)
            raise Conflict(f"another wherryd (pid {holder or 'unknown'}) uses {self._subject}") from None
        # Written over what is there: on a full disk there may be no room for it, and the lock is what counts.
        with contextlib.suppress(OSError):
            length = os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(fd, length)
        self._fd = fd
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._remove:
            self._path.unlink(missing_ok=True)
        os.close(self._fd)
