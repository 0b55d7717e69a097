"""Pushing: blobs that the registry lacks, then the manifest, byte for byte as it is stored.

Source: OCI distribution-spec 1.1, "Push". A blob that another repository of the same registry has is mounted from
there; everything else is streamed from the disk in one chunk, and in smaller ones where the registry takes no large
bodies. An upload that breaks goes on where the registry says that it stopped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

from wherry.aio import all_or_none, in_thread
from wherry.images.manifest import DOCUMENT_MAX, Descriptor
from wherry.images.model import Image
from wherry.images.progress import Progress, ProgressEvent, Throttle, ignore, short
from wherry.images.store import WRITE_SIZE, BlobStore
from wherry.registry import url as urls
from wherry.registry.client import RegistryClient
from wherry.registry.errors import AccessDenied, BadAnswer, Missing, Refused, Unreachable
from wherry.registry.transport import Request, Response
from wherry.registry.url import Url

CHUNK = 8 * 1024 * 1024  # bytes of a body, for registries that refuse large ones


class Pusher:
    """Sends images to one repository."""

    def __init__(self, client: RegistryClient, path: str, store: BlobStore) -> None:
        self._client = client
        self._path = path
        self._store = store
        self._scope = f"repository:{path}:pull,push"

    async def push(self, image: Image, tag: str, known_at: Sequence[str], progress: Progress, parallel: int) -> None:
        """Sends an image under a tag; ``known_at`` are paths in the same registry that may have its blobs.

        At most ``parallel`` layers go at the same time; the first that fails ends the others.
        Errors: ``AccessDenied`` with Docker's wording, ``BadAnswer``, ``Unreachable``.
        """
        layers = {layer.digest: layer for layer in image.layers}  # one that is there twice is sent once
        for layer in layers.values():
            progress(ProgressEvent("Preparing", short(layer.digest)))
        slots = asyncio.Semaphore(parallel)

        async def send(layer: Descriptor) -> None:
            async with slots:
                await self._send_blob(layer, known_at, progress)

        await all_or_none([send(layer) for layer in layers.values()])
        await self._send_blob(Descriptor("", image.id, self._store.size(image.id)), known_at, ignore)
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
        session = None
        for source in known_at:
            if source != self._path:
                session = await self._mount(blob, source)
                if session is None:
                    progress(ProgressEvent(f"Mounted from {source}", name))
                    return
        await self._upload(session or await self._begin(), blob, progress)
        progress(ProgressEvent("Pushed", name))

    async def _has(self, blob: Descriptor) -> bool:
        answer = await self._client.request("HEAD", f"/v2/{self._path}/blobs/{blob.digest}", scope=self._scope)
        await answer.discard()
        if answer.status in (401, 403):
            raise self._denied()
        return answer.status == 200

    async def _mount(self, blob: Descriptor, source: str) -> Url | None:
        """Takes the blob over from another repository. Where the registry does not, the upload that it begins."""
        query = urlencode({"mount": blob.digest, "from": source})
        answer = await self._client.request("POST", f"/v2/{self._path}/blobs/uploads/?{query}", scope=self._scope)
        await answer.discard()
        if answer.status == 201:
            return None
        return self._location(answer) if answer.status == 202 else await self._begin()

    async def _begin(self) -> Url:
        """Opens an upload and returns where to send it."""
        answer = await self._client.request("POST", f"/v2/{self._path}/blobs/uploads/", scope=self._scope)
        if answer.status != 202:
            raise await self._failure(answer)
        await answer.discard()
        return self._location(answer)

    def _location(self, answer: Response) -> Url:
        """Where an upload goes on: at the registry's own origin, never elsewhere."""
        location = urls.join(answer.url, answer.headers.get("location", ""))
        if location.origin != self._client.base.origin:
            # Some registries write their upload addresses with http behind a proxy that speaks https.
            base = self._client.base
            if location.host != base.host:
                raise Refused(f"refused to upload to {location}, where {base} points to")
            location = Url(base.scheme, base.host, base.port, location.target)
        return location

    async def _upload(self, session: Url, blob: Descriptor, progress: Progress) -> None:
        """Sends a blob; goes on where the registry says that it stopped when the connection breaks."""
        done, chunk = 0, blob.size
        failures = 0
        while done < blob.size:
            try:
                answer = await self._send_chunk(session, blob, done, min(chunk, blob.size - done), progress)
            except Unreachable:
                failures += 1
                if failures >= self._client.endpoint.attempts:
                    raise
                await asyncio.sleep(self._client.backoff(failures))
                before = done
                session, done = await self._resume(session, done)
                # Who refuses a large body may close at once, and the refusal is lost with the connection.
                chunk = min(chunk, CHUNK) if done <= before else chunk
                continue
            if answer.status == 413 and chunk > CHUNK:
                await answer.discard()
                chunk = CHUNK
                session, done = await self._resume(session, done)
            elif answer.status == 401 and failures < self._client.endpoint.attempts:
                await answer.discard()
                failures += 1
                session, done = await self._resume(session, done)  # which asks for another token
            elif answer.status in (202, 204, 201):
                await answer.discard()
                done += min(chunk, blob.size - done)
                session = self._location(answer)
            else:
                raise await self._failure(answer)
        await self._close_upload(session, blob)

    async def _send_chunk(
        self, session: Url, blob: Descriptor, start: int, length: int, progress: Progress
    ) -> Response:
        headers = (
            ("Content-Type", "application/octet-stream"),
            ("Content-Range", f"{start}-{start + length - 1}"),
            *(await self._client.authorization(self._scope)),
        )
        content = self._content(blob, start, length, progress)
        return await self._client.send(Request("PATCH", session, headers, stream=content, stream_length=length))

    async def _resume(self, session: Url, done: int) -> tuple[Url, int]:
        """Where an upload goes on, and how many bytes of it are there; a new one where the old has gone."""
        answer = await self._client.request("GET", session, scope=self._scope)
        await answer.discard()
        if answer.status != 204:
            return await self._begin(), 0
        first, _, last = answer.headers.get("range", "").removeprefix("bytes=").partition("-")
        there = int(last) + 1 if first == "0" and last.isdecimal() and len(last) < 19 else 0
        # "0-0" stands for nothing and for one byte; what was acknowledged before tells them apart.
        there = done if there <= 1 else there
        return (self._location(answer) if "location" in answer.headers else session), there

    async def _close_upload(self, session: Url, blob: Descriptor) -> None:
        joint = "&" if "?" in session.target else "?"
        target = f"{session.target}{joint}{urlencode({'digest': blob.digest})}"
        url = Url(session.scheme, session.host, session.port, target)
        answer = await self._client.request("PUT", url, scope=self._scope)
        # Asked a second time, because the first answer was lost, a registry no longer knows the upload.
        if answer.status != 201 and not (answer.status == 404 and await self._has(blob)):
            raise await self._failure(answer)
        await answer.discard()

    async def _content(self, blob: Descriptor, start: int, length: int, progress: Progress) -> AsyncIterator[bytes]:
        throttle = Throttle(progress, "Pushing", short(blob.digest), blob.size)
        left = length
        with self._store.path(blob.digest).open("rb") as file:
            file.seek(start)
            while piece := await in_thread(file.read, min(WRITE_SIZE, left)):
                yield piece
                left -= len(piece)
                throttle.report(start + length - left)

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
