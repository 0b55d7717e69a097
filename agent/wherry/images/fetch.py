"""Asks the endpoints of one repository, mirrors first, for manifests and blobs, and notes who served what."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from wherry.errors import NotFound, WherryError
from wherry.images.manifest import DOCUMENT_MAX, Descriptor
from wherry.images.model import Served
from wherry.images.progress import Progress, ProgressEvent, Throttle, short
from wherry.images.reference import Reference
from wherry.images.store import BlobStore, BlobWriter, Reader
from wherry.registry import listing
from wherry.registry import url as urls
from wherry.registry.client import ManifestAnswer, RegistryClient
from wherry.registry.credentials import Credentials
from wherry.registry.errors import AccessDenied, BadAnswer, DigestMismatch, Missing, Refused, Unreachable
from wherry.registry.mirrors import Candidate, Mirrors, pullers, resolvers
from wherry.registry.rate_limit import RateLimit
from wherry.registry.transport import HttpClient
from wherry.registry.url import Url

BLOB_ATTEMPTS = 4  # at one endpoint, each going on where the last one stopped

log = logging.getLogger(__name__)


class Fetcher:
    """One pull's view of the registries. Close it when the pull has ended."""

    def __init__(
        self,
        mirrors: Mirrors,
        http: HttpClient,
        reference: Reference,
        credentials: Credentials | None,
        note: Callable[[ProgressEvent], None],
    ) -> None:
        self.reference = reference
        self.served: list[Served] = []
        self.received = 0
        self.began = time.monotonic()
        self._mirrors = mirrors
        self._note = note
        self._http = http
        self._candidates: Sequence[Candidate] = mirrors.candidates(
            reference.repository, credentials, by_digest=bool(reference.digest)
        )
        self._clients: dict[Candidate, RegistryClient] = {}

    def client(self, candidate: Candidate) -> RegistryClient:
        """The client for an endpoint; tokens are kept in it."""
        if candidate not in self._clients:
            self._clients[candidate] = RegistryClient(self._http, candidate.endpoint, candidate.credentials)
        return self._clients[candidate]

    def rate_limits(self) -> Mapping[str, RateLimit]:
        """What endpoints said about how many requests are left, by their names."""
        clients = self._clients.items()
        return {candidate.name: client.rate_limit for candidate, client in clients if client.rate_limit is not None}

    async def manifest(self, name: str, *, expected: Descriptor | None = None) -> ManifestAnswer:
        """A manifest by tag or digest from the first endpoint that has it; ``expected`` is what an index said of it.

        Errors: those of the last endpoint, in Docker's words.
        """
        by_digest = name.startswith("sha256:")
        candidates = pullers(self._candidates) if by_digest else resolvers(self._candidates)
        failures: list[WherryError] = []
        for candidate in candidates:
            if self._skip(candidate, candidates):
                continue
            try:
                answer = await self.client(candidate).manifest(candidate.path, name, DOCUMENT_MAX)
                if expected is not None and len(answer.data) != expected.size:
                    raise DigestMismatch(
                        f"manifest {name} is {len(answer.data)} bytes long; the index says {expected.size}"
                    )
            except (Missing, AccessDenied, BadAnswer, Unreachable) as error:
                self._failed(candidate, error)
                failures.append(error)
                continue
            self.received += len(answer.data)
            self._succeeded("manifest", answer.digest, candidate)
            return answer
        raise self._explain(failures)

    async def blob(
        self, descriptor: Descriptor, store: BlobStore, what: str, progress: Progress, reader: Reader | None = None
    ) -> None:
        """Brings a blob into the store, verified; goes on where an earlier attempt stopped.

        A ``reader`` gets its bytes as they come and says what their digest is.
        Errors: those of the last endpoint; ``DigestMismatch`` when none had the right bytes.
        """
        writer = store.partial_writer(descriptor.digest, reader)
        try:
            await writer.take_up()
            await self._blob_from_any(descriptor, writer, what, progress)
            await store.commit(writer)
            progress(ProgressEvent("Download complete", short(descriptor.digest)))
        except DigestMismatch:
            writer.discard()
            raise
        finally:
            writer.close()

    async def _blob_from_any(self, descriptor: Descriptor, writer: BlobWriter, what: str, progress: Progress) -> None:
        failures: list[WherryError] = []
        candidates = pullers(self._candidates)
        for candidate in candidates:
            if self._skip(candidate, candidates):
                continue
            try:
                await self._blob_from(candidate, descriptor, writer, progress)
            except (Missing, AccessDenied, BadAnswer, Unreachable) as error:
                self._failed(candidate, error)
                failures.append(error)
                continue
            self._succeeded(what, descriptor.digest, candidate)
            return
        if candidates and failures and all(isinstance(failure, Missing) for failure in failures):
            for text in descriptor.urls:  # a layer that its registry may not distribute
                try:
                    await self._blob_from(candidates[-1], descriptor, writer, progress, urls.parse(text))
                except (Missing, AccessDenied, BadAnswer, Unreachable, Refused) as error:
                    failures.append(error)
                    continue
                self.served.append(Served(what, descriptor.digest, urls.parse(text).authority, False))
                return
        raise self._explain(failures)

    async def manifest_tags(self) -> list[str]:
        """All tags of the reference's repository, from the first endpoint that may say what tags mean.

        Errors: those of the last endpoint, in Docker's words.
        """
        failures: list[WherryError] = []
        candidates = resolvers(self._candidates)
        for candidate in candidates:
            if self._skip(candidate, candidates):
                continue
            try:
                return await listing.tags(self.client(candidate), candidate.path)
            except (Missing, AccessDenied, BadAnswer, Unreachable) as error:
                self._failed(candidate, error)
                failures.append(error)
        raise self._explain(failures)

    def tagged(self, tag: str) -> Fetcher:
        """The same endpoints and tokens, for one tag of the repository."""
        other = copy.copy(self)
        other.reference, other.served = replace(self.reference, tag=tag), []
        other.received, other.began = 0, time.monotonic()
        return other

    async def _blob_from(
        self,
        candidate: Candidate,
        descriptor: Descriptor,
        writer: BlobWriter,
        progress: Progress,
        url: Url | None = None,
    ) -> None:
        """Downloads from one endpoint: resumes after a break, starts over once when old bytes turn out wrong."""
        for attempt in range(BLOB_ATTEMPTS):
            resumed = writer.size > 0
            try:
                await self._stream(candidate, descriptor, writer, progress, url)
            except DigestMismatch:
                await writer.restart()
                if not resumed:
                    raise
            except Unreachable:
                await writer.flush()
                if attempt + 1 == BLOB_ATTEMPTS or candidate.mirror:
                    raise
                progress(ProgressEvent("Retrying", short(descriptor.digest)))
            else:
                return
        raise BadAnswer(f"{candidate.name}: no attempts left for {descriptor.digest}")

    async def _stream(
        self,
        candidate: Candidate,
        descriptor: Descriptor,
        writer: BlobWriter,
        progress: Progress,
        url: Url | None,
    ) -> None:
        if writer.size > descriptor.size:
            await writer.restart()
        if writer.size < descriptor.size or not descriptor.size:
            blob = await self.client(candidate).blob(candidate.path, descriptor.digest, writer.size, url)
            try:
                if blob.size is not None and blob.size != descriptor.size:
                    raise DigestMismatch(
                        f"blob {descriptor.digest} is {blob.size} bytes long; its manifest says {descriptor.size}"
                    )
                if blob.offset != writer.size:
                    await writer.restart()
                throttle = Throttle(progress, "Downloading", short(descriptor.digest), descriptor.size)
                async for piece in blob.chunks:
                    if writer.size + len(piece) > descriptor.size:
                        raise DigestMismatch(
                            f"blob {descriptor.digest} is longer than the {descriptor.size} bytes of its manifest"
                        )
                    self.received += len(piece)
                    await writer.write(piece)
                    throttle.report(writer.size)
            finally:
                blob.response.close()
        await writer.flush()
        progress(ProgressEvent("Verifying Checksum", short(descriptor.digest)))
        if writer.size != descriptor.size or await writer.finish() != descriptor.digest:
            raise DigestMismatch(f"filesystem layer verification failed for digest {descriptor.digest}")

    def _skip(self, candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
        """A mirror that was dead a moment ago is not asked while something else is left to ask."""
        alive = any(not self._mirrors.passed_over(other) for other in candidates)
        return alive and self._mirrors.passed_over(candidate)

    def _failed(self, candidate: Candidate, error: WherryError) -> None:
        if isinstance(error, Unreachable):
            self._mirrors.note_dead(candidate, str(error))
        if candidate.mirror:
            log.info("%s: mirror %s failed: %s", self.reference.familiar, candidate.name, error)
            self._note(ProgressEvent(f"Mirror {candidate.name} passed over: {error}"))

    def _succeeded(self, what: str, digest: str, candidate: Candidate) -> None:
        self._mirrors.note_alive(candidate)
        self.served.append(Served(what, digest, candidate.name, candidate.mirror))
        log.info("%s: %s %s served by %s", self.reference.familiar, what, short(digest), candidate.name)

    def _explain(self, failures: Sequence[WherryError]) -> WherryError:
        """The error that a person reads: the origin's when it was asked, with Docker's wording where it has one."""
        if not failures:
            return NotFound(f"no mirror of {self.reference.familiar} may be asked for this, and fallback is off")
        error = failures[-1]
        if isinstance(error, Missing):
            if error.code == "NAME_UNKNOWN":
                return NotFound(f"repository {self.reference.familiar_repository} not found: {error}")
            unknown = "manifest unknown: manifest unknown" if error.code == "MANIFEST_UNKNOWN" else str(error)
            return NotFound(f"manifest for {self.reference.familiar} not found: {unknown}")
        if isinstance(error, AccessDenied):
            return NotFound(
                f"pull access denied for {self.reference.familiar_repository}, repository does not exist or may "
                f"require 'docker login': {error}"
            )
        return error
