"""``docker commit``: an image of what a container has changed, on top of the image that it was made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wherry import native, pipes
from wherry.images.archive_import import ImportedImage
from wherry.images.config_document import build_config_document, chain_ids, parse_config_document, parse_image_config
from wherry.images.layers import LayerStore
from wherry.images.manifest import (
    CONFIG_MAX,
    DOCUMENT_MAX,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    build_manifest,
    parse_document,
)
from wherry.images.model import HistoryEntry, Image
from wherry.images.moments import now_text
from wherry.images.platform import Platform
from wherry.images.store import BlobStore

Pack = Callable[[int], native.LayerSummary]
"""Writes the layer, gzip, to a descriptor."""


async def commit(
    parent: Image,
    pack: Pack,
    store: BlobStore,
    layers: LayerStore,
    *,
    config: dict[str, Any],
    entry: HistoryEntry,
    container: str,
) -> ImportedImage:
    """Stores and unpacks a layer as the top of a new image.

    ``config`` is the ``config`` object of its document. ``entry`` tells where it comes from; its time is set here.
    ``container`` is the ID of the container.
    """
    parse_image_config(config)
    packed: list[native.LayerSummary] = []
    digest, size = await store.save_stream(pipes.produce(lambda target: packed.append(pack(target))))
    diff_id = packed[0].diff_id
    below = parse_config_document(store.read(parent.id, CONFIG_MAX))
    diff_ids = (*below.diff_ids, diff_id)
    await layers.unpack(chain_ids(diff_ids)[-1], diff_id, store.path(digest))
    created = now_text()
    history = (*below.history, HistoryEntry(created, entry.created_by, entry.author, entry.comment))
    platform = Platform(below.os, below.architecture, below.variant)
    document = build_config_document(
        platform, created, config, diff_ids, history, author=entry.author, container=container
    )
    image_id = store.write(document)
    manifest = parse_document(store.read(parent.manifest.digest, DOCUMENT_MAX), parent.manifest.media_type)
    assert isinstance(manifest, Manifest)
    whole = (*manifest.layers, Descriptor(f"{OCI_LAYER}+gzip", digest, size))
    data = build_manifest(Descriptor(OCI_CONFIG, image_id, len(document)), whole)
    return ImportedImage(image_id, Descriptor(OCI_MANIFEST, store.write(data), len(data)))
