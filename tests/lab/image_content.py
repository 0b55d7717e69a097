"""Images made for tests: layers, configurations, manifests and indexes as bytes, with or without something wrong."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(data: bytes) -> str:
    """The sha256 digest of some bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer_tar(files: dict[str, bytes]) -> bytes:
    """A plain tar of regular files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o644
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def zstd_frame(data: bytes) -> bytes:
    """A zstd frame with the data in it as it is, in blocks of at most 128 KiB (RFC 8878, 3.1.1)."""
    blocks = [data[at : at + 128 * 1024] for at in range(0, len(data), 128 * 1024)] or [b""]
    last = len(blocks) - 1
    framed = [(len(block) << 3 | (number == last)).to_bytes(3, "little") + block for number, block in enumerate(blocks)]
    return b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little") + b"".join(framed)


@dataclass
class Content:
    """What a registry has: blobs by digest, manifests by digest with their types, and tags."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def add_blob(self, data: bytes) -> dict[str, Any]:
        """Adds a blob; returns the digest and size fields of a descriptor."""
        digest = digest_of(data)
        self.blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    def add_manifest(self, body: dict[str, Any] | bytes, media_type: str, tag: str | None = None) -> dict[str, Any]:
        """Adds a manifest or index, tagged or not; returns its descriptor."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        digest = digest_of(data)
        self.manifests[digest] = (media_type, data)
        if tag is not None:
            self.tags[tag] = digest
        return {"mediaType": media_type, "digest": digest, "size": len(data)}

    def add_image(
        self,
        tag: str | None,
        layers: list[dict[str, bytes]],
        *,
        architecture: str = "amd64",
        config: dict[str, Any] | None = None,
        diff_ids: list[str] | None = None,
        layer_type: str = OCI_LAYER,
        layer_fields: dict[str, Any] | None = None,
        pack: Callable[[bytes], bytes] = lambda data: gzip.compress(data, mtime=0),
    ) -> dict[str, Any]:
        """Adds a whole image; ``diff_ids`` replaces the true ones. Returns the manifest's descriptor."""
        plain = [layer_tar(files) for files in layers]
        document = {
            "architecture": architecture,
            "os": "linux",
            "created": "2024-01-02T03:04:05Z",
            "config": config or {"Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest_of(data) for data in plain]},
            "history": [{"created": "2024-01-02T03:04:05Z", "created_by": f"layer {n}"} for n in range(len(plain))],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, **self.add_blob(json.dumps(document).encode())},
            "layers": [
                {"mediaType": layer_type, **self.add_blob(pack(data)), **(layer_fields or {})} for data in plain
            ],
        }
        return self.add_manifest(manifest, OCI_MANIFEST, tag)

    def write(self, place: Path) -> None:
        """Writes it as a folder that ``faulty_registry`` serves."""
        for folder in ("blobs", "manifests"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        for digest, data in self.blobs.items():
            (place / "blobs" / digest).write_bytes(data)
        for digest, (_, data) in self.manifests.items():
            (place / "manifests" / digest).write_bytes(data)
        types = {digest: media_type for digest, (media_type, _) in self.manifests.items()}
        (place / "tags.json").write_text(json.dumps({"tags": self.tags, "types": types}))
