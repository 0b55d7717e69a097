"""The door to images: every operation on them, as docs/internals.md lists it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wherry.aio import in_thread
from wherry.config import Config
from wherry.errors import InvalidParameter, NotFound, WherryError
from wherry.events import Events
from wherry.images import archive_load, archive_save, listing, search
from wherry.images import platform as platforms
from wherry.images.archive_import import import_root
from wherry.images.catalogue import Catalogue
from wherry.images.clearing import Clearing
from wherry.images.collector import Collector
from wherry.images.committing import Pack, commit
from wherry.images.config_document import chain_ids, parse_config_document
from wherry.images.fetch import Fetcher
from wherry.images.layers import LayerStore, UnpackLimits
from wherry.images.leases import Leases
from wherry.images.manifest import CONFIG_MAX, Descriptor
from wherry.images.model import (
    ContainerRef,
    HistoryEntry,
    HistoryRow,
    Image,
    PruneResult,
    PullResult,
    RemoteImage,
    Removal,
)
from wherry.images.platform import Platform
from wherry.images.progress import Progress, ProgressEvent, ignore
from wherry.images.pull import Puller, Resolved, check_layers, resolve
from wherry.images.push import Pusher
from wherry.images.reference import Reference, join, parse, valid_tag
from wherry.images.shelf import Shelf
from wherry.images.store import BlobStore
from wherry.images.tar_parts import TarParts
from wherry.paths import Paths
from wherry.registry.client import RegistryClient
from wherry.registry.credential_store import CredentialStore, default_path
from wherry.registry.credentials import Credentials, registry_of_address
from wherry.registry.download import download
from wherry.registry.errors import AccessDenied, Unreachable
from wherry.registry.listing import Found
from wherry.registry.mirrors import Mirrors, RegistrySettings
from wherry.registry.proxies import ProxySettings
from wherry.registry.transport import HttpClient
from wherry.state.database import Database
from wherry.state.images import ImageRow, ImageTable
from wherry.state.mirrors import MirrorTable

DOCKER_CERTIFICATES = Path("/etc/docker/certs.d")

log = logging.getLogger(__name__)


def _nobody(_image_id: str) -> Sequence[ContainerRef]:
    return ()


class Images:
    """All images of one agent. ``in_use`` tells which containers use an image; the composition root sets it."""

    def __init__(self, config: Config, paths: Paths, database: Database, events: Events) -> None:
        self.in_use: Callable[[str], Sequence[ContainerRef]] = _nobody
        self._events = events
        table = ImageTable(database)
        self._store = BlobStore(paths.images)
        self._layers = LayerStore(paths.layers, table)
        self._leases = Leases()
        self._catalogue = Catalogue(table, self._store, self._layers)
        self._collector = Collector(self._catalogue, self._store, self._layers, self._leases)
        self._puller = Puller(self._store, self._layers, self._leases, config.max_concurrent_downloads)
        self._clearing = Clearing(self._catalogue, self._collector, events, self._users_of)
        self._mirror_table = MirrorTable(database)
        self.shelf = Shelf(self._catalogue, self._store, self._leases)
        self._background: set[asyncio.Task[None]] = set()
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Takes over what the configuration says of registries; what runs goes on as it began."""
        self.credentials = CredentialStore(config.registry_auth_file or default_path())
        settings = RegistrySettings(
            hub_mirrors=config.registry_mirrors,
            insecure=config.insecure_registries,
            certificate_directories=(
                *config.registry_hosts_dirs,
                config.config_file.parent / "certs.d",
                DOCKER_CERTIFICATES,
            ),
            registries_conf=config.registries_conf or config.config_file.parent / "registries.conf",
            credentials=self.credentials,
            peer_authorities=(str(config.serve_cacert),) if config.serve_cacert else (),
            peer_certificates=((str(config.serve_cert), str(config.serve_key)),) if config.serve_cert else (),
            max_attempts=config.max_download_attempts,
        )
        self.mirrors = Mirrors(settings, self._mirror_table)
        own = ProxySettings(config.http_proxy, config.https_proxy, config.no_proxy)
        self._http = HttpClient(own.over(ProxySettings.from_environment()))
        self._puller.allow(config.max_concurrent_downloads)
        self._parallel_uploads = config.max_concurrent_uploads
        self._layers.limits = UnpackLimits(config.max_layer_size, config.max_layer_entries)

    async def start(self) -> None:
        """Reads the record, makes good what a power cut took, and gives back what nobody needs."""
        self._store.prepare()
        lost = {row.chain_id for row in self._layers.prepare()}
        self._catalogue.load()
        for image in self._catalogue.all():
            await self._restore(image, lost)
        self._catalogue.load()
        await self._collector.collect()

    async def _restore(self, image: Image, lost: set[str]) -> None:
        for layer, chain_id, diff_id in zip(image.layers, image.chain_ids, image.diff_ids, strict=True):
            if self._layers.has(chain_id):
                continue
            log.warning("image %s: unpacking layer %s again%s", image.id, chain_id, " (lost)" * (chain_id in lost))
            try:
                # A layer's blob is flushed with the layer, behind the pull: a power cut may have caught it as well.
                await in_thread(self._store.drop_unless_whole, layer.digest)
                await self._layers.unpack(chain_id, diff_id, self._store.path(layer.digest))
            except (WherryError, OSError) as error:
                log.error("image %s cannot be used; pull or load it again: %s", image.id, error)
                return

    async def stop(self) -> None:
        """Ends what goes on in the background."""
        for task in tuple(self._background):
            await asyncio.gather(task, return_exceptions=True)
        self._http.close()

    def _users_of(self, image_id: str) -> Sequence[ContainerRef]:
        return self.in_use(image_id)  # looked up at each call: the composition root sets it late

    # ---- reading

    def find(self, name_or_id: str) -> Image:
        """The image of a name, digest, ID or the beginning of an ID. Errors: ``NotFound``."""
        return self._catalogue.find(name_or_id)

    def check_platform(self, name: str, platform: str) -> None:
        """Refuses a platform that an image is not for. Errors: ``NotFound``."""
        image, wanted = self.find(name), platforms.parse(platform)
        if platforms.rank(image.platform, wanted) is None:
            raise NotFound(
                f"image with reference {name} was found but does not provide the specified platform ({wanted}); it is "
                f"for {image.platform}"
            )

    def list(self, filters: Mapping[str, Sequence[str]] | None = None, *, everything: bool = True) -> Sequence[Image]:
        """The images that pass the filters of ``docker images``, the newest first.

        Without ``everything`` those are left out that have no name and only are what others were made from.
        """
        selection = listing.Selection(filters or {}, self.find)
        parents = set() if everything else {image.parent for image in self._catalogue.all()}
        images = [one for one in self._catalogue.all() if one.repo_tags or one.repo_digests or one.id not in parents]
        return selection.apply(images, self._names)

    def _names(self, image: Image) -> Sequence[Reference]:
        return self._catalogue.references_of(image)[0]

    def names(self, image: Image) -> tuple[str, ...]:
        """The image's tags now, in their familiar form; ``image`` may be an older reading of it."""
        current = self._catalogue.get(image.id)
        return current.repo_tags if current else ()

    def history(self, image: Image) -> Sequence[HistoryRow]:
        """The steps that made it, the newest first."""
        return listing.history_rows(image, self._catalogue.ancestors(image))

    def layer_directories(self, image: Image) -> Sequence[Path]:
        """The directories of its layers, the lowest first."""
        return [self._layers.directory(chain_id) for chain_id in image.chain_ids]

    def shared_size(self, image: Image) -> int:
        """Bytes of its layers that other images have too."""
        others = {chain for other in self._catalogue.all() if other.id != image.id for chain in other.chain_ids}
        return sum(size for chain, size in zip(image.chain_ids, image.layer_sizes, strict=True) if chain in others)

    def disk_usage(self) -> int:
        """Bytes of all unpacked layers, each counted once."""
        return sum(self._layers.size(chain_id) for chain_id in self._layers.known())

    # ---- registries

    async def pull(
        self,
        reference: Reference,
        *,
        auth: Credentials | None = None,
        platform: str | None = None,
        proxies: ProxySettings | None = None,
        progress: Progress = ignore,
    ) -> PullResult:
        """Brings an image by tag or digest, through the mirrors first. ``proxies``: for this pull, before all others.

        Errors: ``NotFound`` with Docker's wording, ``Unreachable``, ``DigestMismatch``, ``InvalidParameter`` for
        malformed documents; nothing is tagged then.
        """
        with self._through(proxies) as http:
            fetcher = Fetcher(self.mirrors, http, reference.with_default_tag(), auth, progress)
            result = await self._pull_or_clean(fetcher, platform, progress)
        _tell_status(reference.with_default_tag().familiar, result.changed, progress)
        return result

    async def pull_all(
        self,
        reference: Reference,
        *,
        auth: Credentials | None = None,
        platform: str | None = None,
        proxies: ProxySettings | None = None,
        progress: Progress = ignore,
    ) -> Sequence[PullResult]:
        """Brings every tag of a repository, one after another. Errors: as ``pull``; what came before them stays."""
        repository = Reference(reference.domain, reference.path)
        with self._through(proxies) as http:
            fetcher = Fetcher(self.mirrors, http, repository, auth, progress)
            tags = await fetcher.manifest_tags()
            if not tags:
                raise NotFound(f"repository {repository.familiar} has no tags")
            results = [await self._pull_or_clean(fetcher.tagged(valid_tag(tag)), platform, progress) for tag in tags]
        _tell_status(repository.familiar, any(result.changed for result in results), progress)
        return results

    async def _pull_or_clean(self, fetcher: Fetcher, platform: str | None, progress: Progress) -> PullResult:
        wanted = platforms.parse(platform) if platform else None
        try:
            return await self._pull(fetcher, wanted, progress)
        except (Unreachable, asyncio.CancelledError):
            raise  # what has arrived stays, for the next attempt to resume
        except Exception:
            await self._collector.collect()
            raise

    @contextmanager
    def _through(self, proxies: ProxySettings | None) -> Iterator[HttpClient]:
        """The client for one operation: the agent's own, or one with proxies of its own."""
        if proxies is None:
            yield self._http
            return
        client = HttpClient(proxies.over(self._http.proxies))
        try:
            yield client
        finally:
            client.close()

    async def _pull(self, fetcher: Fetcher, wanted: Platform | None, progress: Progress) -> PullResult:
        reference = fetcher.reference
        resolved = await resolve(fetcher, wanted, self._store)
        progress(ProgressEvent(f"Pulling from {reference.path}", reference.digest or reference.tag or ""))
        manifest = resolved.manifest
        with self._leases.hold(manifest.config.digest, *(layer.digest for layer in manifest.layers)):
            document = await self._puller.config(fetcher, resolved, wanted)
            with self._leases.hold(*chain_ids(document.diff_ids)):
                if not self._catalogue.is_whole(manifest.config.digest):
                    await self._puller.layers(fetcher, manifest, document, progress)
                return self._record_pull(fetcher, resolved, progress)

    def _record_pull(self, fetcher: Fetcher, resolved: Resolved, progress: Progress) -> PullResult:
        reference = fetcher.reference
        image_id = resolved.manifest.config.digest
        named = resolved.named
        before = self._catalogue.by_reference(reference)
        changed = before is None or before.id != image_id
        if before is not None and not changed and self._catalogue.knows(reference.repository, named.digest, image_id):
            image = before  # all of it is on record: nothing is written
        else:
            self._store.write(resolved.answer.data)
            row = _row(image_id, resolved.descriptor)
            image = self._catalogue.add(row, [reference], [(reference.repository, named.digest)])
            self._note_settling()
        progress(ProgressEvent(f"Digest: {named.digest}"))
        for name in dict.fromkeys(served.endpoint for served in fetcher.served):
            mirror = next(served.mirror for served in fetcher.served if served.endpoint == name)
            parts = ", ".join(_counted(fetcher, name))
            progress(ProgressEvent(f"Served by {'mirror ' if mirror else ''}{name}: {parts}"))
        for name, limit in fetcher.rate_limits().items():
            progress(ProgressEvent(f"Rate limit of {name}: {limit}"))
        self._events.publish("image", "pull", reference.familiar, {"name": reference.familiar_repository})
        seconds = time.monotonic() - fetcher.began
        return PullResult(image, named.digest, changed, tuple(fetcher.served), fetcher.received, seconds)

    async def resolve_remote(
        self,
        reference: Reference,
        *,
        auth: Credentials | None = None,
        platform: str | None = None,
        proxies: ProxySettings | None = None,
    ) -> RemoteImage:
        """What a pull would bring now, found out by asking for manifests only.

        Errors: as ``pull``.
        """
        reference = reference.with_default_tag()
        with self._through(proxies) as http:
            fetcher = Fetcher(self.mirrors, http, reference, auth, ignore)
            resolved = await resolve(fetcher, platforms.parse(platform) if platform else None)
        return _remote(fetcher, resolved, resolved.platforms)

    async def describe_remote(self, reference: Reference, *, auth: Credentials | None = None) -> RemoteImage:
        """What ``docker manifest`` and compose ask for: digest and platforms of a name at its registry.

        Errors: as ``pull``.
        """
        reference = reference.with_default_tag()
        fetcher = Fetcher(self.mirrors, self._http, reference, auth, ignore)
        resolved = await resolve(fetcher, None)
        offered = resolved.platforms
        if not offered:
            with self._leases.hold(resolved.manifest.config.digest):
                document = await self._puller.config(fetcher, resolved, None)
            offered = (Platform(document.os, document.architecture, document.variant),)
        return _remote(fetcher, resolved, offered)

    async def push(
        self, repository: str, tag: str | None, *, auth: Credentials | None = None, progress: Progress = ignore
    ) -> None:
        """Sends an image to the registry that its name begins with: one tag of it, or all that are here.

        Errors: ``NotFound`` when there is no such tag here, ``AccessDenied``, ``Unreachable``.
        """
        name = join(repository, tag)
        chosen = [name] if tag or name.tag else [
            other for image in self._catalogue.all() for other in self._names(image)
            if other.repository == name.repository
        ]  # fmt: skip
        images = [(other, self._catalogue.by_reference(other)) for other in chosen]
        if not images or any(image is None for _, image in images):
            raise NotFound(f"An image does not exist locally with the tag: {name.familiar_repository}")
        candidate = self.mirrors.origin(name.repository, auth)
        pusher = Pusher(
            RegistryClient(self._http, candidate.endpoint, candidate.credentials), candidate.path, self._store
        )
        progress(ProgressEvent(f"The push refers to repository [{name.repository}]"))
        for other, image in images:
            if image is not None:
                await self._push_one(pusher, other, image, progress)

    async def _push_one(self, pusher: Pusher, name: Reference, image: Image, progress: Progress) -> None:
        _, digests = self._catalogue.references_of(image)
        with self._leases.hold(image.id, image.manifest.digest, *(layer.digest for layer in image.layers)):
            known_at = [digest.path for digest in digests if digest.domain == name.domain]
            await pusher.push(image, name.tag or "latest", known_at, progress, self._parallel_uploads)
        if self._catalogue.get(image.id) is not None:
            self._catalogue.add_digest(image, name.repository, image.manifest.digest)
        self._events.publish("image", "push", name.familiar, {"name": name.familiar_repository})

    async def search(
        self,
        term: str,
        *,
        limit: int = search.LIMIT_DEFAULT,
        filters: Mapping[str, Sequence[str]] | None = None,
        auth: Credentials | None = None,
    ) -> Sequence[Found]:
        """Repositories of a registry by a word in their names. Errors: as ``images.search``."""
        return await search.search(self.mirrors, self._http, term, limit=limit, filters=filters, auth=auth)

    async def open_url(self, address: str) -> AsyncIterator[bytes]:
        """The content of a URL, for an import. Errors: as ``registry.download``, at the call."""
        return (await download(self._http, address)).chunks()

    async def login(self, credentials: Credentials) -> tuple[str, str]:
        """Checks credentials with the registry that they are for; what to tell the user, and an identity token.

        The token is "" where the registry's token service gives none; else it can be kept in place of the password.
        Errors: ``AccessDenied``, ``Unreachable``.
        """
        registry = registry_of_address(credentials.server_address)
        client = RegistryClient(self._http, self.mirrors.endpoint_of(registry), credentials, offline=True)
        try:
            await client.ping()
        except AccessDenied as error:
            raise AccessDenied(f"login attempt to {client.base}v2/ failed: {error}") from error
        return "Login Succeeded", client.identity_token

    # ---- archives

    async def import_archive(
        self,
        chunks: AsyncIterator[bytes],
        *,
        repository: str = "",
        tag: str = "",
        message: str = "",
        changes: Sequence[str] = (),
        platform: str | None = None,
    ) -> Image:
        """Makes an image of one layer out of a root file system archive.

        Errors: ``InvalidParameter`` for a bad name, change or archive; nothing has changed then.
        """
        reference = _tag_reference(repository, tag) if repository else None
        wanted = platforms.parse(platform) if platform else platforms.host()
        async with self._making():
            made = await import_root(
                chunks,
                self._store,
                self._layers,
                changes=changes,
                message=message or "Imported from -",
                platform=wanted,
            )
            row = _row(made.id, made.manifest)
            image = self._catalogue.add(row, [reference] if reference else [], [])
        self._events.publish("image", "import", image.id, {"name": reference.familiar if reference else image.id})
        return image

    async def commit(
        self,
        parent: Image,
        pack: Pack,
        *,
        config: dict[str, Any],
        entry: HistoryEntry,
        container: str,
        repository: str,
        tag: str,
    ) -> Image:
        """Makes an image of a layer that ``pack`` writes, on top of another image.

        ``config`` is the ``config`` object of its document, ``entry`` its line of the history, without a time,
        ``container`` the ID of what it is made from.
        Errors: ``InvalidParameter`` for a bad name; nothing has changed then.
        """
        reference = _tag_reference(repository, tag) if repository else None
        async with self._making():
            made = await commit(
                parent, pack, self._store, self._layers, config=config, entry=entry, container=container
            )
            row = replace(_row(made.id, made.manifest), parent=parent.id)
            image = self._catalogue.add(row, [reference] if reference else [], [])
        if reference is not None:
            self._events.publish("image", "tag", image.id, {"name": reference.familiar})
        return image

    async def load(
        self, chunks: AsyncIterator[bytes], progress: Progress = ignore, platform: str | None = None
    ) -> Sequence[str]:
        """Loads the images of an archive; returns their names, or IDs where they have none.

        Errors: ``InvalidParameter`` for an archive that is none or contradicts itself.
        """
        wanted = platforms.parse(platform) if platform else None
        loaded: list[str] = []
        async with self._making():
            parts = TarParts(self._store)
            try:
                await archive_load.receive(chunks, parts)
                for found in await archive_load.read_archive(parts, self._store, wanted):
                    loaded += await self._load_one(found, progress)
            finally:
                parts.discard()
        return loaded

    @asynccontextmanager
    async def _making(self) -> AsyncIterator[None]:
        """Keeps everything while an image is being made of an archive; a failure gives back what it left."""
        try:
            with self._leases.freeze():
                yield
        except Exception:
            await self._collector.collect()
            raise
        self._note_settling()

    async def _load_one(self, found: archive_load.FoundImage, progress: Progress) -> Sequence[str]:
        document = parse_config_document(self._store.read(found.manifest.config.digest, CONFIG_MAX))
        check_layers(found.manifest, document)
        await self._puller.unpack_all(found.manifest.layers, document, progress, "Loading layer")
        image_id = found.manifest.config.digest
        for name in found.names:
            before = self._catalogue.by_reference(name)
            if before is not None and before.id != image_id:
                renamed = f"renaming the old one with ID {before.id} to empty string"
                progress(ProgressEvent(stream=f"The image {name.familiar} already exists, {renamed}\n"))
        self._catalogue.add(_row(image_id, found.descriptor), found.names, [])
        labels = [name.familiar for name in found.names]
        for label in labels or [image_id]:
            progress(ProgressEvent(stream=f"Loaded image{'' if labels else ' ID'}: {label}\n"))
            self._events.publish("image", "load", image_id, {"name": label})
        return labels or [image_id]

    def save(self, names: Sequence[str]) -> AsyncIterator[bytes]:
        """An archive of images by names or IDs; a repository without a tag stands for its tag ``latest``.

        Errors: ``NotFound``, before the first byte; ``InvalidParameter`` when no image is named.
        """
        if not names:
            raise InvalidParameter("no images to save", field="names", allowed="at least one name or ID")
        chosen: dict[str, tuple[Image, list[Reference]]] = {}
        for text in names:
            image = self.find(text)
            _, listed = chosen.setdefault(image.id, (image, []))
            wanted = _saved_name(text)
            if wanted is not None and wanted in self._names(image) and wanted not in listed:
                listed.append(wanted)
        choices = [archive_save.Choice(image, tuple(listed)) for image, listed in chosen.values()]
        return self._save(choices)

    async def _save(self, choices: Sequence[archive_save.Choice]) -> AsyncIterator[bytes]:
        with self._leases.freeze():
            async for piece in archive_save.save(choices, self._store):
                yield piece
        for choice in choices:
            self._events.publish("image", "save", choice.image.id, {"name": choice.image.id})

    # ---- names and removal

    async def tag(self, image: Image, repository: str, tag: str = "") -> Reference:
        """Gives an image another name, which moves here when another image has it."""
        reference = _tag_reference(repository, tag)
        row = _row(image.id, image.manifest)
        self._catalogue.add(row, [reference], [])
        self._events.publish("image", "tag", image.id, {"name": reference.familiar})
        return reference

    async def remove(
        self, name: str, *, force: bool = False, no_prune: bool = False, dry_run: bool = False
    ) -> Sequence[Removal]:
        """Removes a name, and with an image's last name the image; ``Clearing.remove``."""
        return await self._clearing.remove(name, force=force, no_prune=no_prune, dry_run=dry_run)

    async def prune(self, filters: Mapping[str, Sequence[str]] | None = None) -> PruneResult:
        """Removes images that no container uses; ``Clearing.prune``."""
        return await self._clearing.prune(filters)

    def unused(self, filters: Mapping[str, Sequence[str]] | None = None) -> PruneResult:
        """What ``prune`` would remove now; nothing is."""
        return self._clearing.unused(filters)

    def _note_settling(self) -> None:
        """Lets new layers reach the disk without anybody waiting for it."""
        task = asyncio.create_task(self._layers.settle())
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _tell_status(name: str, changed: bool, progress: Progress) -> None:
    news = "Downloaded newer image for" if changed else "Image is up to date for"
    progress(ProgressEvent(f"Status: {news} {name}"))


def _row(image_id: str, manifest: Descriptor) -> ImageRow:
    return ImageRow(image_id, manifest.digest, manifest.media_type, manifest.size, time.time())


def _remote(fetcher: Fetcher, resolved: Resolved, offered: tuple[Platform, ...]) -> RemoteImage:
    return RemoteImage(
        digest=resolved.named.digest,
        image_id=resolved.manifest.config.digest,
        manifest_digest=resolved.answer.digest,
        media_type=resolved.named_type,
        size=len(resolved.named.data),
        platforms=offered,
        endpoint=fetcher.served[0].endpoint,
    )


def _counted(fetcher: Fetcher, endpoint: str) -> Sequence[str]:
    kinds = [served.what for served in fetcher.served if served.endpoint == endpoint]
    return [f"{kinds.count(kind)} {kind}{'s' if kinds.count(kind) > 1 else ''}" for kind in dict.fromkeys(kinds)]


def _tag_reference(repository: str, tag: str) -> Reference:
    reference = join(repository, tag or None).with_default_tag()
    if reference.digest:
        raise InvalidParameter("refusing to create a tag with a digest reference")
    return reference


def _saved_name(text: str) -> Reference | None:
    try:
        return parse(text).with_default_tag()
    except InvalidParameter:
        return None
