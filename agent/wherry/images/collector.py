"""Gives back what no image needs any more: blobs and layers, but nothing that is being worked with."""

from __future__ import annotations

import asyncio
from collections.abc import Set

from wherry.images.catalogue import Catalogue
from wherry.images.layers import LayerStore
from wherry.images.leases import Leases
from wherry.images.store import BlobStore


class Collector:
    """Sweeps the store by what the catalogue holds and what leases keep."""

    def __init__(self, catalogue: Catalogue, store: BlobStore, layers: LayerStore, leases: Leases) -> None:
        self._catalogue = catalogue
        self._store = store
        self._layers = layers
        self._leases = leases
        self._turn = asyncio.Lock()

    async def collect(self) -> tuple[list[str], int]:
        """Removes what is not needed; returns the chain IDs of removed layers, and the bytes that became free.

        A pull announces what it will use before it looks whether that is there, so what this finds unheld stays so:
        each thing is checked and put out of sight without an await in between.
        """
        async with self._turn:
            removed, freed = await self._collect_layers()
            freed += self._collect_blobs()
            self._catalogue.renew_index()
            return removed, freed

    def preview(self, without: Set[str]) -> tuple[list[str], int]:
        """What ``collect`` would remove and give back if there were not the images of these IDs."""
        if self._leases.frozen:
            return [], 0
        held_layers, held_blobs = self._catalogue.held_layers(without), self._catalogue.held_blobs(without)
        layers = [one for one in self._layers.known() if one not in held_layers and not self._leases.holds(one)]
        blobs = [one for one in self._store.digests() if one not in held_blobs and not self._leases.holds(one)]
        freed = sum(self._layers.size(one) for one in layers) + sum(self._store.size(one) for one in blobs)
        return layers, freed

    async def _collect_layers(self) -> tuple[list[str], int]:
        removed, freed = [], 0
        for chain_id in self._layers.known():
            needed = chain_id in self._catalogue.held_layers() or self._leases.holds(chain_id)
            if not needed and not self._leases.frozen:
                freed += await self._layers.remove(chain_id)
                removed.append(chain_id)
        return removed, freed

    def _collect_blobs(self) -> int:
        if self._leases.frozen:
            return 0
        held = self._catalogue.held_blobs()
        doomed = [digest for digest in self._store.digests() if digest not in held and not self._leases.holds(digest)]
        return sum(self._store.remove(digest) for digest in doomed)
