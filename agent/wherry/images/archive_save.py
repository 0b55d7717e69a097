"""``docker save``: one tar that is Docker's archive (image specification 1.2) and an OCI layout at once."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wherry.aio import in_thread
from wherry.images.archive_load import CONTAINERD_NAME, OCI_NAME
from wherry.images.manifest import OCI_INDEX, descriptor_json
from wherry.images.model import Image
from wherry.images.reference import Reference
from wherry.images.store import WRITE_SIZE, BlobStore

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


@dataclass(frozen=True)
class Choice:
    """An image to save, and the names to save with it."""

    image: Image
    names: tuple[Reference, ...]


async def save(choices: Sequence[Choice], store: BlobStore) -> AsyncIterator[bytes]:
    """The archive, a piece at a time."""
    digests: dict[str, None] = {}
    for choice in choices:
        image = choice.image
        for digest in (image.manifest.digest, image.id, *(layer.digest for layer in image.layers)):
            digests[digest] = None
    for directory in ("blobs", "blobs/sha256"):
        yield _header(directory, 0, tarfile.DIRTYPE)
    for digest in digests:
        size = store.size(digest)
        yield _header(_blob_name(digest), size)
        with store.path(digest).open("rb") as file:
            while piece := await in_thread(file.read, WRITE_SIZE):
                yield piece
        yield _padding(size)
    documents = {
        "index.json": _index(choices),
        "manifest.json": [_docker_entry(choice) for choice in choices],
        "repositories": _repositories(choices),
    }
    yield _file("oci-layout", LAYOUT)
    for name, body in documents.items():
        if body:
            yield _file(name, json.dumps(body, separators=(",", ":")).encode())
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _index(choices: Sequence[Choice]) -> dict[str, Any]:
    entries = []
    for choice in choices:
        described = replace(choice.image.manifest, platform=choice.image.platform)
        for name in choice.names or (None,):
            entry = descriptor_json(described)
            if name is not None:
                entry["annotations"] = {CONTAINERD_NAME: str(name), OCI_NAME: name.tag}
            entries.append(entry)
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}


def _docker_entry(choice: Choice) -> dict[str, Any]:
    return {
        "Config": _blob_name(choice.image.id),
        "RepoTags": [name.familiar for name in choice.names] or None,
        "Layers": [_blob_name(layer.digest) for layer in choice.image.layers],
    }


def _repositories(choices: Sequence[Choice]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for choice in choices:
        for name in choice.names:
            top = choice.image.layers[-1].digest if choice.image.layers else choice.image.id
            found.setdefault(name.familiar_repository, {})[name.tag or ""] = top.removeprefix("sha256:")
    return found


def _blob_name(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar header with nothing of this machine in it, so that the same image makes the same archive."""
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    member.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % tarfile.BLOCKSIZE)


def _file(name: str, data: bytes) -> bytes:
    made = io.BytesIO()
    made.write(_header(name, len(data)))
    made.write(data)
    made.write(_padding(len(data)))
    return made.getvalue()
