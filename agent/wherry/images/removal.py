"""Removing images and names of them: what stands against it, in Docker's words, and what goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


class Remover:
    """Decides what a removal does; the records change here, the disk is the collector's."""

    def __init__(self, catalogue: Catalogue, in_use: InUse) -> None:
        self._catalogue = catalogue
        self._in_use = in_use

    def remove(self, text: str, *, force: bool) -> tuple[list[Removal], Image | None]:
        """Removes what ``text`` names; returns what happened, and the image when it is gone from the record.

        Errors: ``Conflict`` when containers or other names stand against it, ``NotFound``.
        """
        image = self._catalogue.find(text)
        if names_image_itself(text, image):
            return self._remove_image(image, force)
        return self._remove_name(parse(text).with_default_tag(), image, force)

    def _remove_name(self, name: Reference, image: Image, force: bool) -> tuple[list[Removal], Image | None]:
        tags, digests = self._catalogue.references_of(image)
        others = [tag for tag in tags if tag != name]
        if name.digest:
            name = Reference(name.domain, name.path, digest=name.digest)
            # The tags of that repository were pulled as this digest: they keep the image, the digest name goes.
            others = tags
        if others:
            return self._untag(name, others, digests), None
        if users := self._in_use(image.id):
            if not force:
                raise Conflict(
                    f'conflict: unable to remove repository reference "{name.familiar}" (must be forced) - container '
                    f"{short(users[0].id)} is using its referenced image {short(image.id)}"
                )
            self._refuse_running(image, users)
            return self._drop_all_names(image), None
        return self._drop(image)

    def _untag(self, name: Reference, others: list[Reference], digests: list[Reference]) -> list[Removal]:
        """Takes one name away, and with a repository's last tag its digests too."""
        if name.digest:
            self._catalogue.drop_names([], [name])
            return [Untagged(name.familiar)]
        orphaned = [
            digest
            for digest in digests
            if digest.repository == name.repository and all(tag.repository != name.repository for tag in others)
        ]
        self._catalogue.drop_names([name], orphaned)
        return [Untagged(gone.familiar) for gone in (name, *orphaned)]

    def _remove_image(self, image: Image, force: bool) -> tuple[list[Removal], Image | None]:
        tags, _ = self._catalogue.references_of(image)
        repositories = {tag.repository for tag in tags}
        users = self._in_use(image.id)
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
            return self._drop_all_names(image), None
        return self._drop(image)

    def _refuse_running(self, image: Image, users: Sequence[ContainerRef]) -> None:
        running = next((user for user in users if user.running), None)
        if running is not None:
            raise Conflict(
                f"conflict: unable to delete {short(image.id)} (cannot be forced) - image is being used by running "
                f"container {short(running.id)}"
            )

    def _drop_all_names(self, image: Image) -> list[Removal]:
        tags, digests = self._catalogue.references_of(image)
        self._catalogue.drop_names(tags, digests)
        return [Untagged(name.familiar) for name in (*tags, *digests)]

    def _drop(self, image: Image) -> tuple[list[Removal], Image | None]:
        tags, digests = self._catalogue.references_of(image)
        self._catalogue.drop(image)
        removals: list[Removal] = [Untagged(name.familiar) for name in (*tags, *digests)]
        return [*removals, Deleted(image.id)], image
