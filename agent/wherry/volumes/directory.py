"""A volume's place below ``data-root/volumes``: made, measured, taken away. All calls block."""

from __future__ import annotations

import os
from pathlib import Path

from wherry import native
from wherry.errors import SystemFailure
from wherry.volumes.model import Volume

DATA = "_data"
REMOVING_PREFIX = ".removing-"
_ENTRY_MODE, _DATA_MODE = 0o701, 0o755
_BLOCK = 512
"""The unit of st_blocks (stat(2))."""


def make(volume: Volume) -> None:
    """The volume's directory; harmless when it is there."""
    data = Path(volume.mountpoint)
    try:
        data.parent.mkdir(mode=_ENTRY_MODE, exist_ok=True)
        data.mkdir(exist_ok=True)
        # After the fact, because mkdir's mode is cut by the umask; only what was just made, not what a container set.
        data.parent.chmod(_ENTRY_MODE)
        data.chmod(_DATA_MODE)
    except OSError as error:
        raise SystemFailure(f"cannot make volume {volume.name}: {error.filename}: {error.strerror}") from error


def restore(volume: Volume) -> None:
    """Makes the directory anew where somebody took it away under us, as Docker does."""
    if not Path(volume.mountpoint).is_dir():
        make(volume)


def remove(volume: Volume) -> None:
    """Takes the volume's directory away: first out of sight by a rename, then its content."""
    entry = Path(volume.mountpoint).parent
    doomed = entry.parent / f"{REMOVING_PREFIX}{volume.name}"
    try:
        if entry.exists():
            native.remove_tree(doomed)
            entry.rename(doomed)
        native.remove_tree(doomed)
    except OSError as error:
        raise SystemFailure(f"cannot remove volume {volume.name}: {error.filename}: {error.strerror}") from error
    except native.NativeError as error:
        raise SystemFailure(f"cannot remove volume {volume.name}: {error}") from error


def size_of(place: str | Path) -> int:
    """Bytes on disk below a directory, a file with several names once."""
    total = 0
    seen: set[tuple[int, int]] = set()
    for directory, _names, files in os.walk(place):
        for name in files:
            try:
                status = (Path(directory) / name).lstat()
            except OSError:
                continue  # gone in the meantime
            if status.st_nlink > 1:
                if (status.st_dev, status.st_ino) in seen:
                    continue
                seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * _BLOCK
    return total
