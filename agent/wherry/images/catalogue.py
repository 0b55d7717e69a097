"""All images that there are, in memory: read from the record at start, kept in step with it afterwards.

The database is the record; this is its reading, joined with the configuration documents, so that listing a hundred
images opens no file.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from wherry.errors import InvalidParameter, NotFound, SystemFailure, WherryError
from wherry.images.config_document import chain_ids, parse_config_document
from wherry.images.layers import LayerStore
from wherry.images.manifest import CONFIG_MAX, DOCUMENT_MAX, Descriptor, Manifest, parse_document
from wherry.images.model import Image
from wherry.images.reference import Reference, is_digest, is_identifier, parse
from wherry.images.store import BlobStore
from wherry.state.images import DigestRow, ImageRow, ImageTable, TagRow

log = logging.getLogger(__name__)


class Catalogue:
    """Images by ID and by name; every change is recorded, and written into the layout's ``index.json``."""

    def __init__(self, table: ImageTable, store: BlobStore, layers: LayerStore) -> None:
        self._table = table
        self._store = store
        self._layers = layers
        self._images: dict[str, Image] = {}
        self._rows: dict[str, ImageRow] = {}
        self._tags: dict[tuple[str, str], TagRow] = {}
        self._digests: dict[tuple[str, str], DigestRow] = {}
        self._index_is_old = False

    def load(self) -> None:
        """Reads the record. An image whose documents are damaged is reported and left out, not lost."""
        self._tags = {(row.repository, row.tag): row for row in self._table.tags()}
        self._digests = {(row.repository, row.digest): row for row in self._table.digests()}
        for row in self._table.images():
            self._rows[row.id] = row
            self._refresh(row)
        self.write_index()

    def _refresh(self, row: ImageRow) -> None:
        try:
            self._images[row.id] = self._read(row)
        except WherryError as error:
            log.error("image %s is damaged; pull or load it again: %s", row.id, error)
            self._images.pop(row.id, None)

    def _read(self, row: ImageRow) -> Image:
        manifest = parse_document(self._store.read(row.manifest_digest, DOCUMENT_MAX), row.manifest_type)
        if not isinstance(manifest, Manifest):
            raise InvalidParameter(f"{row.manifest_digest} is no image manifest")
        document = parse_config_document(self._store.read(row.id, CONFIG_MAX))
        chain = chain_ids(document.diff_ids)
        image = Image(
            id=row.id,
            document=document,
            manifest=Descriptor(manifest.media_type, row.manifest_digest, row.manifest_size),
            layers=manifest.layers,
            chain_ids=chain,
            layer_sizes=tuple(self._layers.size(chain_id) for chain_id in chain),
            parent=row.parent,
        )
        return self._named(image)

    def _named(self, image: Image) -> Image:
        """The image with the names that it has now."""
        tags = sorted((row for row in self._tags.values() if row.image_id == image.id), key=_tag_order)
        digests = sorted(row for row in self._digests if self._digests[row].image_id == image.id)
        return replace(
            image,
            repo_tags=tuple(Reference(*_split(row.repository), tag=row.tag).familiar for row in tags),
            repo_digests=tuple(Reference(*_split(name), digest=digest).familiar for name, digest in digests),
            last_tagged=max((row.tagged_at for row in tags), default=None),
        )

    def all(self) -> list[Image]:
        """Every image, oldest record first."""
        return list(self._images.values())

    def get(self, image_id: str) -> Image | None:
        """The image of exactly this ID."""
        return self._images.get(image_id)

    def find(self, text: str) -> Image:
        """The image that a user means by a name, a digest, an ID or the beginning of one.

        Errors: ``NotFound`` with Docker's wording; ``InvalidParameter`` when it cannot be a name at all, or is the
        beginning of several IDs.
        """
        whole = text if text.startswith("sha256:") else f"sha256:{text}"
        if is_digest(whole) and whole in self._images:
            return self._images[whole]
        if not text or is_digest(whole):
            raise NotFound(f"No such image: {text}")
        image = None if text.startswith("sha256:") else self._find_name(parse(text))
        if image is None and is_identifier(text):
            image = self._find_prefix(whole, text)
        if image is None:
            shown = text if text.startswith("sha256:") else parse(text).with_default_tag().familiar
            raise NotFound(f"No such image: {shown}")
        return image

    def _find_name(self, reference: Reference) -> Image | None:
        if reference.digest:
            row = self._digests.get((reference.repository, reference.digest))
            return self._images.get(row.image_id) if row else None
        tagged = self._tags.get((reference.repository, reference.with_default_tag().tag or ""))
        return self._images.get(tagged.image_id) if tagged else None

    def _find_prefix(self, prefix: str, text: str) -> Image | None:
        found = [image_id for image_id in self._images if image_id.startswith(prefix)]
        if len(found) > 1:
            raise InvalidParameter(f"ambiguous image ID prefix: {text}")
        return self._images[found[0]] if found else None

    def children(self, image_id: str) -> list[Image]:
        """The images that were made from this one here."""
        return [image for image in self._images.values() if image.parent == image_id]

    def ancestors(self, image: Image) -> Sequence[Image]:
        """The images that it was made from here, the nearest first."""
        found: list[Image] = []
        while image.parent and (parent := self.get(image.parent)) is not None:
            found.append(parent)
            image = parent
        return found

    def is_whole(self, image_id: str) -> bool:
        """Whether there is an image of this ID with every layer unpacked."""
        image = self._images.get(image_id)
        return image is not None and all(self._layers.has(chain_id) for chain_id in image.chain_ids)

    def by_reference(self, reference: Reference) -> Image | None:
        """The image of a normalised name."""
        return self._find_name(reference)

    def knows(self, repository: str, digest: str, image_id: str) -> bool:
        """Whether it is on record that a repository has the image under this digest, and the image is whole."""
        row = self._digests.get((repository, digest))
        return row is not None and row.image_id == image_id and self.is_whole(image_id)

    def add(self, row: ImageRow, references: Iterable[Reference], digests: Iterable[tuple[str, str]]) -> Image:
        """Records an image with new names; names that pointed elsewhere move. Returns the image."""
        now = time.time()
        tags = [TagRow(name.repository, name.tag, row.id, now) for name in references if name.tag]
        pairs = [DigestRow(repository, digest, row.id) for repository, digest in digests]
        known = self._rows.get(row.id)
        if known is not None and row.id in self._images:
            row = known  # the same image by another manifest: the first one stays, its blobs are there
        self._table.record(row, tags, pairs)
        self._rows[row.id] = row
        moved = {self._tags[key].image_id for tag in tags if (key := (tag.repository, tag.tag)) in self._tags}
        self._tags |= {(tag.repository, tag.tag): tag for tag in tags}
        self._digests |= {(pair.repository, pair.digest): pair for pair in pairs}
        self._refresh(row)
        self._rename(moved - {row.id})
        self.write_index()
        return self._images[row.id]

    def add_digest(self, image: Image, repository: str, digest: str) -> None:
        """Notes that a repository has the image under a digest, after a push."""
        row = DigestRow(repository, digest, image.id)
        self._table.set_digest(row)
        self._digests[repository, digest] = row
        self._rename([image.id])

    def drop_names(self, tags: Sequence[Reference], digests: Sequence[Reference]) -> None:
        """Takes names away; the images stay."""
        tag_rows = [self._tags.pop((name.repository, name.tag or "")) for name in tags]
        digest_rows = [self._digests.pop((name.repository, name.digest or "")) for name in digests]
        self._table.drop_names(tag_rows, digest_rows)
        self._rename({row.image_id for row in tag_rows} | {row.image_id for row in digest_rows})
        self.write_index()

    def drop(self, image: Image) -> None:
        """Takes an image and all its names away; its blobs and layers are then for the collector."""
        self._table.drop_image(image.id)
        del self._images[image.id]
        del self._rows[image.id]
        self._tags = {key: row for key, row in self._tags.items() if row.image_id != image.id}
        self._digests = {key: row for key, row in self._digests.items() if row.image_id != image.id}
        self.write_index()

    def _rename(self, image_ids: Iterable[str]) -> None:
        for image_id in image_ids:
            if image_id in self._images:
                self._images[image_id] = self._named(self._images[image_id])

    def references_of(self, image: Image) -> tuple[list[Reference], list[Reference]]:
        """The image's tags and its digests, as normalised names."""
        tags = sorted((row for row in self._tags.values() if row.image_id == image.id), key=_tag_order)
        digests = [row for row in self._digests.values() if row.image_id == image.id]
        return (
            [Reference(*_split(row.repository), tag=row.tag) for row in tags],
            [Reference(*_split(row.repository), digest=row.digest) for row in digests],
        )

    def held_blobs(self, without: Set[str] = frozenset()) -> set[str]:
        """Digests of all blobs that an image needs, including those of images that are damaged.

        The images of the IDs in ``without`` do not count.
        """
        held: set[str] = set()
        for row in self._rows.values():
            if row.id in without:
                continue
            held |= {row.id, row.manifest_digest}
            if image := self._images.get(row.id):
                held.update(layer.digest for layer in image.layers)
        return held

    def held_layers(self, without: Set[str] = frozenset()) -> set[str]:
        """Chain IDs of all layers that an image needs. The images of the IDs in ``without`` do not count."""
        kept = (image for image in self._images.values() if image.id not in without)
        return {chain_id for image in kept for chain_id in image.chain_ids}

    def write_index(self) -> None:
        """Writes the layout's index: each tag with its manifest, and untagged manifests without a name.

        It is for readers outside; the record is what counts. On a full disk it waits until ``renew_index``: removing an
        image is how room is made.
        """
        entries: list[tuple[Descriptor, str | None]] = []
        for image in self._images.values():
            tags, _ = self.references_of(image)
            described = replace(image.manifest, platform=image.platform)
            names: list[str | None] = [str(tag) for tag in tags]
            entries.extend((described, name) for name in names or [None])
        self._index_is_old = True
        try:
            self._store.write_index(entries)
        except SystemFailure as error:
            log.warning("index.json is not up to date: %s", error)
        else:
            self._index_is_old = False

    def renew_index(self) -> None:
        """Writes the index if that failed before."""
        if self._index_is_old:
            self.write_index()


def _split(repository: str) -> tuple[str, str]:
    domain, _, path = repository.partition("/")
    return domain, path


def _tag_order(row: TagRow) -> tuple[str, str]:
    return row.repository, row.tag
