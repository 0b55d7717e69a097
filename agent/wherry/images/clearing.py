"""Taking images off the host, by name or all that nobody uses: first the records, then what only they held on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from wherry.events import Events
from wherry.images import listing
from wherry.images.catalogue import Catalogue
from wherry.images.collector import Collector
from wherry.images.model import ContainerRef, Deleted, Image, PruneResult, Removal, Untagged
from wherry.images.removal import Decision, Remover


class Clearing:
    """Removal and prune. ``in_use`` says which containers have an image."""

    def __init__(
        self,
        catalogue: Catalogue,
        collector: Collector,
        events: Events,
        in_use: Callable[[str], Sequence[ContainerRef]],
    ) -> None:
        self._catalogue = catalogue
        self._collector = collector
        self._events = events
        self._in_use = in_use
        self._remover = Remover(catalogue, in_use)

    async def remove(
        self, name: str, *, force: bool = False, no_prune: bool = False, dry_run: bool = False
    ) -> Sequence[Removal]:
        """Removes a name, and with an image's last name the image, its blobs and its layers that no other has.

        ``no_prune`` keeps the images that it was made from here and that nobody names any more. ``dry_run`` only says
        what would go. Errors: ``NotFound``, ``Conflict`` in Docker's words.
        """
        if dry_run:
            return self._would_remove(self._remover.decide(name, force=force, parents=not no_prune))
        decision = self._remover.remove(name, force=force, parents=not no_prune)
        removals = decision.removals
        if decision.gone is not None:
            layers, _ = await self._collector.collect()
            removals += [Deleted(chain_id) for chain_id in reversed(decision.gone.chain_ids) if chain_id in layers]
        for removal in removals:
            action, actor = ("untag", removal.name) if isinstance(removal, Untagged) else ("delete", removal.digest)
            self._events.publish("image", action, actor, {"name": actor})
        return removals

    def _would_remove(self, decision: Decision) -> Sequence[Removal]:
        if decision.gone is None:
            return decision.removals
        going = {image.id for image in decision.images}
        rest = {chain for image in self._catalogue.all() if image.id not in going for chain in image.chain_ids}
        return [*decision.removals, *(Deleted(c) for c in reversed(decision.gone.chain_ids) if c not in rest)]

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> PruneResult:
        """Removes images that no container uses: the untagged ones, or with ``dangling=false`` all."""
        removed: list[Removal] = []
        for image in self._unused(filters):
            removed += self._remover.remove(image.id, force=True, parents=False).removals
        layers, freed = await self._collector.collect()
        removed += [Deleted(chain_id) for chain_id in layers]
        if removed:
            self._events.publish("image", "prune", "", {"reclaimed": str(freed)})
        return PruneResult(tuple(removed), freed)

    def unused(self, filters: Mapping[str, Sequence[str]] | None = None) -> PruneResult:
        """What ``prune`` would remove now, and how many bytes that would give back; nothing is."""
        chosen = self._unused(filters)
        removed: list[Removal] = []
        for image in chosen:
            tags, digests = self._catalogue.references_of(image)
            removed += Decision(tags, digests, image).removals
        layers, freed = self._collector.preview({image.id for image in chosen})
        return PruneResult((*removed, *(Deleted(chain_id) for chain_id in layers)), freed)

    def _unused(self, filters: Mapping[str, Sequence[str]] | None) -> Sequence[Image]:
        """What a prune may take, children before those that they were made from."""
        test = listing.prune_test(filters or {})
        chosen = [image for image in self._catalogue.all() if test(image) and not self._in_use(image.id)]
        while True:
            going = {image.id for image in chosen}
            kept = [one for one in chosen if all(child.id in going for child in self._catalogue.children(one.id))]
            if len(kept) == len(chosen):
                return sorted(kept, key=lambda image: len(self._catalogue.ancestors(image)), reverse=True)
            chosen = kept
