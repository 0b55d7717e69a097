"""``docker import``: an image of one layer out of a root file system archive."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from wherry.images.compression import BZIP2, GZIP, PLAIN, XZ, ZSTD, decompress, recognise, with_head
from wherry.images.config_document import build_config_document, parse_image_config
from wherry.images.instructions import apply_changes
from wherry.images.layers import LayerStore
from wherry.images.manifest import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Descriptor, build_manifest
from wherry.images.model import HistoryEntry
from wherry.images.moments import now_text
from wherry.images.platform import Platform
from wherry.images.store import BlobStore

# The C core reads these itself, so the blob keeps the bytes that were given.
_STORED_AS = {PLAIN: "", GZIP: "+gzip", ZSTD: "+zstd", BZIP2: "", XZ: ""}


@dataclass(frozen=True)
class ImportedImage:
    """What an import put into the store: the image's ID and its manifest."""

    id: str
    manifest: Descriptor


async def import_root(
    chunks: AsyncIterator[bytes],
    store: BlobStore,
    layers: LayerStore,
    *,
    changes: Sequence[str],
    message: str,
    platform: Platform,
) -> ImportedImage:
    """Stores and unpacks an archive as an image.

    Errors: ``InvalidParameter`` for a bad change (before a byte is read) and for what is no archive.
    """
    config = apply_changes({}, changes)
    parse_image_config(config)
    head, whole = await with_head(chunks)
    kind = recognise(head)
    stored = whole if kind in (PLAIN, GZIP, ZSTD) else decompress(whole, kind)
    digest, size = await store.save_stream(stored)
    diff_id = (await layers.unpack_unknown(store.path(digest))).diff_id
    created = now_text()
    history = [HistoryEntry(created=created, comment=message)]
    document = build_config_document(platform, created, config, [diff_id], history)
    image_id = store.write(document)
    layer = Descriptor(OCI_LAYER + _STORED_AS[kind], digest, size)
    data = build_manifest(Descriptor(OCI_CONFIG, image_id, len(document)), (layer,))
    return ImportedImage(image_id, Descriptor(OCI_MANIFEST, store.write(data), len(data)))
