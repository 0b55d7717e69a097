"""From a request's head to a handler's response: API versions, routing, errors as clients expect them."""

from __future__ import annotations

import errno
import logging
import re
from collections.abc import AsyncIterator, Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h11

from wherry import __version__
from wherry.api import guard
from wherry.api.http import EmptyResponse, JsonResponse, Peer, Query, Request, Response, UpgradeResponse
from wherry.api.router import Router
from wherry.errors import InvalidParameter, WherryError

if TYPE_CHECKING:
    from wherry.agent import Agent

log = logging.getLogger(__name__)

MAX_VERSION = (1, 51)
MIN_VERSION = (1, 24)
SERVER = f"Wherry/{__version__} (linux)"

EXHAUSTED = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EROFS, errno.EIO}
)
"""What the machine has no more of: the host's trouble, and no fault of the agent's."""

_VERSIONED = re.compile(r"/v([0-9.]+)(/.*)", re.DOTALL)
_BASE_HEADERS = (
    ("Api-Version", f"{MAX_VERSION[0]}.{MAX_VERSION[1]}"),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", SERVER),
)


class Dispatcher:
    """Makes exchanges: what one request asks, and which handler answers it."""

    def __init__(self, agent: Agent, router: Router) -> None:
        self.agent = agent
        self.router = router

    def exchange(self, head: h11.Request, peer: Peer, body: AsyncIterator[bytes] | None) -> Exchange:
        """The exchange of a request whose head was read."""
        return Exchange(self, head, peer, body)


class Exchange:
    """One request on its way through the dispatcher."""

    def __init__(
        self, dispatcher: Dispatcher, head: h11.Request, peer: Peer, body: AsyncIterator[bytes] | None
    ) -> None:
        self._dispatcher = dispatcher
        self._peer = peer
        self._body = body
        self._target = head.target.decode("ascii", "surrogateescape")
        self.method = head.method.decode("ascii")
        self.headers: Mapping[str, str] = _headers(head)
        self.path = self._target.partition("?")[0]

    @property
    def is_head(self) -> bool:
        """Whether the response is to have no body."""
        return self.method == "HEAD"

    @property
    def can_be_cut(self) -> bool:
        """Whether the handler is cancelled when its client leaves.

        Only one that reads: of an act, half is worse than none.
        """
        return self.method in {"GET", "HEAD"}

    async def run(self) -> Response:
        """The response, whatever happens."""
        try:
            return await self._handled()
        except WherryError as error:
            if error.status >= 500:
                log.warning("%s %s: %s", self.method, self.path, error)
            return error_response(error)
        except OSError as error:
            if error.errno not in EXHAUSTED:
                log.exception("%s %s failed", self.method, self.path)
                return JsonResponse({"message": f"internal error: {type(error).__name__}: {error}"}, 500)
            log.warning("%s %s: %s", self.method, self.path, error)
            place = f": {error.filename}" if error.filename else ""
            return JsonResponse({"message": f"{error.strerror}{place}"}, 500)
        except Exception as error:
            log.exception("%s %s failed", self.method, self.path)
            return JsonResponse({"message": f"internal error: {type(error).__name__}: {error}"}, 500)

    async def _handled(self) -> Response:
        refused = guard.refusal(self.path, self.headers, self._body is not None, self._peer.subject is not None)
        if refused is not None:
            raise refused
        path, version, query = _parse_target(self._target)
        if self.method == "OPTIONS":
            return EmptyResponse(200)
        found = self._dispatcher.router.find(self.method, path)
        if found is None:
            return JsonResponse({"message": "page not found"}, 404)
        handler, params = found
        request = Request(self.method, path, query, self.headers, version, self._peer, params, self._body)
        return await handler(self._dispatcher.agent, request)

    def response_headers(self, further: Mapping[str, str]) -> list[tuple[str, str]]:
        """The headers that every response has, then those of this one."""
        return [*_BASE_HEADERS, ("Date", formatdate(usegmt=True)), *further.items()]

    def hijack_head(self, response: UpgradeResponse) -> bytes:
        """The head that ends HTTP on this connection: 101 to a client that asked to upgrade, 200 to others."""
        if response.switch:
            lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {text}" for name, text in response.switch.items())]
            return ("\r\n".join(lines) + "\r\n\r\n").encode()
        content_type = response.content_type
        wants_upgrade = "upgrade" in self.headers.get("connection", "").lower() and "upgrade" in self.headers
        lines = ["HTTP/1.1 101 UPGRADED" if wants_upgrade else "HTTP/1.1 200 OK", f"Content-Type: {content_type}"]
        if wants_upgrade:
            lines += ["Connection: Upgrade", f"Upgrade: {_token(self.headers['upgrade'])}"]
        lines += [f"{name}: {value}" for name, value in _BASE_HEADERS]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def error_response(error: WherryError) -> Response:
    """An error as the Engine API has it, with field, value and allowed beside the sentence where they are known."""
    if error.status == 304:
        return EmptyResponse(304)
    body: dict[str, object] = {"message": str(error)}
    if error.field is not None:
        body["field"] = error.field
        body["value"] = error.value if isinstance(error.value, str | int | float | bool | None) else str(error.value)
        body["allowed"] = error.allowed
    return JsonResponse(body, error.status)


def _headers(head: h11.Request) -> dict[str, str]:
    """Names in lower case; a header that stands there twice is joined by a comma (RFC 9110, 5.3)."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in head.headers:
        name, value = raw_name.decode("ascii"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _parse_target(target: str) -> tuple[str, tuple[int, int], Query]:
    """Path without version, version, query; raises InvalidParameter for versions that are not served."""
    if not target.startswith("/"):
        _, scheme, rest = target.partition("://")
        target = "/" + rest.partition("/")[2] if scheme else "/"
    raw_path, _, raw_query = target.partition("?")
    try:
        path = unquote(raw_path, errors="strict")
        path.encode()
    except UnicodeError:
        raise InvalidParameter("malformed path", field="path", value=ascii(raw_path), allowed="UTF-8") from None
    if "\0" in path:
        raise InvalidParameter("malformed path", field="path", value=ascii(path), allowed="no NUL byte")
    match = _VERSIONED.fullmatch(path)
    if match is None:
        return path, MAX_VERSION, Query(raw_query)
    return match[2], _checked_version(match[1]), Query(raw_query)


def _checked_version(text: str) -> tuple[int, int]:
    numbers = [int(part) for part in text.split(".")[:2] if part.isdecimal() and len(part) < 6]
    version = (numbers[0] if numbers else 0, numbers[1] if len(numbers) > 1 else 0)
    if version > MAX_VERSION:
        raise InvalidParameter(
            f"client version {text} is too new. Maximum supported API version is {MAX_VERSION[0]}.{MAX_VERSION[1]}"
        )
    if version < MIN_VERSION:
        raise InvalidParameter(
            f"client version {text} is too old. Minimum supported API version is {MIN_VERSION[0]}.{MIN_VERSION[1]}, "
            "please upgrade your client to a newer version"
        )
    return version


def _token(value: str) -> str:
    """What the client asked to upgrade to, in so far as it is a token: the header goes back as it came."""
    return value if value.replace("/", "").replace("-", "").replace(".", "").isalnum() else "tcp"
