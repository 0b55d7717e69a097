"""``docker load``: archives of images in Docker's form and as OCI layouts.

The upload is taken apart while it arrives, because the documents that explain it stand at its end; what they name then
becomes blobs by rename. Bytes are taken as they are, so an image that was saved here has the same manifest digest after
loading. Nothing is extracted by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from wherry.aio import in_thread_to_the_end
from wherry.errors import InvalidParameter
from wherry.images import manifest as manifests
from wherry.images import platform as platforms
from wherry.images.compression import GZIP, MAGIC_BYTES, PLAIN, ZSTD, decompress, recognise, with_head
from wherry.images.config_document import parse_config_document
from wherry.images.manifest import (
    CONFIG_MAX,
    CONFIG_TYPES,
    DOCUMENT_MAX,
    LAYERS_MAX,
    OCI_CONFIG,
    OCI_LAYER,
    Descriptor,
    Index,
    Manifest,
    parse_document,
    strict_json,
)
from wherry.images.platform import Platform
from wherry.images.reference import Reference, parse
from wherry.images.store import BlobStore
from wherry.images.tar_parts import TarParts

IMAGES_MAX = 1000  # in one archive
CONTAINERD_NAME = "io.containerd.image.name"
OCI_NAME = "org.opencontainers.image.ref.name"


@dataclass
class FoundImage:
    """An image that an archive holds; its blobs are in the store, its layers not yet unpacked."""

    manifest: Manifest
    descriptor: Descriptor
    names: list[Reference] = field(default_factory=list)


async def receive(chunks: AsyncIterator[bytes], parts: TarParts) -> None:
    """Takes an upload apart, decompressed."""
    head, whole = await with_head(chunks)
    await parts.receive(decompress(whole, recognise(head)))


async def read_archive(index: TarParts, store: BlobStore, platform: Platform | None) -> list[FoundImage]:
    """The images of an archive, with their blobs brought into the store.

    Errors: ``InvalidParameter`` for what is no archive of images, or one that contradicts itself.
    """
    if index.find("index.json") is not None and index.find("oci-layout") is not None:
        return await _read_layout(index, store, platform)
    if index.find("manifest.json") is not None:
        return await _read_docker(index, store)
    if index.find("repositories") is not None:
        raise InvalidParameter("the archive is in the retired form of Docker 1.9; save it again with a newer client")
    raise InvalidParameter("the archive holds no images: neither manifest.json nor index.json is in it")


async def _read_layout(index: TarParts, store: BlobStore, platform: Platform | None) -> list[FoundImage]:
    data = index.read("index.json", DOCUMENT_MAX) or b""
    top = parse_document(data, manifests.OCI_INDEX, "index.json")
    if not isinstance(top, Index):
        raise InvalidParameter("index.json is not an index")
    docker_names = _docker_names(index)
    found: dict[str, FoundImage] = {}
    for entry in top.manifests[:IMAGES_MAX]:
        image = await _layout_image(index, store, entry, platform)
        known = found.setdefault(image.descriptor.digest, image)
        known.names += [*_layout_names(entry), *docker_names.get(image.manifest.config.digest, ())]
    for image in found.values():
        image.names = list(dict.fromkeys(image.names))
    return list(found.values())


async def _layout_image(index: TarParts, store: BlobStore, entry: Descriptor, platform: Platform | None) -> FoundImage:
    for _ in range(3):
        data = index.read(_blob_name(entry.digest), DOCUMENT_MAX)
        if data is None or len(data) != entry.size:
            raise InvalidParameter(f"the archive lacks the manifest {entry.digest}, or has it in another size")
        document = parse_document(data, entry.media_type, f"manifest {entry.digest}")
        if isinstance(document, Manifest):
            break
        entry = manifests.select(document, platform or platforms.host())
    else:
        raise InvalidParameter("the index in the archive is nested too deeply")
    if store.write(data) != entry.digest:
        raise InvalidParameter(f"manifest verification failed for digest {entry.digest}")
    for descriptor in (document.config, *document.layers):
        await _take_blob(index, store, descriptor)
    return FoundImage(document, Descriptor(document.media_type, entry.digest, len(data)))


async def _take_blob(index: TarParts, store: BlobStore, descriptor: Descriptor) -> None:
    if store.has(descriptor.digest, descriptor.size):
        return
    member = index.find(_blob_name(descriptor.digest))
    if member is None or member.size != descriptor.size:
        raise InvalidParameter(f"the archive lacks the blob {descriptor.digest}, or has it in another size")
    if member.digest != descriptor.digest:
        raise InvalidParameter(f"blob verification failed for digest {descriptor.digest}: it is {member.digest}")
    await in_thread_to_the_end(store.adopt, member.path, member.digest, flush=descriptor.media_type in CONFIG_TYPES)


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _layout_names(entry: Descriptor) -> list[Reference]:
    """The names that an index entry gives: containerd's whole one, else OCI's when that is whole too."""
    annotations = dict(entry.annotations)
    for key in (CONTAINERD_NAME, OCI_NAME):
        text = annotations.get(key, "")
        if ":" in text or "/" in text:
            try:
                return [parse(text).with_default_tag()]
            except InvalidParameter:
                continue
    return []


def _docker_names(index: TarParts) -> dict[str, list[Reference]]:
    """Names by configuration digest, from the manifest.json that Docker puts beside an OCI layout."""
    if index.find("manifest.json") is None:
        return {}
    found: dict[str, list[Reference]] = {}
    for entry in _docker_entries(index):
        config = entry["Config"].rpartition("/")[2].removesuffix(".json")
        found.setdefault(f"sha256:{config}", []).extend(_docker_tags(entry))
    return found


def _docker_entries(index: TarParts) -> list[dict[str, Any]]:
    data = index.read("manifest.json", DOCUMENT_MAX) or b""
    entries = strict_json(b'{"images":' + data + b"}", "manifest.json", DOCUMENT_MAX + 16)["images"]
    if not isinstance(entries, list) or len(entries) > IMAGES_MAX:
        raise InvalidParameter(f"manifest.json must be a list of at most {IMAGES_MAX} images")
    for entry in entries:
        layers = entry.get("Layers") if isinstance(entry, dict) else None
        if not isinstance(layers, list) or not all(isinstance(name, str) for name in layers):
            raise InvalidParameter("manifest.json: Layers must be a list of names")
        if not isinstance(entry.get("Config"), str) or len(layers) > LAYERS_MAX:
            raise InvalidParameter("manifest.json: Config must be a name, and Layers not too long")
    return entries


def _docker_tags(entry: dict[str, Any]) -> list[Reference]:
    tags = entry.get("RepoTags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise InvalidParameter("manifest.json: RepoTags must be a list of names")
    return [parse(tag).with_default_tag() for tag in tags]


async def _read_docker(index: TarParts, store: BlobStore) -> list[FoundImage]:
    return [await _docker_image(index, store, entry) for entry in _docker_entries(index)]


async def _docker_image(index: TarParts, store: BlobStore, entry: dict[str, Any]) -> FoundImage:
    config = index.read(entry["Config"], CONFIG_MAX)
    if config is None:
        raise InvalidParameter(f"the archive lacks {entry['Config']}")
    document = parse_config_document(config)
    if len(document.diff_ids) != len(entry["Layers"]):
        raise InvalidParameter(
            f"invalid manifest, layers length mismatch: expected {len(document.diff_ids)}, got {len(entry['Layers'])}"
        )
    layers = []
    for name in entry["Layers"]:
        layers.append(await _docker_layer(index, store, name))
    config_digest = store.write(config)
    data = manifests.build_manifest(Descriptor(OCI_CONFIG, config_digest, len(config)), tuple(layers))
    manifest = parse_document(data)
    assert isinstance(manifest, Manifest)
    return FoundImage(manifest, Descriptor(manifest.media_type, store.write(data), len(data)), _docker_tags(entry))


async def _docker_layer(index: TarParts, store: BlobStore, name: str) -> Descriptor:
    member = index.find(name)
    if member is None:
        raise InvalidParameter(f"the archive lacks the layer {name}")
    if not store.has(member.digest, member.size):
        await in_thread_to_the_end(store.adopt, member.path, member.digest, flush=False)
    with store.path(member.digest).open("rb") as file:
        kind = recognise(file.read(MAGIC_BYTES))
    if kind not in (PLAIN, GZIP, ZSTD):
        raise InvalidParameter(f"the layer {name} is compressed by {kind}, where gzip, zstd or nothing is taken")
    return Descriptor(OCI_LAYER + (f"+{kind}" if kind else ""), member.digest, member.size)
