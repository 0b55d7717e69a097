"""What other agents may read of the store: manifests and blobs of the images that have a name in a repository."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from wherry.aio import in_thread
from wherry.errors import NotFound
from wherry.images.catalogue import Catalogue
from wherry.images.leases import Leases
from wherry.images.manifest import DOCUMENT_MAX
from wherry.images.model import Image
from wherry.images.reference import Reference
from wherry.images.store import BlobStore

PIECE_SIZE = 256 * 1024


@dataclass(frozen=True)
class ShelvedManifest:
    """A manifest, byte for byte as it was pulled."""

    data: bytes
    media_type: str
    digest: str


class Shelf:
    """The read-only half of a registry over the store. Names are full: ``docker.io/library/busybox``."""

    def __init__(self, catalogue: Catalogue, store: BlobStore, leases: Leases) -> None:
        self._catalogue = catalogue
        self._store = store
        self._leases = leases

    def _images(self, repository: str) -> list[Image]:
        found = []
        for image in self._catalogue.all():
            tags, digests = self._catalogue.references_of(image)
            if any(name.repository == repository for name in (*tags, *digests)):
                found.append(image)
        return found

    def tags(self, repository: str) -> list[str]:
        """The tags of a repository that are here. Errors: ``NotFound``."""
        found = self._images(repository)
        if not found:
            raise NotFound(f"no such repository here: {repository}")
        names = [name for image in found for name in self._catalogue.references_of(image)[0]]
        return sorted(name.tag for name in names if name.repository == repository and name.tag)

    def manifest(self, reference: Reference) -> ShelvedManifest:
        """The manifest that a tag or digest names. Errors: ``NotFound``, for indexes too: they are not kept."""
        image = None
        if reference.digest:
            found = self._images(reference.repository)
            image = next((one for one in found if one.manifest.digest == reference.digest), None)
        elif reference.tag:
            image = self._catalogue.by_reference(reference)
        if image is None:
            raise NotFound(f"no such manifest here: {reference}")
        data = self._store.read(image.manifest.digest, DOCUMENT_MAX)
        return ShelvedManifest(data, image.manifest.media_type, image.manifest.digest)

    def size(self, repository: str, digest: str) -> int:
        """Bytes of a blob that an image of the repository has. Errors: ``NotFound``."""
        for image in self._images(repository):
            if digest in (image.id, *(layer.digest for layer in image.layers)) and self._store.has(digest):
                return self._store.size(digest)
        raise NotFound(f"no such blob here: {digest}")

    async def content(self, digest: str, offset: int) -> AsyncGenerator[bytes, None]:
        """The bytes of a blob from ``offset`` on; it stays while they are read."""
        with self._leases.hold(digest):
            with self._store.path(digest).open("rb") as file:
                file.seek(offset)
                while piece := await in_thread(file.read, PIECE_SIZE):
                    yield piece
