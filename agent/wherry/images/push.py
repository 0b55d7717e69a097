"""Pushing: blobs that the registry lacks, then the manifest, byte for byte as it is stored.

Source: OCI distribution-spec 1.1, "Push". A blob that another repository of the same registry has is mounted from
there; everything else goes in one request, streamed from the disk.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

from wherry.aio import in_thread
from wherry.images.manifest import DOCUMENT_MAX, Descriptor
from wherry.images.model import Image
from wherry.images.progress import Progress, ProgressEvent, Throttle, short
from wherry.images.store import WRITE_SIZE, BlobStore
from wherry.registry import url as urls
from wherry.registry.client import RegistryClient
from wherry.registry.errors import AccessDenied, BadAnswer, Missing, Refused
from wherry.registry.transport import Request, Response
from wherry.registry.url import Url


class Pusher:
    """Sends images to one repository."""

    def __init__(self, client: RegistryClient, path: str, store: BlobStore) -> None:
        self._client = client
        self._path = path
        self._store = store
        self._scope = f"repository:{path}:pull,push"

    async def push(self, image: Image, tag: str, known_at: Sequence[str], progress: Progress) -> None:
        """Sends an image under a tag; ``known_at`` are paths in the same registry that may have its blobs.

        Errors: ``AccessDenied`` with Docker's wording, ``BadAnswer``, ``Unreachable``.
        """
        for layer in image.layers:
            progress(ProgressEvent("Preparing", short(layer.digest)))
        config = Descriptor("", image.id, self._store.size(image.id))
        for layer in image.layers:
            await self._send_blob(layer, known_at, progress)
        await self._send_blob(config, known_at, lambda event: None)
        data = self._store.read(image.manifest.digest, DOCUMENT_MAX)
        await self._send_manifest(data, image.manifest.media_type, tag)
        digest = image.manifest.digest
        progress(ProgressEvent(f"{tag}: digest: {digest} size: {len(data)}"))
        progress(ProgressEvent(aux=(("Tag", tag), ("Digest", digest), ("Size", len(data)))))

    async def _send_blob(self, blob: Descriptor, known_at: Sequence[str], progress: Progress) -> None:
        name = short(blob.digest)
        if await self._has(blob):
            progress(ProgressEvent("Layer already exists", name))
            return
        for source in known_at:
            if source != self._path and await self._mounted(blob, source):
                progress(ProgressEvent(f"Mounted from {source}", name))
                return
        location = await self._begin()
        await self._upload(location, blob, progress)
        progress(ProgressEvent("Pushed", name))

    async def _has(self, blob: Descriptor) -> bool:
        answer = await self._client.request("HEAD", f"/v2/{self._path}/blobs/{blob.digest}", scope=self._scope)
        await answer.discard()
        if answer.status in (401, 403):
            raise self._denied()
        return answer.status == 200

    async def _mounted(self, blob: Descriptor, source: str) -> bool:
        query = urlencode({"mount": blob.digest, "from": source})
        answer = await self._client.request("POST", f"/v2/{self._path}/blobs/uploads/?{query}", scope=self._scope)
        await answer.discard()
        return answer.status == 201

    async def _begin(self) -> Url:
        """Opens an upload and returns where to send it: at the registry's own origin, never elsewhere."""
        answer = await self._client.request("POST", f"/v2/{self._path}/blobs/uploads/", scope=self._scope)
        if answer.status != 202:
            raise await self._failure(answer)
        await answer.discard()
        location = urls.join(answer.url, answer.headers.get("location", ""))
        if location.origin != self._client.base.origin:
            # Some registries write their upload addresses with http behind a proxy that speaks https.
            base = self._client.base
            if location.host != base.host:
                raise Refused(f"refused to upload to {location}, where {base} points to")
            location = Url(base.scheme, base.host, base.port, location.target)
        return location

    async def _upload(self, location: Url, blob: Descriptor, progress: Progress) -> None:
        joint = "&" if "?" in location.target else "?"
        target = f"{location.target}{joint}{urlencode({'digest': blob.digest})}"
        headers = (
            ("Content-Type", "application/octet-stream"),
            *(await self._client.authorization(self._scope)),
        )
        request = Request(
            "PUT",
            Url(location.scheme, location.host, location.port, target),
            headers,
            stream=self._content(blob, progress),
            stream_length=blob.size,
        )
        answer = await self._client.send(request)
        if answer.status != 201:
            raise await self._failure(answer)
        await answer.discard()

    async def _content(self, blob: Descriptor, progress: Progress) -> AsyncIterator[bytes]:
        throttle = Throttle(progress, "Pushing", short(blob.digest), blob.size)
        done = 0
        with self._store.path(blob.digest).open("rb") as file:
            while piece := await in_thread(file.read, WRITE_SIZE):
                yield piece
                done += len(piece)
                throttle.report(done)

    async def _send_manifest(self, data: bytes, media_type: str, tag: str) -> None:
        answer = await self._client.request(
            "PUT",
            f"/v2/{self._path}/manifests/{tag}",
            scope=self._scope,
            headers=(("Content-Type", media_type),),
            body=data,
        )
        if answer.status not in (200, 201):
            raise await self._failure(answer)
        await answer.discard()

    async def _failure(self, answer: Response) -> Exception:
        error = await self._client.failure(answer)
        if isinstance(error, AccessDenied):
            return self._denied()
        return BadAnswer(str(error)) if isinstance(error, Missing) else error

    def _denied(self) -> AccessDenied:
        return AccessDenied(f"denied: requested access to the resource {self._path} is denied", "DENIED")
