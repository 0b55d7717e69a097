"""The store on disk: an OCI image layout that skopeo and umoci read.

Blobs are written below ``ingest/`` and renamed to their digest, so what lies under ``blobs/`` is whole and is what its
name says. Before that it is flushed, so that this holds after a power cut, too, but for blobs of layers: those are
flushed behind the pull with the layers themselves, which say whether that was done (``layers.py``). ``index.json`` is
written after every change; it repeats what the database records, for other readers. Source: OCI image-spec
``image-layout.md``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, Protocol

from wherry.aio import in_thread_to_the_end
from wherry.errors import SystemFailure
from wherry.images.manifest import OCI_INDEX, Descriptor, descriptor_json

WRITE_SIZE = 1024 * 1024  # bytes that are hashed and written in one visit to a thread
PARTIAL_KEPT_SECONDS = 24 * 3600.0
BLOB_MODE = 0o600


class Reader(Protocol):
    """Somebody who reads the bytes of a file while it grows, and so knows its digest first."""

    def begin(self, source: Path) -> None:
        """Starts at the beginning of a file."""

    def advance(self, size: int) -> None:
        """Says that the file has so many bytes now."""

    async def digest(self) -> str | None:
        """The digest of the whole file, ``None`` when reading failed before its end."""

    async def leave(self) -> object:
        """Ends it; the file may change now."""


class BlobWriter:
    """Writes one blob into ``ingest/``. Use ``BlobStore.writer``. It hashes on the way, unless a reader does."""

    def __init__(self, path: Path, *, resume: bool = False, reader: Reader | None = None) -> None:
        self.path = path
        self.size = 0
        self._reader = reader
        self._found = ""
        self._hash = hashlib.sha256()
        self._pending: list[bytes] = []
        self._pending_size = 0
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (0 if resume else os.O_TRUNC)
        self._fd = os.open(path, flags, BLOB_MODE)

    @property
    def read_along(self) -> bool:
        """Whether a reader has the bytes, too."""
        return self._reader is not None

    @property
    def digest(self) -> str:
        """The digest of what has been written, known after ``finish``."""
        return self._found

    async def finish(self) -> str:
        """No more comes: the digest of all that has been written."""
        await self.flush()
        if self._reader is None:
            self._found = f"sha256:{self._hash.hexdigest()}"
            return self._found
        found = await self._reader.digest()
        if found is None:
            await in_thread_to_the_end(self._read_back)
            found = f"sha256:{self._hash.hexdigest()}"
        self._found = found
        return found

    async def take_up(self) -> None:
        """Goes on behind what an earlier attempt left in the file."""
        if self._reader is None:
            await in_thread_to_the_end(self._read_back)
            return
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self._reader.begin(self.path)
        self._reader.advance(self.size)

    def _read_back(self) -> None:
        self._hash, self.size = hashlib.sha256(), 0
        os.lseek(self._fd, 0, os.SEEK_SET)
        while piece := os.read(self._fd, WRITE_SIZE):
            self._hash.update(piece)
            self.size += len(piece)

    async def restart(self) -> None:
        """Throws away what has been written."""
        if self._reader is not None:
            await self._reader.leave()
        self._pending, self._pending_size, self.size = [], 0, 0
        self._hash, self._found = hashlib.sha256(), ""
        await in_thread_to_the_end(os.ftruncate, self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        if self._reader is not None:
            self._reader.begin(self.path)

    async def write(self, piece: bytes) -> None:
        """Takes bytes; they reach the file in larger portions."""
        self._pending.append(piece)
        self._pending_size += len(piece)
        self.size += len(piece)
        if self._pending_size >= WRITE_SIZE:
            await self.flush()

    async def flush(self) -> None:
        """Hands all bytes to the kernel."""
        pieces, self._pending, self._pending_size = self._pending, [], 0
        if pieces:
            await in_thread_to_the_end(self._write_out, pieces)
        if pieces and self._reader is not None:
            self._reader.advance(self.size)

    def _write_out(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            if self._reader is None:
                self._hash.update(piece)
            view = memoryview(piece)
            try:
                while view:
                    view = view[os.write(self._fd, view) :]
            except OSError as error:
                raise SystemFailure(f"cannot write {self.path.parent}: {error.strerror}") from error

    def sync(self) -> None:
        """Waits until the bytes are on the disk."""
        try:
            os.fdatasync(self._fd)
        except OSError as error:
            raise SystemFailure(f"cannot write {self.path.parent}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the file; it stays where it is."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Closes and removes the file."""
        self.close()
        self.path.unlink(missing_ok=True)


class BlobStore:
    """Blobs by digest, and the index of an OCI layout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blobs = root / "blobs" / "sha256"
        self._ingest = root / "ingest"

    def prepare(self) -> None:
        """Makes the layout and removes what a crash left behind; young partial downloads stay, to be resumed."""
        for directory in (self.root, self.root / "blobs", self._blobs, self._ingest):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        marker = self.root / "oci-layout"
        if not marker.exists():
            self._replace(marker, b'{"imageLayoutVersion":"1.0.0"}')
        oldest = time.time() - PARTIAL_KEPT_SECONDS
        for leftover in self._ingest.iterdir():
            if leftover.suffix != ".part" or leftover.stat().st_mtime < oldest:
                leftover.unlink()

    def path(self, digest: str) -> Path:
        """Where a blob is, or would be."""
        return self._blobs / digest.removeprefix("sha256:")

    def has(self, digest: str, size: int | None = None) -> bool:
        """Whether the blob is there (and of that size)."""
        try:
            found = self.path(digest).stat()
        except FileNotFoundError:
            return False
        return size is None or found.st_size == size

    def size(self, digest: str) -> int:
        """Bytes of a blob."""
        return self.path(digest).stat().st_size

    def read(self, digest: str, limit: int) -> bytes:
        """A small blob whole, verified again.

        Errors: ``SystemFailure`` when it is missing, longer than ``limit`` bytes, or has rotted.
        """
        try:
            with self.path(digest).open("rb") as file:
                data = file.read(limit + 1)
        except OSError as error:
            raise SystemFailure(f"blob {digest} cannot be read: {error.strerror}") from error
        if len(data) > limit or hashlib.sha256(data).hexdigest() != digest.removeprefix("sha256:"):
            raise SystemFailure(f"blob {digest} is damaged")
        return data

    def write(self, data: bytes) -> str:
        """Stores a small blob and returns its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if not self.has(digest, len(data)):
            self._replace(self.path(digest), data)
        return digest

    def writer(self) -> BlobWriter:
        """A writer for a blob whose digest is not known yet."""
        return BlobWriter(self._ingest / f"{secrets.token_hex(8)}.tmp")

    def partial_writer(self, digest: str, reader: Reader | None = None) -> BlobWriter:
        """A writer for a blob of that digest, which goes on where an earlier one stopped; see ``take_up``."""
        return BlobWriter(self._ingest / f"{digest.removeprefix('sha256:')}.part", resume=True, reader=reader)

    async def commit(self, writer: BlobWriter) -> str:
        """Makes what was written a blob; returns its digest.

        It is flushed before it gets its name, unless somebody read along: who did answers for it until it is.
        """
        if not writer.digest:
            await writer.finish()
        await in_thread_to_the_end(self._settle, writer)
        return writer.digest

    def _settle(self, writer: BlobWriter) -> None:
        if not writer.read_along:
            writer.sync()
        writer.close()
        writer.path.rename(self.path(writer.digest))
        if not writer.read_along:
            _sync_directory(self._blobs)

    def adopt(self, path: Path, digest: str, *, flush: bool) -> None:
        """Makes a whole file of ``ingest/``, whose digest is known, a blob. ``flush`` it unless it is a layer's, which
        is looked at again after a power cut.
        """
        if flush:
            self._flush(path)
        path.rename(self.path(digest))
        if flush:
            _sync_directory(self._blobs)

    def drop_unless_whole(self, digest: str) -> None:
        """Removes a blob whose bytes are not those of its digest, so that it can be brought again.

        Errors: ``SystemFailure`` when it was so, or is missing.
        """
        found = hashlib.sha256()
        try:
            with self.path(digest).open("rb") as file:
                while piece := file.read(WRITE_SIZE):
                    found.update(piece)
        except OSError as error:
            raise SystemFailure(f"blob {digest} cannot be read: {error.strerror}") from error
        if found.hexdigest() != digest.removeprefix("sha256:"):
            self.remove(digest)
            raise SystemFailure(f"blob {digest} was damaged and is removed")

    @staticmethod
    def _flush(path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.fdatasync(fd)
        except OSError as error:
            raise SystemFailure(f"cannot write {path.parent}: {error.strerror}") from error
        finally:
            os.close(fd)

    async def save_stream(self, chunks: AsyncIterator[bytes]) -> tuple[str, int]:
        """Stores a stream as a blob; returns digest and size in bytes."""
        writer = self.writer()
        try:
            async for piece in chunks:
                await writer.write(piece)
            return await self.commit(writer), writer.size
        except BaseException:
            writer.discard()
            raise

    def remove(self, digest: str) -> int:
        """Removes a blob; returns the bytes that became free."""
        try:
            size = self.size(digest)
            self.path(digest).unlink()
        except FileNotFoundError:
            return 0
        return size

    def digests(self) -> list[str]:
        """All blobs."""
        return [f"sha256:{path.name}" for path in self._blobs.iterdir()]

    def write_index(self, manifests: Iterable[tuple[Descriptor, str | None]]) -> None:
        """Writes ``index.json``: a manifest a line, with the name that it has or ``None``."""
        entries = []
        for descriptor, name in manifests:
            entry: dict[str, Any] = descriptor_json(descriptor)
            if name is not None:
                entry["annotations"] = {"org.opencontainers.image.ref.name": name}
            entries.append(entry)
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        self._replace(self.root / "index.json", json.dumps(body, separators=(",", ":")).encode())

    def _replace(self, path: Path, data: bytes) -> None:
        temporary = self._ingest / f"{secrets.token_hex(8)}.tmp"
        try:
            with temporary.open("xb") as file:
                temporary.chmod(BLOB_MODE)
                file.write(data)
                file.flush()
                os.fdatasync(file.fileno())
            temporary.rename(path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise SystemFailure(f"cannot write {path}: {error.strerror}") from error


def _sync_directory(path: Path) -> None:
    """Puts a rename on the disk (fsync(2), on directories)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
