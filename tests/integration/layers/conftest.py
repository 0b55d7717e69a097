"""Unpacking through the door that the agent uses, in a directory with witnesses around it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.layers.archive import END
from wherry import native

SECRET = b"the host's own\n"


class Layer:
    """A directory to unpack into, as deep in a tree as a real one, and the tree's state before."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.target = top / "layers" / ".tmp-1" / "diff"
        self.target.mkdir(parents=True)
        for name in ("etc/passwd", "layers/.tmp-1/beside", "layers/neighbour/diff/file"):
            witness = top / name
            witness.parent.mkdir(parents=True, exist_ok=True)
            witness.write_bytes(SECRET)
        self.before = self.outside()

    def unpack(
        self, *members: bytes, end: bytes = END, max_bytes: int = 0, max_entries: int = 0
    ) -> native.LayerSummary:
        """Unpacks members that are already in tar form."""
        return self.unpack_bytes(b"".join(members) + end, max_bytes=max_bytes, max_entries=max_entries)

    def unpack_bytes(
        self, archive: bytes, *, max_bytes: int = 0, max_entries: int = 0, **options: Any
    ) -> native.LayerSummary:
        """Unpacks a whole archive, compressed or not."""
        source = self.top / "archive"
        source.write_bytes(archive)
        descriptor = os.open(source, os.O_RDONLY)
        try:
            return native.unpack_layer(descriptor, self.target, max_bytes=max_bytes, max_entries=max_entries, **options)
        finally:
            os.close(descriptor)
            source.unlink()

    def outside(self) -> dict[str, tuple[object, ...]]:
        """Everything about every file around the target."""
        found: dict[str, tuple[object, ...]] = {}
        for directory, directories, files in os.walk(self.top):
            if Path(directory) == self.target:
                directories.clear()
                continue
            for name in (*directories, *files):
                path = Path(directory, name)
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                times = () if path in (self.target, self.top) else (status.st_mtime_ns, status.st_nlink)
                found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, content, *times)
        return found


@pytest.fixture
def layer(tmp_path: Path) -> Iterator[Layer]:
    """An empty layer directory; after the test nothing around it may have changed."""
    layer = Layer(tmp_path / "root")
    yield layer
    assert layer.outside() == layer.before
