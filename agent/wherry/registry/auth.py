"""How a registry's 401 is answered: basic credentials, or a bearer token from the realm that it names.

Sources: RFC 9110 section 11 (challenges), distribution's ``spec/auth/token`` and ``oauth``. Who may see credentials
is decided by ``may_send_credentials`` alone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from urllib.parse import urlencode

from wherry.errors import InvalidParameter
from wherry.registry import url as urls
from wherry.registry.credentials import Credentials
from wherry.registry.documents import read_object
from wherry.registry.errors import AccessDenied, BadAnswer, Refused
from wherry.registry.transport import Response
from wherry.registry.url import Url

TOKEN_ANSWER_MAX = 1024 * 1024  # bytes
TOKEN_LIFETIME_DEFAULT = 60.0  # seconds, by the specification
TOKEN_LIFETIME_MARGIN = 5.0
CLIENT_ID = "wherry"

_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(,|$)')
_SCHEME = re.compile(r"\s*([A-Za-z]+)(?:\s+|$)")


@dataclass(frozen=True)
class Challenge:
    """One way in which a registry offers to let somebody in. ``scheme`` is lower case."""

    scheme: str
    realm: str = ""
    service: str = ""
    scope: str = ""


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Reads WWW-Authenticate headers; a challenge that is malformed is passed over."""
    found: list[Challenge] = []
    for value in values:
        rest = value[:8192]
        while match := _SCHEME.match(rest):
            rest = rest[match.end() :]
            parameters: dict[str, str] = {}
            while pair := _PARAMETER.match(rest):
                quoted, bare = pair.group(2), pair.group(3)
                parameters[pair.group(1).lower()] = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else bare
                rest = rest[pair.end() :]
            get = parameters.get
            found.append(Challenge(match.group(1).lower(), get("realm", ""), get("service", ""), get("scope", "")))
    return found


def may_send_credentials(registry: Url, realm: Url, trusted_hosts: Sequence[str] = ()) -> bool:
    """Whether the token service at ``realm`` may see credentials that were given for ``registry``.

    It may at the registry's own origin, and over HTTPS at another port of the same host, at a parent or child domain
    (registry.gitlab.com and gitlab.com), at a sibling below the same registered domain (registry-1.docker.io and
    auth.docker.io), and at hosts that the operator lists. CVE-2020-15157 is what happens without such a rule.
    """
    if realm.origin == registry.origin or realm.authority in trusted_hosts or realm.host in trusted_hosts:
        return True
    if realm.scheme != "https":
        return False
    if realm.host == registry.host:
        return True
    if _is_address(realm.host) or _is_address(registry.host):
        return False
    parent = _registered_domain(registry.host)
    return parent is not None and parent == _registered_domain(realm.host)


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdecimal()


def _registered_domain(host: str) -> str | None:
    """The domain that one owner holds, by rule of thumb: two labels, three below a country's ``co.uk`` and the like.

    Where strangers share a domain (object stores, tunnels), a registry has its own name below it; three labels are
    asked for there too.
    """
    labels = host.split(".")
    if len(labels) < 2:
        return None
    second_level = len(labels[-1]) == 2 and len(labels[-2]) <= 3
    shared = ".".join(labels[-2:]) in _SHARED_DOMAINS
    count = 3 if second_level or shared else 2
    return ".".join(labels[-count:]) if len(labels) >= count else None


_SHARED_DOMAINS = frozenset(
    [
        "amazonaws.com",
        "appspot.com",
        "azurecr.io",
        "azurewebsites.net",
        "cloudfront.net",
        "github.io",
        "gitlab.io",
        "herokuapp.com",
        "ngrok.io",
        "pages.dev",
        "run.app",
        "windows.net",
        "workers.dev",
    ]
)


CredentialFinder = Callable[[], Awaitable[Credentials | None]]
"""Looks up what is kept for a registry: asked only when the registry wants to know who asks."""


class Sender(Protocol):
    """Sends a request without credentials of its own and follows no redirect."""

    async def __call__(self, method: str, url: Url, headers: tuple[tuple[str, str], ...], body: bytes) -> Response:
        """The answer's head."""


@dataclass
class _Token:
    header: str
    expires: float


class Authenticator:
    """Holds the credentials for one registry and the tokens that it gave for them.

    Without ``credentials``, ``find`` looks for some when the registry asks. With ``offline`` the token service is asked
    for a token that outlives this session; ``identity_token`` has it then.
    """

    def __init__(
        self,
        registry: Url,
        credentials: Credentials | None,
        trusted_hosts: Sequence[str],
        send: Sender,
        find: CredentialFinder | None = None,
        *,
        offline: bool = False,
    ) -> None:
        self.identity_token = ""
        self._answering = asyncio.Lock()
        self._registry = registry
        self._credentials = credentials
        self._find = find
        self._offline = offline
        self._trusted_hosts = tuple(trusted_hosts)
        self._send = send
        self._tokens: dict[str, _Token] = {}
        self._basic = False

    def header(self, scope: str) -> str | None:
        """The Authorization header to try first, if one is known."""
        token = self._tokens.get(scope)
        if token is not None and token.expires > time.monotonic():
            return token.header
        if self._credentials and self._credentials.registry_token:
            return f"Bearer {self._credentials.registry_token}"
        return self._credentials.basic if self._basic and self._credentials else None

    async def answer(self, challenges: Sequence[Challenge], scope: str, url: Url, tried: str | None) -> bool:
        """Obtains what the challenges ask for; whether asking again has a chance.

        ``url`` is what was asked for: only the registry's own origin is answered. ``tried`` is the header that was
        sent; when another request has found a better one meanwhile, that is used.
        Errors: ``AccessDenied`` when the token service refuses, ``Refused`` when policy forbids asking it.
        """
        if url.origin != self._registry.origin:
            return False
        # One after the other: of layers that are refused at the same time the first fetches the token for all.
        async with self._answering:
            return await self._answer(challenges, scope, tried)

    async def _answer(self, challenges: Sequence[Challenge], scope: str, tried: str | None) -> bool:
        known = self.header(scope)
        if known is not None and known != tried:
            return True
        if not self._credentials and self._find is not None:
            self._credentials, self._find = await self._find(), None
            if self.header(scope) not in (None, tried):
                return True  # a token that was kept as it is
        bearer = next((found for found in challenges if found.scheme == "bearer" and found.realm), None)
        if bearer is not None:
            fresh = await self._fetch_token(bearer, scope)
            self._tokens[scope] = fresh
            return fresh.header != tried
        basic = any(found.scheme == "basic" for found in challenges)
        if basic and self._credentials and self._credentials.username and not self._basic:
            self._basic = True
            return True
        return False

    async def _fetch_token(self, challenge: Challenge, scope: str) -> _Token:
        realm = urls.join(self._registry, challenge.realm)
        if self._registry.scheme == "https" and realm.scheme != "https":
            raise Refused(f"{self._registry}: refused: its token service {realm} is not https")
        credentials = self._credentials
        if credentials and not may_send_credentials(self._registry, realm, self._trusted_hosts):
            raise Refused(
                f"{self._registry}: refused to send credentials to its token service {realm}",
                allowed=f"list {realm.authority} in token_hosts of the registry's rule to allow it",
            )
        # What the registry names wins: some hand out narrower or differently spelled scopes.
        wanted = [("service", challenge.service), ("scope", challenge.scope or scope)]
        fields = [(name, value) for name, value in wanted if value]
        if credentials and credentials.identity_token:
            answer = await self._post_refresh(realm, fields, credentials)
        else:
            headers = (("Authorization", credentials.basic),) if credentials else ()
            extra = [("account", credentials.username), ("client_id", CLIENT_ID)] if credentials else []
            extra += [("offline_token", "true")] if credentials and self._offline else []
            joint = "&" if "?" in realm.target else "?"
            asked = Url(realm.scheme, realm.host, realm.port, f"{realm.target}{joint}{urlencode(fields + extra)}")
            answer = await self._send("GET", asked, headers, b"")
        return await self._read_token(answer, realm)

    async def _post_refresh(self, realm: Url, fields: list[tuple[str, str]], credentials: Credentials) -> Response:
        form = [
            *fields,
            ("grant_type", "refresh_token"),
            ("refresh_token", credentials.identity_token),
            ("client_id", CLIENT_ID),
        ]
        headers = (("Content-Type", "application/x-www-form-urlencoded"),)
        return await self._send("POST", realm, headers, urlencode(form).encode())

    async def _read_token(self, answer: Response, realm: Url) -> _Token:
        body = await answer.read(TOKEN_ANSWER_MAX)
        if answer.status in (401, 403):
            raise AccessDenied("unauthorized: incorrect username or password", "UNAUTHORIZED")
        if answer.status != 200:
            raise BadAnswer(f"the token service {realm} answered with status {answer.status}")
        try:
            document = read_object(body)
        except InvalidParameter as error:
            raise BadAnswer(f"the token service {realm} answered with something else than JSON") from error
        token = document.get("token") or document.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[!-~]+", token):
            raise BadAnswer(f"the token service {realm} answered without a token")
        self._note_refresh_token(document.get("refresh_token"))
        lifetime = document.get("expires_in")
        seconds = float(lifetime) if isinstance(lifetime, (int, float)) else TOKEN_LIFETIME_DEFAULT
        return _Token(f"Bearer {token}", time.monotonic() + max(seconds - TOKEN_LIFETIME_MARGIN, 1.0))

    def _note_refresh_token(self, value: object) -> None:
        """A service may hand out a new one with each use of the old; that one is used from then on."""
        if isinstance(value, str) and value and re.fullmatch(r"[!-~]+", value):
            self.identity_token = value
            if self._credentials and self._credentials.identity_token:
                self._credentials = replace(self._credentials, identity_token=value)
