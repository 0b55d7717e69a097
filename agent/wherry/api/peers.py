"""The read-only half of the distribution API, for other agents: what this one has pulled, over mutual TLS.

Source: OCI distribution-spec 1.1, pull. Names are full (``docker.io/library/busybox``), or a mirror's in containerd's
manner, with the registry in the query (``ns``). Nothing else of the agent can be reached this way.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING

import h11

from wherry.api.dispatch import Dispatcher, Exchange
from wherry.api.http import EmptyResponse, JsonResponse, Peer, Query, RawResponse, Response, StreamResponse
from wherry.api.router import Router
from wherry.errors import Forbidden, InvalidParameter, NotFound, WherryError
from wherry.images.reference import Reference, is_digest, parse

if TYPE_CHECKING:
    from wherry.agent import Agent

OCTETS = "application/octet-stream"
PATH_MAX = 1024
STALL_SECONDS = 60.0
HEADERS = {"Docker-Distribution-Api-Version": "registry/2.0"}


class Rate:
    """Bytes that may go out a second, over all connections together; 0 is without a bound."""

    def __init__(self, bytes_a_second: int) -> None:
        self._rate = bytes_a_second
        self._next = 0.0

    async def pass_on(self, chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[bytes]:
        """The chunks, each when it is its turn; a peer that does not take one in ``STALL_SECONDS`` is left."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        async with contextlib.aclosing(chunks):
            async for chunk in chunks:
                if self._rate:
                    now = time.monotonic()
                    self._next = max(self._next, now) + len(chunk) / self._rate
                    await asyncio.sleep(self._next - now)
                stall = loop.call_later(STALL_SECONDS, task.cancel)
                try:
                    yield chunk
                finally:
                    stall.cancel()


class PeerDispatcher(Dispatcher):
    """Answers peers whose certificate names one of ``clients``; any that the authority signed when that is empty."""

    def __init__(self, agent: Agent, clients: Sequence[str], rate: Rate) -> None:
        super().__init__(agent, Router())
        self.clients = frozenset(name.lower() for name in clients)
        self.rate = rate

    def exchange(self, head: h11.Request, peer: Peer, body: AsyncIterator[bytes] | None) -> Exchange:
        """The exchange of a request whose head was read."""
        return PeerExchange(self, head, peer, body)


class PeerExchange(Exchange):
    """One request of a peer. It is parsed here and by nothing of the Engine API."""

    def __init__(
        self, dispatcher: PeerDispatcher, head: h11.Request, peer: Peer, body: AsyncIterator[bytes] | None
    ) -> None:
        super().__init__(dispatcher, head, peer, body)
        self._peers = dispatcher

    async def run(self) -> Response:
        """The response; errors in the distribution API's form."""
        try:
            return self._answer()
        except WherryError as error:
            code = {403: "DENIED", 404: "MANIFEST_UNKNOWN", 400: "NAME_INVALID"}.get(error.status, "UNSUPPORTED")
            return JsonResponse({"errors": [{"code": code, "message": str(error)}]}, error.status, HEADERS)

    def response_headers(self, further: Mapping[str, str]) -> list[tuple[str, str]]:
        """Those of this response: a peer is told nothing else of the agent."""
        return list(further.items())

    def _answer(self) -> Response:
        clients = self._peers.clients
        if clients and not clients & {name.lower() for name in self._peer.names}:
            raise Forbidden("this certificate is not one of those that are served")
        if self.method not in ("GET", "HEAD") or self._body is not None:
            return JsonResponse({"errors": [{"code": "UNSUPPORTED", "message": "read only"}]}, 405, HEADERS)
        path, _, query = self._target.partition("?")
        # No name, tag or digest needs quoting, so what is quoted is refused and cannot be read in two ways.
        if "%" in path or len(path) > PATH_MAX or not path.isascii():
            raise InvalidParameter("malformed path")
        if path in ("/v2/", "/v2"):
            return JsonResponse({}, 200, HEADERS)
        return self._serve(path, Query(query).text("ns"))

    def _serve(self, path: str, namespace: str) -> Response:
        before, _, name = path.removeprefix("/v2/").rpartition("/")
        repository, _, kind = before.rpartition("/")
        if not path.startswith("/v2/") or not repository:
            raise NotFound("no such page")
        found = parse(f"{namespace}/{repository}" if namespace else repository)
        if found.tag or found.digest:
            raise InvalidParameter("malformed name")
        if kind == "manifests":
            return self._manifest(found, name)
        if kind == "blobs":
            return self._blob(found, name)
        if (kind, name) == ("tags", "list"):
            tags = self._peers.agent.images.shelf.tags(found.repository)
            return JsonResponse({"name": repository, "tags": tags}, 200, HEADERS)
        raise NotFound("no such page")

    def _manifest(self, repository: Reference, name: str) -> Response:
        reference = parse(f"{repository.repository}{'@' if ':' in name else ':'}{name}")
        found = self._peers.agent.images.shelf.manifest(reference)
        return RawResponse(found.data, found.media_type, 200, {**HEADERS, "Docker-Content-Digest": found.digest})

    def _blob(self, repository: Reference, digest: str) -> Response:
        if not is_digest(digest):
            raise InvalidParameter("not a digest", value=digest)
        shelf = self._peers.agent.images.shelf
        size = shelf.size(repository.repository, digest)
        headers = {**HEADERS, "Docker-Content-Digest": digest, "Accept-Ranges": "bytes"}
        offset = self._offset(size)
        if offset is None:
            return EmptyResponse(416, {**headers, "Content-Range": f"bytes */{size}"})
        headers["Content-Length"] = str(size - offset)
        if offset:
            headers["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
        chunks = self._peers.rate.pass_on(shelf.content(digest, offset))
        return StreamResponse(chunks, OCTETS, 206 if offset else 200, headers)

    def _offset(self, size: int) -> int | None:
        """Where ``Range: bytes=N-`` begins; 0 for other forms, which may be passed over (RFC 9110, 14.2)."""
        unit, _, span = self.headers.get("range", "").partition("=")
        first, dash, last = span.partition("-")
        if unit != "bytes" or not dash or last or not first.isdecimal() or len(first) > 18:
            return 0
        return int(first) if int(first) < size else None
