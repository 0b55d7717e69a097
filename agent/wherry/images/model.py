"""What images are made of, and what operations on them return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.images.manifest import Descriptor
from wherry.images.platform import Platform


@dataclass(frozen=True)
class ImageConfig:
    """How a container of the image runs unless told otherwise. ``raw`` is the JSON object that it was read from."""

    user: str = ""
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str | None = None
    healthcheck: Mapping[str, Any] | None = None
    shell: tuple[str, ...] | None = None
    on_build: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class HistoryEntry:
    """One step of how an image came to be. ``empty_layer`` steps changed the configuration only."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True)
class ConfigDocument:
    """An image's whole configuration document; its digest is the image's ID."""

    architecture: str
    os: str
    variant: str
    os_version: str
    created: str
    author: str
    docker_version: str
    container: str  # the ID of the container that it was committed from, as Docker's images have it
    config: ImageConfig
    diff_ids: tuple[str, ...]
    history: tuple[HistoryEntry, ...]


@dataclass(frozen=True)
class Image:
    """An image in the store. ``size`` is that of the unpacked layers in bytes; ``created`` is RFC 3339 or "".

    ``parent`` is the ID of the image that it was made from on this host, or "".
    """

    id: str
    document: ConfigDocument
    manifest: Descriptor
    layers: tuple[Descriptor, ...]
    chain_ids: tuple[str, ...]
    layer_sizes: tuple[int, ...]
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    last_tagged: float | None = None
    parent: str = ""

    @property
    def config(self) -> ImageConfig:
        """How a container of it runs unless told otherwise."""
        return self.document.config

    @property
    def created(self) -> str:
        """When it was built, as its configuration says."""
        return self.document.created

    @property
    def architecture(self) -> str:
        """As Go spells it: amd64, arm64, …"""
        return self.document.architecture

    @property
    def os(self) -> str:
        """Always linux, here."""
        return self.document.os

    @property
    def platform(self) -> Platform:
        """The platform that it was built for."""
        return Platform(self.document.os, self.document.architecture, self.document.variant)

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its configuration."""
        return self.document.config.labels

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of its unpacked layers, lowest first."""
        return self.document.diff_ids

    @property
    def size(self) -> int:
        """Bytes of all its layers, unpacked."""
        return sum(self.layer_sizes)


@dataclass(frozen=True)
class ContainerRef:
    """A container that stands in the way of removing an image."""

    id: str
    name: str
    running: bool


@dataclass(frozen=True)
class Served:
    """Which endpoint answered for which part of a pull. ``what`` is manifest, config or layer."""

    what: str
    digest: str
    endpoint: str
    mirror: bool


@dataclass(frozen=True)
class PullResult:
    """How a pull ended: the image, the digest that the name stood for, who served it, and what that took.

    ``received`` counts the bytes of manifests, configurations and layers.
    """

    image: Image
    digest: str
    changed: bool
    endpoints: tuple[Served, ...]
    received: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class RemoteImage:
    """What a pull would bring now: the digest of the name, the ID of the image, and its platform."""

    digest: str
    image_id: str
    manifest_digest: str
    media_type: str
    size: int
    platforms: tuple[Platform, ...]
    endpoint: str


@dataclass(frozen=True)
class Untagged:
    """A name that no longer points at an image."""

    name: str


@dataclass(frozen=True)
class Deleted:
    """An image or layer that is gone from the store."""

    digest: str


Removal = Untagged | Deleted


@dataclass(frozen=True)
class PruneResult:
    """What a prune removed, and how many bytes of disk it gave back."""

    removed: tuple[Removal, ...]
    reclaimed: int


@dataclass(frozen=True)
class HistoryRow:
    """One line of ``docker history``. ``created`` is seconds since the epoch."""

    id: str
    created: int
    created_by: str
    tags: tuple[str, ...]
    size: int
    comment: str
