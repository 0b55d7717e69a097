"""The OCI distribution protocol (v2) towards one registry: manifests, blobs, and errors in one sentence.

Source: OCI distribution-spec 1.1. Credentials travel in the Authorization header of requests to the registry's own
origin and nowhere else: a redirect to another one is followed without them (CVE-2020-15157).
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from urllib.parse import urlencode

from wherry.registry import url as urls
from wherry.registry.auth import Authenticator, CredentialFinder, parse_challenges
from wherry.registry.credentials import Credentials
from wherry.registry.documents import read_error
from wherry.registry.errors import (
    AccessDenied,
    BadAnswer,
    DigestMismatch,
    Missing,
    NotListening,
    Refused,
    TlsMismatch,
    Unreachable,
)
from wherry.registry.rate_limit import RateLimit, read_rate_limit
from wherry.registry.tls import TlsSettings
from wherry.registry.transport import HttpClient, Request, Response, Timeouts
from wherry.registry.url import DEFAULT_PORTS, Url

REDIRECTS_MAX = 5
REDIRECT_STATUSES = (301, 302, 303, 307, 308)
ATTEMPTS = 4  # of a request that fails in a way that may pass
BACKOFF_SECONDS = 0.5
RETRY_AFTER_MAX = 30.0  # seconds; a registry that asks for more gets an error reported instead
ERROR_BODY_MAX = 64 * 1024
ACCEPT_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
)
RETRIED_STATUSES = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Endpoint:
    """Where a registry answers. ``authority`` is host[:port]; ``insecure`` allows unverified TLS and plain HTTP.

    ``api_path`` stands in the place of ``/v2``, ``namespace`` is told to a mirror as ``ns`` in the query (whose
    images it is asked for), ``headers`` go along with each request to this very origin, and ``direct`` is for hosts
    that are never asked through a proxy.
    """

    authority: str
    insecure: bool = False
    plain_http: bool = False
    settings: TlsSettings = field(default_factory=TlsSettings)
    timeouts: Timeouts = field(default_factory=Timeouts)
    token_hosts: tuple[str, ...] = ()
    attempts: int = ATTEMPTS
    api_path: str = "/v2"
    namespace: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    direct: bool = False
    find_credentials: CredentialFinder | None = field(default=None, compare=False)


@dataclass(frozen=True)
class ManifestAnswer:
    """A manifest as served: its bytes, Content-Type and verified sha256 digest."""

    data: bytes
    content_type: str
    digest: str


@dataclass(frozen=True)
class BlobStream:
    """A blob on its way. ``offset`` is where its bytes begin, ``size`` the length of the whole when it is known."""

    chunks: AsyncIterator[bytes]
    offset: int
    size: int | None
    response: Response


@dataclass(frozen=True)
class _Call:
    """What a request shall do, whichever scheme, token and redirect it takes."""

    method: str
    path: str | Url
    scope: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class RegistryClient:
    """Speaks with one endpoint on behalf of one set of credentials."""

    def __init__(
        self, http: HttpClient, endpoint: Endpoint, credentials: Credentials | None = None, *, offline: bool = False
    ) -> None:
        self.rate_limit: RateLimit | None = None
        self._offline = offline
        self._http = http
        self.endpoint = endpoint
        self._credentials = credentials
        self._schemes = _schemes(endpoint)
        self._authenticators: dict[Url, Authenticator] = {}

    @property
    def base(self) -> Url:
        """The endpoint's root, with the scheme that answered last."""
        return urls.parse(f"{self._schemes[0]}://{self.endpoint.authority}/")

    @property
    def identity_token(self) -> str:
        """The long-lived token that the registry's token service gave for a client that is ``offline``; else ""."""
        return next((one.identity_token for one in self._authenticators.values() if one.identity_token), "")

    async def ping(self) -> None:
        """Asks for ``/v2/``, with credentials when the registry wants them.

        Errors: ``AccessDenied``, ``Unreachable``, ``BadAnswer``.
        """
        answer = await self.request("GET", "/v2/", scope="")
        if answer.status in (401, 403):
            raise await self.failure(answer)
        await answer.discard()
        if answer.status != 200:
            raise BadAnswer(f'Get "{answer.url}": the registry answered with status {answer.status}')

    async def manifest(self, repository: str, name: str, limit: int) -> ManifestAnswer:
        """A manifest by tag or digest; one of more than ``limit`` bytes is refused, as is one of another digest.

        Errors: ``Missing``, ``AccessDenied``, ``DigestMismatch``, ``BadAnswer``, ``Unreachable``.
        """
        headers = (("Accept", ACCEPT_MANIFESTS),)
        answer = await self.request(
            "GET", f"/v2/{repository}/manifests/{name}", scope=_pull(repository), headers=headers
        )
        if answer.status != 200:
            raise await self.failure(answer)
        data = await answer.read(limit)
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        if name.startswith("sha256:") and digest != name:
            raise DigestMismatch(f"{answer.url}: manifest verification failed for digest {name}: it is {digest}")
        return ManifestAnswer(data, answer.headers.get("content-type", ""), digest)

    async def blob(self, repository: str, digest: str, offset: int = 0, url: Url | None = None) -> BlobStream:
        """Opens a blob from ``offset`` on; the registry may begin at 0 all the same. The caller verifies the digest.

        With ``url`` it is asked for there, with the guards that hold for a redirect.

        Errors: ``Missing``, ``AccessDenied``, ``BadAnswer``, ``Unreachable``.
        """
        headers = (("Range", f"bytes={offset}-"),) if offset else ()
        path = url or f"/v2/{repository}/blobs/{digest}"
        answer = await self.request("GET", path, scope=_pull(repository), headers=headers)
        if answer.status == 416 and offset:
            await answer.discard()
            answer, offset = await self.request("GET", path, scope=_pull(repository)), 0
        if answer.status not in (200, 206):
            raise await self.failure(answer)
        length = _whole_number(answer.headers.get("content-length"))
        if answer.status == 200:
            offset = 0
        elif _range_start(answer.headers.get("content-range", "")) != offset:
            answer.close()
            raise BadAnswer(f"{answer.url}: the registry answered with another range than was asked for")
        return BlobStream(answer.chunks(), offset, None if length is None else offset + length, answer)

    async def request(
        self,
        method: str,
        path: str | Url,
        *,
        scope: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> Response:
        """Sends a request that may be repeated: authentication, redirects, and retries with back-off.

        The answer may have any status but those that are retried to the end.
        """
        call = _Call(method, path, scope, headers, body)
        for attempt in range(self.endpoint.attempts):
            last = attempt + 1 == self.endpoint.attempts
            try:
                answer = await self._authenticated(call)
            except TlsMismatch:
                raise
            except Unreachable:
                # Whoever refuses or does not exist will do so again; a dropped connection may come back.
                if last or attempt >= 1:
                    raise
                await asyncio.sleep(_backoff(attempt))
                continue
            pause = _retry_pause(answer, attempt)
            if pause is None or last:
                return answer
            await answer.discard()
            await asyncio.sleep(pause)
        raise BadAnswer(f"{self.endpoint.authority}: no attempts left")

    async def _authenticated(self, call: _Call) -> Response:
        url, authenticator, tried, answer = await self._first_scheme(call)
        if answer.status == 401:
            values = [value for name, value in answer.all_headers if name == "www-authenticate"]
            if await authenticator.answer(parse_challenges(values), call.scope, answer.url, tried):
                await answer.discard()
                answer = await self._follow(call, url, authenticator)
        return answer

    async def _first_scheme(self, call: _Call) -> tuple[Url, Authenticator, str | None, Response]:
        """Asks by the first scheme that the endpoint speaks, and remembers which that is."""
        while True:
            base = self.base
            url = call.path if isinstance(call.path, Url) else urls.join(base, self._target(call.path))
            authenticator = self._authenticator(base)
            tried = authenticator.header(call.scope)
            try:
                answer = await self._follow(call, url, authenticator)
            except (TlsMismatch, NotListening) as error:
                # Without a port in the name the schemes have different ones, so nobody on the first says nothing.
                if isinstance(error, NotListening) and url.port != DEFAULT_PORTS[url.scheme]:
                    raise
                # Parallel requests find out at the same time; only the first one takes the scheme off the list.
                if self.base == base and len(self._schemes) > 1:
                    del self._schemes[0]
                if self.base == base or isinstance(call.path, Url):
                    raise
            else:
                return url, authenticator, tried, answer

    def _target(self, path: str) -> str:
        """A path of the API as this endpoint wants it."""
        rest = path.removeprefix("/v2")
        if rest == path:
            return path  # of another protocol: a search
        query = urlencode({"ns": self.endpoint.namespace}) if self.endpoint.namespace else ""
        joint = "&" if "?" in rest else "?"
        return f"{self.endpoint.api_path}{rest}{joint if query else ''}{query}"

    def _authenticator(self, base: Url) -> Authenticator:
        if base not in self._authenticators:
            self._authenticators[base] = Authenticator(
                base,
                self._credentials,
                self.endpoint.token_hosts,
                self._send_to_realm,
                self.endpoint.find_credentials,
                offline=self._offline,
            )
        return self._authenticators[base]

    def backoff(self, attempt: int) -> float:
        """Seconds to wait before an attempt that follows so many failed ones."""
        return _backoff(attempt - 1)

    async def authorization(self, scope: str) -> tuple[tuple[str, str], ...]:
        """The header for a request that cannot be repeated, an upload; empty before any challenge was answered."""
        value = self._authenticator(self.base).header(scope)
        return (("Authorization", value),) if value else ()

    async def _follow(self, call: _Call, url: Url, authenticator: Authenticator) -> Response:
        """Sends the request and follows redirects."""
        origin = self.base.origin
        for _ in range(REDIRECTS_MAX + 1):
            own = url.origin == origin
            extra = self.endpoint.headers if own else ()
            given = any(name.lower() == "authorization" for name, _ in extra)
            authorization = authenticator.header(call.scope) if own and not given else None
            sent = (*call.headers, *extra, *((("Authorization", authorization),) if authorization else ()))
            answer = await self.send(Request(call.method, url, sent, call.body, guarded=not own))
            if own:
                self.rate_limit = read_rate_limit(answer.headers) or self.rate_limit
            if answer.status not in REDIRECT_STATUSES or "location" not in answer.headers:
                return answer
            if call.method not in ("GET", "HEAD"):
                answer.close()
                raise Refused(f"{url}: refused to repeat a {call.method} where the registry redirects to")
            await answer.discard()
            target = urls.join(url, answer.headers["location"])
            if url.scheme == "https" and target.scheme != "https":
                raise Refused(f"{url}: refused a redirect from https to {target.scheme}")
            url = target
        raise BadAnswer(f"{url}: more than {REDIRECTS_MAX} redirects")

    async def send(self, request: Request) -> Response:
        """One request with this endpoint's time-outs; TLS settings go with the endpoint's own origin only."""
        own = request.url.host == self.base.host and request.url.port == self.base.port
        settings = self.endpoint.settings if own else TlsSettings()
        direct = self.endpoint.direct
        return await self._http.send(
            replace(request, settings=settings, timeouts=self.endpoint.timeouts, direct=direct)
        )

    async def _send_to_realm(
        self, method: str, url: Url, headers: tuple[tuple[str, str], ...], body: bytes
    ) -> Response:
        return await self.send(Request(method, url, headers, body, guarded=url.origin != self.base.origin))

    async def failure(self, answer: Response) -> Exception:
        """The error for an answer that is not what was asked for; reads its body."""
        try:
            code, message = read_error(await answer.read(ERROR_BODY_MAX))
        except (BadAnswer, Unreachable):
            code, message = "", ""
        if answer.status in (401, 403):
            challenged = answer.status == 401 and not self._credentials
            text = message or ("authentication required" if challenged else "access forbidden")
            word = code.lower().replace("_", " ") or ("unauthorized" if answer.status == 401 else "denied")
            return AccessDenied(f"{word}: {text}", code or "UNAUTHORIZED")
        if answer.status == 404:
            word = code.lower().replace("_", " ") or "not found"
            return Missing(f"{word}: {message}" if message else word, code)
        if answer.status == 429:
            return BadAnswer(
                f"toomanyrequests: {message or 'the registry asks to come back later'}{self._when(answer)}"
            )
        detail = f": {message}" if message else ""
        return BadAnswer(f'"{answer.url}": the registry answered with status {answer.status}{detail}')

    def _when(self, answer: Response) -> str:
        """What a registry that refuses says about its limit and about when to come back."""
        told = [f"rate limit: {self.rate_limit}"] if self.rate_limit else []
        pause = _retry_after(answer.headers.get("retry-after"))
        told += [f"retry after {pause:.0f} s"] if pause is not None else []
        return f" ({', '.join(told)})" if told else ""


def _schemes(endpoint: Endpoint) -> list[str]:
    if endpoint.plain_http:
        return ["http"]
    return ["https", "http"] if endpoint.insecure else ["https"]


def _pull(repository: str) -> str:
    return f"repository:{repository}:pull"


def _backoff(attempt: int) -> float:
    return BACKOFF_SECONDS * (2.0**attempt) * random.uniform(0.75, 1.25)


def _retry_pause(answer: Response, attempt: int) -> float | None:
    """Seconds until asking again makes sense; ``None`` when it does not."""
    if answer.status not in RETRIED_STATUSES:
        return None
    asked = _retry_after(answer.headers.get("retry-after"))
    if asked is not None:
        return asked if asked <= RETRY_AFTER_MAX else None
    return _backoff(attempt)


def _retry_after(value: str | None) -> float | None:
    if not value:
        return None
    if value.isdecimal() and len(value) < 10:
        return float(value)
    try:
        return max(email.utils.parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


def _whole_number(value: str | None) -> int | None:
    return int(value) if value and value.isdecimal() and len(value) < 20 else None


def _range_start(value: str) -> int | None:
    unit, _, span = value.partition(" ")
    return _whole_number(span.partition("-")[0]) if unit == "bytes" else None
