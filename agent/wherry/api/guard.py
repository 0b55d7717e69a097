"""Requests that no client of the Engine API makes, but a browser or a smuggler would."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address

import h11

from wherry.errors import Forbidden, InvalidParameter, WherryError

# Names that clients put into Host when they speak over a unix socket or through "docker system dial-stdio".
_HOST_NAMES = frozenset(
    {"", "docker", "localhost", "unused", "api.moby.localhost", "docker.example.com", "wherry", "d", "http"}
)

_ARCHIVES = ("/images/create", "/archive")
_WEB_SOCKET = "/attach/ws"


def announces_body(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request's head says that a body follows."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in headers)


def has_ambiguous_length(head: h11.Request) -> bool:
    """Whether two readers could disagree on where the request ends (RFC 9112, 6.1 and 6.3).

    h11 has refused lengths that differ and codings other than chunked, and has made one of lengths that are the same.
    """
    names = {name for name, _ in head.headers}
    return b"transfer-encoding" in names and (b"content-length" in names or head.http_version < b"1.1")


def refusal(path: str, headers: Mapping[str, str], has_body: bool, over_tls: bool) -> WherryError | None:
    """Why a request is not served at all. ``path`` is as sent, with or without a version.

    A web page can make a browser send requests to whatever the browser reaches: always with Origin, and without a
    preflight only with the simple content types. A page under a name that was rebound to this host sends that name.
    Over TLS the certificate has settled which name was meant. `docker import` and `docker cp` send text/plain: there
    Origin and Host have to do. Libraries for WebSocket send an Origin, made of the address that they connect to: see
    ``_is_own_origin``.
    """
    if "origin" in headers and not (path.endswith(_WEB_SOCKET) and _is_own_origin(headers)):
        return Forbidden("requests from browsers are refused", field="Origin", value=headers["origin"])
    simple = headers.get("content-type", "").partition(";")[0].strip().lower() == "text/plain"
    if has_body and simple and not path.endswith(_ARCHIVES):
        return InvalidParameter(
            f"unsupported Content-Type header ({headers['content-type']}): must be 'application/json'"
        )
    if not over_tls and not _is_own_name(headers.get("host", "")):
        return Forbidden(
            "requests for this host name are refused",
            field="Host",
            value=headers["host"],
            allowed="localhost, an IP address, docker or the path of the socket",
        )
    return None


def _is_own_origin(headers: Mapping[str, str]) -> bool:
    """Whether a WebSocket handshake comes from a page of this very address, port included.

    This agent serves no pages, so no browser has one; a page under a rebound name is refused by its Host. What remains
    are programs, which say here where they connect to.
    """
    scheme, _, place = headers["origin"].partition("://")
    host = headers.get("host", "")
    return scheme in ("http", "https") and host != "" and place.lower() == host.lower()


def _is_own_name(host: str) -> bool:
    """Names without a dot cannot be registered by anybody; paths of sockets are what some clients send."""
    if "/" in host or "%2f" in host.lower():
        return True
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name.lower() in _HOST_NAMES or "." not in name:
        return True
    try:
        ip_address(name)
    except ValueError:
        return name.lower().endswith(".localhost")
    return True
