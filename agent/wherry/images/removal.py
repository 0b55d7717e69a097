"""Removing images and names of them: what stands against it, in Docker's words, and what goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wherry.errors import Conflict
from wherry.images.catalogue import Catalogue
from wherry.images.model import ContainerRef, Deleted, Image, Removal, Untagged
from wherry.images.progress import short
from wherry.images.reference import Reference, is_digest, is_identifier, parse

InUse = Callable[[str], Sequence[ContainerRef]]


def names_image_itself(text: str, image: Image) -> bool:
    """Whether ``text`` is the image's ID or the beginning of it, and not one of its names."""
    whole = text if text.startswith("sha256:") else f"sha256:{text}"
    if is_digest(whole):
        return whole == image.id
    if not is_identifier(text) or not image.id.startswith(whole):
        return False
    return parse(text).with_default_tag().familiar not in image.repo_tags if not text.startswith("sha256:") else True


@dataclass(frozen=True)
class Decision:
    """What a removal takes: names, and the image itself when it goes with them."""

    tags: Sequence[Reference] = ()
    digests: Sequence[Reference] = ()
    gone: Image | None = None
    parents: Sequence[Image] = ()  # that nobody names any more, and nothing else is made from

    @property
    def removals(self) -> list[Removal]:
        """It as clients are told."""
        untagged: list[Removal] = [Untagged(name.familiar) for name in (*self.tags, *self.digests)]
        return [*untagged, *(Deleted(image.id) for image in self.images)]

    @property
    def images(self) -> list[Image]:
        """The images that go, the one that was named first."""
        return [] if self.gone is None else [self.gone, *self.parents]


class Remover:
    """Decides what a removal does; the records change here, the disk is the collector's."""

    def __init__(self, catalogue: Catalogue, in_use: InUse) -> None:
        self._catalogue = catalogue
        self._in_use = in_use

    def remove(self, text: str, *, force: bool, parents: bool = True) -> Decision:
        """Removes what ``text`` names from the record. Errors: as ``decide``."""
        decision = self.decide(text, force=force, parents=parents)
        for image in decision.images:
            self._catalogue.drop(image)
        if decision.gone is None:
            self._catalogue.drop_names(decision.tags, decision.digests)
        return decision

    def decide(self, text: str, *, force: bool, parents: bool = True) -> Decision:
        """What a removal of what ``text`` names takes; nothing changes. ``parents`` go too when nobody needs them.

        Errors: ``Conflict`` when containers, other names or images made from it stand against it, ``NotFound``.
        """
        image = self._catalogue.find(text)
        if names_image_itself(text, image):
            decision = self._image(image, force)
        else:
            decision = self._name(parse(text).with_default_tag(), image, force)
        if decision.gone is None or not parents:
            return decision
        return replace(decision, parents=self._orphans(decision.gone))

    def _orphans(self, image: Image) -> list[Image]:
        """The parents, and theirs, that have no name, no container, and no other child."""
        found: list[Image] = []
        while image.parent and (parent := self._catalogue.get(image.parent)) is not None:
            others = [child for child in self._catalogue.children(parent.id) if child.id != image.id]
            if others or parent.repo_tags or parent.repo_digests or self._in_use(parent.id):
                break
            found.append(parent)
            image = parent
        return found

    def _name(self, name: Reference, image: Image, force: bool) -> Decision:
        tags, digests = self._catalogue.references_of(image)
        others = [tag for tag in tags if tag != name]
        if name.digest:
            name = Reference(name.domain, name.path, digest=name.digest)
            # The tags of that repository were pulled as this digest: they keep the image, the digest name goes.
            others = tags
        if others:
            return self._untag(name, others, digests)
        if users := self._in_use(image.id):
            if not force:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{name.familiar}" (must be forced) - container '
                    f"{short(users[0].id)} is using its referenced image {short(image.id)}"
                )
            self._refuse_running(image, users)
            return Decision(tags, digests)
        if self._catalogue.children(image.id):
            return Decision(tags, digests)  # what others are made from loses its name alone
        return Decision(tags, digests, image)

    def _untag(self, name: Reference, others: list[Reference], digests: list[Reference]) -> Decision:
        """One name goes, and with a repository's last tag its digests too."""
        if name.digest:
            return Decision((), (name,))
        orphaned = [
            digest
            for digest in digests
            if digest.repository == name.repository and all(tag.repository != name.repository for tag in others)
        ]
        return Decision((name,), orphaned)

    def _image(self, image: Image, force: bool) -> Decision:
        tags, digests = self._catalogue.references_of(image)
        repositories = {tag.repository for tag in tags}
        users = self._in_use(image.id)
        if self._catalogue.children(image.id):
            raise Conflict(
                f"conflict: unable to delete {short(image.id)} (cannot be forced) - image has dependent child images"
            )
        self._refuse_running(image, users)
        if not force:
            if len(repositories) > 1:
                raise Conflict(
                    f"conflict: unable to delete {short(image.id)} (must be forced) - image is referenced in multiple "
                    "repositories"
                )
            if users:
                raise Conflict(
                    f"conflict: unable to delete {short(image.id)} (must be forced) - image is being used by stopped "
                    f"container {short(users[0].id)}"
                )
        if users:  # forced: the stopped containers keep the content, the names go
            return Decision(tags, digests)
        return Decision(tags, digests, image)

    def _refuse_running(self, image: Image, users: Sequence[ContainerRef]) -> None:
        running = next((user for user in users if user.running), None)
        if running is not None:
            raise Conflict(
                f"conflict: unable to delete {short(image.id)} (cannot be forced) - image is being used by running "
                f"container {short(running.id)}"
            )
