"""Manifests and indexes: strict reading of what a registry or an archive says.

A document that two readers could read differently is refused (CVE-2021-41190), and nothing in it can crash the
reader (CVE-2021-21285). Sources: OCI image-spec ``manifest.md`` and ``image-index.md``, Docker's
``manifest-v2-2.md``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.errors import InvalidParameter, Unsupported
from wherry.images import platform as platforms
from wherry.images.platform import Platform
from wherry.images.reference import is_digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
SCHEMA1_PREFIX = "application/vnd.docker.distribution.manifest.v1"

MANIFEST_TYPES = (OCI_MANIFEST, DOCKER_MANIFEST)
INDEX_TYPES = (OCI_INDEX, DOCKER_LIST)
CONFIG_TYPES = (OCI_CONFIG, DOCKER_CONFIG)
LAYER_TYPES = frozenset(
    [OCI_LAYER, f"{OCI_LAYER}+gzip", f"{OCI_LAYER}+zstd"]
    + [f"application/vnd.oci.image.layer.nondistributable.v1.tar{kind}" for kind in ("", "+gzip", "+zstd")]
    + [f"application/vnd.docker.image.rootfs.diff.tar{kind}" for kind in ("", ".gzip", ".zstd")]
    + [f"application/vnd.docker.image.rootfs.foreign.diff.tar{kind}" for kind in ("", ".gzip")]
)

_FIELDS = frozenset(["schemaVersion", "mediaType", "config", "layers", "manifests", "fsLayers", "history"])
_FIELDS_FOLDED = frozenset(field.lower() for field in _FIELDS)

DOCUMENT_MAX = 4 * 1024 * 1024  # bytes; the distribution specification asks registries to take 4 MiB
CONFIG_MAX = 8 * 1024 * 1024  # bytes
LAYERS_MAX = 500  # overlayfs stacks no more
ENTRIES_MAX = 2000  # of an index
URLS_MAX = 10
REFERENCE_TYPE = "vnd.docker.reference.type"  # an annotation of what buildkit puts beside images
SIZE_MAX = 1 << 50  # bytes; a descriptor beyond it is not meant seriously


@dataclass(frozen=True)
class Descriptor:
    """What a manifest says about a blob: its type, sha256 digest and size in bytes. ``urls`` are where it is to be had
    beside the registry (layers that may not be distributed).
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    annotations: tuple[tuple[str, str], ...] = ()
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """An image for one platform: its configuration and its layers, lowest first."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True)
class Index:
    """A list of manifests, one a platform."""

    media_type: str
    manifests: tuple[Descriptor, ...]


def strict_json(data: bytes, what: str, limit: int = DOCUMENT_MAX) -> dict[str, Any]:
    """Reads a JSON object of at most ``limit`` bytes; duplicate keys are an error.

    Errors: ``InvalidParameter`` naming ``what``, whatever is wrong with the bytes.
    """
    if len(data) > limit:
        raise InvalidParameter(f"{what} is {len(data)} bytes long; at most {limit} are allowed")
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidParameter(f"{what} is nested too deeply") from None
    except ValueError as error:
        raise InvalidParameter(f"{what} is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidParameter(f"{what} is not a JSON object")
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def parse_document(data: bytes, content_type: str = "", what: str = "manifest") -> Manifest | Index:
    """Reads a manifest or an index as served under ``content_type`` ("" when it came from disk).

    Errors: ``InvalidParameter`` for a malformed or ambiguous document, ``Unsupported`` for schema 1 and for documents
    that are not images.
    """
    document = strict_json(data, what)
    served = content_type.partition(";")[0].strip().lower()
    if served.startswith(SCHEMA1_PREFIX) or document.get("schemaVersion") == 1:
        raise Unsupported(
            f"not supported: {what} is in the retired schema 1; push the image again with a client of 2016 or later"
        )
    if document.get("schemaVersion") != 2 or isinstance(document.get("schemaVersion"), bool):
        raise InvalidParameter(f"{what}: schemaVersion must be 2")
    _refuse_ambiguous(document, what)
    media_type = _media_type(document, served, what)
    if media_type in INDEX_TYPES:
        return _index(document, media_type, what)
    return _manifest(document, media_type, what)


def _refuse_ambiguous(document: Mapping[str, Any], what: str) -> None:
    # Go's JSON reader ignores the case of keys, so a document that relies on it reads differently there and here.
    odd = next((key for key in document if key not in _FIELDS and key.lower() in _FIELDS_FOLDED), None)
    if odd is not None:
        raise InvalidParameter(f'{what} is ambiguous: it has the misspelt key "{odd}"')
    is_index = "manifests" in document
    if is_index and any(key in document for key in ("layers", "config", "fsLayers", "history")):
        raise InvalidParameter(f"{what} is ambiguous: it has the fields of a manifest and those of an index")
    if "fsLayers" in document:
        raise InvalidParameter(f"{what} is ambiguous: schema 2 with fsLayers")


def _media_type(document: Mapping[str, Any], served: str, what: str) -> str:
    own = document.get("mediaType", "")
    if not isinstance(own, str):
        raise InvalidParameter(f"{what}: mediaType must be a string")
    known = MANIFEST_TYPES + INDEX_TYPES
    if own and served in known and own != served:
        raise InvalidParameter(f"{what} is ambiguous: served as {served}, but its mediaType is {own}")
    natural = OCI_INDEX if "manifests" in document else OCI_MANIFEST
    chosen = own or (served if served in known else natural)
    if chosen not in known:
        raise Unsupported(f'not supported: {what} has the media type "{chosen}", which is not an image')
    if (chosen in INDEX_TYPES) != ("manifests" in document):
        raise InvalidParameter(f"{what} is ambiguous: its fields are not those of {chosen}")
    return chosen


def _manifest(document: Mapping[str, Any], media_type: str, what: str) -> Manifest:
    layers = _list(document, "layers", LAYERS_MAX, what)
    config = _descriptor(document.get("config"), f"{what}: config")
    if config.media_type not in CONFIG_TYPES:
        raise Unsupported(
            f'not supported: {what} has a configuration of type "{config.media_type}", which is not a container image'
        )
    if config.size > CONFIG_MAX:
        raise InvalidParameter(f"{what}: config is {config.size} bytes long; at most {CONFIG_MAX} are allowed")
    return Manifest(
        media_type,
        config,
        tuple(_layer(entry, f"{what}: layers[{number}]") for number, entry in enumerate(layers)),
    )


def _layer(entry: Any, what: str) -> Descriptor:
    found = _descriptor(entry, what)
    if found.media_type not in LAYER_TYPES:
        raise Unsupported(f'not supported: {what} has the media type "{found.media_type}"')
    return found


def _index(document: Mapping[str, Any], media_type: str, what: str) -> Index:
    entries = _list(document, "manifests", ENTRIES_MAX, what)
    return Index(
        media_type,
        tuple(_descriptor(entry, f"{what}: manifests[{number}]") for number, entry in enumerate(entries)),
    )


def _list(document: Mapping[str, Any], key: str, limit: int, what: str) -> list[Any]:
    value = document.get(key)
    if not isinstance(value, list):
        raise InvalidParameter(f"{what}: {key} must be a list")
    if len(value) > limit:
        raise InvalidParameter(f"{what}: {key} has {len(value)} entries; at most {limit} are allowed")
    return value


def _descriptor(entry: Any, what: str) -> Descriptor:
    if not isinstance(entry, dict):
        raise InvalidParameter(f"{what} must be an object")
    media_type, digest, size = entry.get("mediaType"), entry.get("digest"), entry.get("size")
    if not isinstance(media_type, str) or not media_type:
        raise InvalidParameter(f"{what}.mediaType must be a string")
    if not isinstance(digest, str) or not is_digest(digest):
        raise InvalidParameter(f"{what}.digest must be sha256: and 64 lower-case digits")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= SIZE_MAX:
        raise InvalidParameter(f"{what}.size must be a whole number of bytes")
    return Descriptor(media_type, digest, size, _platform(entry, what), _annotations(entry, what), _urls(entry, what))


def _platform(entry: Mapping[str, Any], what: str) -> Platform | None:
    value = entry.get("platform")
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidParameter(f"{what}.platform must be an object")
    fields = [value.get(key, "") for key in ("os", "architecture", "variant")]
    if not all(isinstance(field, str) for field in fields):
        raise InvalidParameter(f"{what}.platform must be an object of strings")
    return platforms.normalise(*fields)


def _annotations(entry: Mapping[str, Any], what: str) -> tuple[tuple[str, str], ...]:
    value = entry.get("annotations") or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise InvalidParameter(f"{what}.annotations must be an object of strings")
    return tuple(value.items())


def _urls(entry: Mapping[str, Any], what: str) -> tuple[str, ...]:
    value = entry.get("urls") or []
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value) or len(value) > URLS_MAX:
        raise InvalidParameter(f"{what}.urls must be a list of at most {URLS_MAX} strings")
    return tuple(value)


def images_of(index: Index) -> list[Descriptor]:
    """The entries of an index that are images: what is said about other entries (attestations, signatures) is none."""
    return [
        entry
        for entry in index.manifests
        if entry.media_type in MANIFEST_TYPES + INDEX_TYPES and REFERENCE_TYPE not in dict(entry.annotations)
    ]


def select(index: Index, wanted: Platform) -> Descriptor:
    """The image of an index that fits ``wanted`` best.

    Where none names a platform, the first is taken: its configuration says what it is for.
    """
    images = images_of(index)
    if images and all(entry.platform is None for entry in images):
        return images[0]
    offers = [(position, entry.platform) for position, entry in enumerate(images) if entry.platform is not None]
    return images[platforms.choose(offers, wanted)]


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    """The JSON form of a descriptor, without what is unset."""
    body: dict[str, Any] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.platform is not None:
        body["platform"] = platform_json(descriptor.platform)
    if descriptor.urls:
        body["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        body["annotations"] = dict(descriptor.annotations)
    return body


def platform_json(platform: Platform) -> dict[str, str]:
    """The JSON form of a platform."""
    body = {"architecture": platform.architecture, "os": platform.os}
    return body | {"variant": platform.variant} if platform.variant else body


def build_manifest(config: Descriptor, layers: tuple[Descriptor, ...]) -> bytes:
    """The bytes of an OCI manifest for an image that was made here."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor_json(config),
        "layers": [descriptor_json(layer) for layer in layers],
    }
    return json.dumps(body, separators=(",", ":")).encode()
