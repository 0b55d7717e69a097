"""Unpacked layers: one directory a chain ID, made by the C core, shared by every image and container above it.

A layer appears by rename of ``.tmp-…`` and is then recorded. It is not flushed file by file, because its blob can
make it again: ``settle`` waits for the disk in the background, and a layer that a power cut caught before that is
unpacked anew at the next start.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from wherry.aio import in_thread, to_the_end
from wherry.errors import SystemFailure, WherryError
from wherry.images.follow import Allowance, Unpacking
from wherry.registry.errors import DigestMismatch
from wherry.state.images import ImageTable, LayerRow

UNPACKED_ALWAYS = 1024**3  # bytes that any layer may have
UNPACKED_RATIO = 256  # beyond that a layer may be so many times its blob; real ones are below 50, deflate reaches 1032
FREE_KEPT = 256 * 1024**2  # bytes of the disk that unpacking leaves free
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UnpackLimits:
    """How much may come out of one layer, whatever it is: bytes of its archive, and members. A compressed stream can
    hold any amount of both.
    """

    bytes: int = 64 * 1024**3
    entries: int = 4_000_000


class LayerStore:
    """The directories below ``layers/``, and their rows. ``limits`` may be changed; the next layer goes by them."""

    def __init__(self, root: Path, table: ImageTable, limits: UnpackLimits | None = None) -> None:
        self.limits = limits or UnpackLimits()
        self._root = root
        self._table = table
        self._rows: dict[str, LayerRow] = {}
        self._unsettled: set[str] = set()
        self._boot = ""

    def prepare(self) -> list[LayerRow]:
        """Sweeps what a crash left behind; returns the rows of layers that must be unpacked anew."""
        self._root.mkdir(mode=0o710, parents=True, exist_ok=True)
        self._boot = BOOT_ID.read_text(encoding="ascii").strip()
        lost = []
        for row in self._table.layers():
            caught = not row.settled and row.boot_id != self._boot
            if caught or not self.directory(row.chain_id).is_dir():
                self._table.drop_layer(row.chain_id)
                lost.append(row)
            else:
                self._rows[row.chain_id] = row
        known = {chain_id.removeprefix("sha256:") for chain_id in self._rows}
        for entry in self._root.iterdir():
            if entry.name not in known:
                log.info("removing the leftover layer directory %s", entry.name)
                _discard(entry)
        self._unsettled = {row.chain_id for row in self._rows.values() if not row.settled}
        return lost

    def directory(self, chain_id: str) -> Path:
        """The layer's root directory."""
        return self._root / chain_id.removeprefix("sha256:") / "diff"

    def has(self, chain_id: str) -> bool:
        """Whether the layer is unpacked."""
        return chain_id in self._rows

    def known(self) -> list[str]:
        """Chain IDs of all unpacked layers."""
        return list(self._rows)

    def size(self, chain_id: str) -> int:
        """Bytes of the unpacked layer; 0 for one that is not there."""
        row = self._rows.get(chain_id)
        return row.size if row else 0

    async def unpack(
        self, chain_id: str, diff_id: str, blob: Path, report: Callable[[int], None] = lambda _: None
    ) -> LayerRow:
        """Unpacks a verified blob as the layer; its uncompressed digest must be ``diff_id``.

        ``report`` is told how many bytes of the blob have been read.

        Errors: ``DigestMismatch``, ``SystemFailure`` when the disk is full, and what the core says of bad archives.
        """
        async with self._unpacked(blob, report) as unpacking:
            await self.adopt(unpacking, chain_id, diff_id)
        return self._rows[chain_id]

    async def unpack_unknown(self, blob: Path) -> LayerRow:
        """Unpacks a blob whose diff ID is not known yet as a base layer, whose chain ID is its diff ID."""
        async with self._unpacked(blob, lambda _: None) as unpacking:
            directory, summary = unpacking.take()
            return await self._adopt(directory, summary.diff_id, summary.diff_id, summary.size)

    @contextlib.asynccontextmanager
    async def _unpacked(self, blob: Path, report: Callable[[int], None]) -> AsyncIterator[Unpacking]:
        """A blob that is there, unpacked to its end."""
        size = _size_of(blob)
        async with self.unpacking(size, report) as unpacking:
            unpacking.begin(blob)
            unpacking.advance(size)
            await unpacking.digest()
            yield unpacking

    @contextlib.asynccontextmanager
    async def unpacking(self, size: int, report: Callable[[int], None]) -> AsyncIterator[Unpacking]:
        """An unpacking that goes on while a blob of ``size`` bytes arrives; ``report`` is told how far it has come.

        What has not been adopted in the end is removed.
        """
        made = Unpacking(self._temporary, lambda: self._allowed(size), _discard, report)
        try:
            yield made
        finally:
            await to_the_end(made.leave())

    async def adopt(self, unpacking: Unpacking, chain_id: str, diff_id: str) -> None:
        """Makes what has been unpacked the layer; its blob has been verified.

        Errors: what made the unpacking fail, ``DigestMismatch`` when its content is not ``diff_id``.
        """
        directory, summary = unpacking.take()
        if summary.diff_id != diff_id:
            await in_thread(_discard, directory)
            raise DigestMismatch(_other_content(summary.diff_id, diff_id))
        await self._adopt(directory, chain_id, diff_id, summary.size)

    def _temporary(self) -> Path:
        return self._root / f".tmp-{secrets.token_hex(8)}"

    async def _adopt(self, temporary: Path, chain_id: str, diff_id: str, size: int) -> LayerRow:
        """Makes a filled directory the layer, unless somebody else was faster."""
        if self.has(chain_id):
            await in_thread(_discard, temporary)
            return self._rows[chain_id]
        return self._record(temporary, LayerRow(chain_id, diff_id, size, self._boot, False))

    def _record(self, temporary: Path, row: LayerRow) -> LayerRow:
        temporary.rename(self._root / row.chain_id.removeprefix("sha256:"))
        self._table.set_layer(row)
        self._rows[row.chain_id] = row
        self._unsettled.add(row.chain_id)
        return row

    def _allowed(self, size: int) -> Allowance:
        """How much may come out of a blob: by its size, by what the disk has, and at all."""
        at_all = min(self.limits.bytes, max(UNPACKED_ALWAYS, UNPACKED_RATIO * size))
        space = os.statvfs(self._root)
        by_disk = space.f_bavail * space.f_frsize - FREE_KEPT
        full = f"no space left below {self._root} to unpack a layer ({FREE_KEPT >> 20} MiB are kept free)"
        if by_disk <= 0:
            raise SystemFailure(full)
        return Allowance(min(at_all, by_disk), self.limits.entries, full if by_disk < at_all else "")

    async def remove(self, chain_id: str) -> int:
        """Removes a layer; returns the bytes that became free."""
        row = self._rows.pop(chain_id, None)
        self._unsettled.discard(chain_id)
        self._table.drop_layer(chain_id)
        doomed = self._root / f".tmp-{secrets.token_hex(8)}"
        try:
            (self._root / chain_id.removeprefix("sha256:")).rename(doomed)
        except FileNotFoundError:
            return 0
        # Out of sight at once; the slow part cannot meet a pull that brings the same layer again.
        await in_thread(_discard, doomed)
        return row.size if row else 0

    async def settle(self) -> None:
        """Waits until all layers unpacked so far are on the disk, and notes it."""
        waiting = sorted(self._unsettled)
        if not waiting:
            return
        await in_thread(os.sync)
        self._unsettled.difference_update(waiting)
        self._table.settle_layers(waiting)


def _other_content(found: str, wanted: str) -> str:
    return f"layer verification failed: its content is {found}, the image says {wanted}"


def _size_of(blob: Path) -> int:
    try:
        return blob.stat().st_size
    except OSError as error:
        raise SystemFailure(f"blob {blob.name} cannot be read: {error.strerror}") from error


def _discard(directory: Path) -> None:
    """Removes a directory, however deep a layer has made it; what cannot be removed is left to the next start."""
    from wherry import native

    with contextlib.suppress(WherryError, OSError):
        native.remove_tree(directory)
