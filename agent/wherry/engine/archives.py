"""Archives on the host that images are made of: read in pieces, known by the digest of their content."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import AsyncIterator
from typing import BinaryIO

from wherry.aio import in_thread
from wherry.engine.documents.image import ImageDocument
from wherry.errors import InvalidParameter

PIECE = 1 << 20
IMPORT_LABEL = "io.wherry.import"
"""The label that says of which archive and with which changes an image was imported."""

Stamp = tuple[int, int, int, int, int]


class Archives:
    """Digests of archives, remembered for as long as the file does not change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, str]] = {}

    async def import_mark(self, document: ImageDocument) -> str:
        """The value of ``IMPORT_LABEL`` for what the document asks for: content, changes and platform."""
        content = await in_thread(self._digest, document.path)
        said = json.dumps([content, document.changes, document.platform])
        return f"sha256:{hashlib.sha256(said.encode()).hexdigest()}"

    def _digest(self, path: str) -> str:
        with open_archive(path, "path") as stream:
            stamp = _stamp(os.fstat(stream.fileno()))
            known = self._known.get(path)
            if known and known[0] == stamp:
                return known[1]
            digest = hashlib.sha256()
            while piece := stream.read(PIECE):
                digest.update(piece)
        self._known[path] = (stamp, digest.hexdigest())
        return digest.hexdigest()


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def open_archive(path: str, field: str) -> BinaryIO:
    """Opens a regular file for reading; raises ``InvalidParameter`` that names the option."""
    try:
        # A fifo must not hold the agent up; what is no regular file is refused below.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidParameter(f"cannot be read: {error.strerror}", field=field, value=path) from None
    stream = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        stream.close()
        raise InvalidParameter("is not a regular file", field=field, value=path)
    return stream


def check_archive(path: str, field: str) -> None:
    """Raises ``InvalidParameter`` when the file cannot be read."""
    open_archive(path, field).close()


async def chunks(path: str, field: str) -> AsyncIterator[bytes]:
    """The content of an archive."""
    stream = await in_thread(open_archive, path, field)
    try:
        while piece := await in_thread(stream.read, PIECE):
            yield piece
    finally:
        stream.close()
