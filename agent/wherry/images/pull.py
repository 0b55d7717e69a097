"""Pulling: from a name to an image in the store, each blob and layer brought once however many ask for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wherry.aio import all_or_none
from wherry.errors import InvalidParameter, NotFound
from wherry.images import manifest as manifests
from wherry.images import platform as platforms
from wherry.images.config_document import chain_ids, parse_config_document
from wherry.images.fetch import Fetcher
from wherry.images.layers import LayerStore
from wherry.images.leases import Leases
from wherry.images.manifest import CONFIG_MAX, DOCUMENT_MAX, Descriptor, Index, Manifest, parse_document
from wherry.images.model import ConfigDocument
from wherry.images.platform import Platform
from wherry.images.progress import Progress, ProgressEvent, SharedWork, Throttle, ignore, short
from wherry.images.store import BlobStore
from wherry.registry.client import ManifestAnswer

INDEX_DEPTH_MAX = 2  # an index may name an index, and no deeper


class Resolved:
    """What a name stands for: the document that it names, and the manifest for one platform."""

    def __init__(
        self, named: ManifestAnswer, answer: ManifestAnswer, manifest: Manifest, platforms_: tuple[Platform, ...]
    ) -> None:
        self.named = named
        self.answer = answer
        self.manifest = manifest
        self.platforms = platforms_

    @property
    def named_type(self) -> str:
        """The media type of the document that the name stands for."""
        return parse_document(self.named.data, self.named.content_type).media_type

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the platform's manifest."""
        return Descriptor(self.manifest.media_type, self.answer.digest, len(self.answer.data))


async def resolve(fetcher: Fetcher, platform: Platform | None, store: BlobStore | None = None) -> Resolved:
    """Asks what the fetcher's reference stands for on ``platform`` (this machine's when ``None``).

    What an index names by digest is looked for in ``store`` first, so that a second pull is one round trip.
    Errors: ``NotFound`` when no entry of an index fits, and those of reading documents.
    """
    reference = fetcher.reference
    named = answer = await fetcher.manifest(reference.digest or reference.tag or "latest")
    document = parse_document(answer.data, answer.content_type, f"manifest of {reference.familiar}")
    offered: tuple[Platform, ...] = ()
    for _ in range(INDEX_DEPTH_MAX):
        if isinstance(document, Manifest):
            break
        offered = offered or _platforms(document)
        entry = manifests.select(document, platform or platforms.host())
        answer = _stored(entry, store) or await fetcher.manifest(entry.digest, expected=entry)
        document = parse_document(answer.data, answer.content_type, f"manifest {entry.digest}")
        if document.media_type != entry.media_type:
            raise InvalidParameter(
                f"manifest {entry.digest} is ambiguous: {document.media_type}, but its index says {entry.media_type}"
            )
    if isinstance(document, Index):
        raise InvalidParameter(f"the index of {reference.familiar} is nested too deeply")
    return Resolved(named, answer, document, offered)


def _stored(entry: Descriptor, store: BlobStore | None) -> ManifestAnswer | None:
    if store is None or entry.size > DOCUMENT_MAX or not store.has(entry.digest, entry.size):
        return None
    return ManifestAnswer(store.read(entry.digest, DOCUMENT_MAX), entry.media_type, entry.digest)


def _platforms(index: Index) -> tuple[Platform, ...]:
    offered = (entry.platform for entry in manifests.images_of(index))
    return tuple(platform for platform in offered if platform and platform.os != "unknown")


class Puller:
    """Brings configurations and layers; shared by all pulls, so that work on the same thing is done once."""

    def __init__(self, store: BlobStore, layers: LayerStore, leases: Leases, parallel: int) -> None:
        self._store = store
        self._layers = layers
        self._leases = leases
        self._blobs: SharedWork[None] = SharedWork()
        self._unpacking: SharedWork[None] = SharedWork()
        self.allow(parallel)

    def allow(self, parallel: int) -> None:
        """How many layers are brought at the same time from now on."""
        self._slots = asyncio.Semaphore(parallel)

    async def config(self, fetcher: Fetcher, resolved: Resolved, platform: Platform | None) -> ConfigDocument:
        """The image's configuration, checked against its manifest and against what this machine can run."""
        await self._bring(fetcher, resolved.manifest.config, "config", ignore)
        data = self._store.read(resolved.manifest.config.digest, CONFIG_MAX)
        document = parse_config_document(data)
        check_layers(resolved.manifest, document)
        if document.os != "linux":
            raise InvalidParameter(f'image operating system "{document.os}" cannot be used on this platform')
        if platform is not None:
            own = Platform(document.os, document.architecture, document.variant)
            if platforms.rank(own, platform) is None:
                raise NotFound(
                    f"image with reference {fetcher.reference.familiar} was found but does not match the specified "
                    f"platform: wanted {platform}, actual: {own}"
                )
        return document

    async def layers(self, fetcher: Fetcher, manifest: Manifest, document: ConfigDocument, progress: Progress) -> None:
        """Brings and unpacks every layer that is missing, some at a time.

        The first failure stops the others, unless another pull waits for them too.
        """
        chain = chain_ids(document.diff_ids)
        for descriptor in manifest.layers:
            progress(ProgressEvent("Pulling fs layer", short(descriptor.digest)))
        await all_or_none(
            self._layer(fetcher, descriptor, chain_id, diff_id, progress)
            for descriptor, chain_id, diff_id in zip(manifest.layers, chain, document.diff_ids, strict=True)
        )

    async def _layer(
        self, fetcher: Fetcher, descriptor: Descriptor, chain_id: str, diff_id: str, progress: Progress
    ) -> None:
        if self._layers.has(chain_id) and self._store.has(descriptor.digest, descriptor.size):
            progress(ProgressEvent("Already exists", short(descriptor.digest)))
            return

        async with self._slots:
            if not self._layers.has(chain_id) and not self._store.has(descriptor.digest):
                await self._bring_unpacked(fetcher, descriptor, chain_id, diff_id, progress)
            await self._bring(fetcher, descriptor, "layer", progress)
            await self.unpack(descriptor, chain_id, diff_id, progress)
        progress(ProgressEvent("Pull complete", short(descriptor.digest)))

    async def unpack(
        self, descriptor: Descriptor, chain_id: str, diff_id: str, progress: Progress, status: str = "Extracting"
    ) -> None:
        """Unpacks a blob of the store as a layer, unless that is done or being done; ``status`` is what is reported.

        Errors: ``DigestMismatch`` and what the C core says of bad archives.
        """

        async def work(tell: Progress) -> None:
            if not self._layers.has(chain_id):
                name = short(descriptor.digest)
                throttle = Throttle(tell, status, name, descriptor.size)
                await self._layers.unpack(chain_id, diff_id, self._store.path(descriptor.digest), throttle.report)
                tell(ProgressEvent(status, name, descriptor.size, descriptor.size))

        await self._unpacking.run(chain_id, work, progress)

    async def unpack_all(
        self, layers: Sequence[Descriptor], document: ConfigDocument, progress: Progress, status: str
    ) -> None:
        """Unpacks the layers of an image whose blobs are in the store, several at a time. Errors: as ``unpack``."""

        async def one(descriptor: Descriptor, chain_id: str, diff_id: str) -> None:
            async with self._slots:
                await self.unpack(descriptor, chain_id, diff_id, progress, status)

        chain = chain_ids(document.diff_ids)
        await all_or_none(one(*each) for each in zip(layers, chain, document.diff_ids, strict=True))

    async def _bring_unpacked(
        self, fetcher: Fetcher, descriptor: Descriptor, chain_id: str, diff_id: str, progress: Progress
    ) -> None:
        """Brings a blob and unpacks it in the same pass; or waits for whoever brings it already."""
        name = short(descriptor.digest)

        async def work(tell: Progress) -> None:
            throttle = Throttle(tell, "Extracting", name, descriptor.size)
            async with self._layers.unpacking(descriptor.size, throttle.report) as unpacking:
                await fetcher.blob(descriptor, self._store, "layer", tell, unpacking)
                await self._layers.adopt(unpacking, chain_id, diff_id)
                tell(ProgressEvent("Extracting", name, descriptor.size, descriptor.size))

        await self._blobs.run(descriptor.digest, work, progress)

    async def _bring(self, fetcher: Fetcher, descriptor: Descriptor, what: str, progress: Progress) -> None:
        if self._store.has(descriptor.digest):
            if self._store.size(descriptor.digest) != descriptor.size:
                raise InvalidParameter(f"the manifest gives a wrong size for {descriptor.digest}")
            return
        await self._blobs.run(
            descriptor.digest, lambda tell: fetcher.blob(descriptor, self._store, what, tell), progress
        )


def check_layers(manifest: Manifest, document: ConfigDocument) -> None:
    """Refuses an image whose manifest and configuration disagree on how many layers there are."""
    if len(manifest.layers) != len(document.diff_ids):
        raise InvalidParameter(
            f"the manifest has {len(manifest.layers)} layers, the image configuration {len(document.diff_ids)}"
        )
