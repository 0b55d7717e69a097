"""URLs as the registry client needs them: HTTP or HTTPS, a host, a port, nothing hidden in them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from wherry.registry.errors import Refused

DEFAULT_PORTS = {"http": 80, "https": 443}
URL_MAX = 16 * 1024  # characters; signed redirects of object stores are long


@dataclass(frozen=True)
class Url:
    """An absolute URL, taken apart. ``host`` is lower case and without brackets; ``target`` has path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """``host`` or ``host:port``, as it stands in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: what credentials are given for."""
        return self.scheme, self.host, self.port

    @property
    def path(self) -> str:
        """The target without its query, for messages: queries carry signatures."""
        return self.target.partition("?")[0]

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"


def parse(text: str) -> Url:
    """Takes an absolute URL apart.

    Errors: ``Refused`` for another scheme than http and https, for user names inside it, and for what is malformed.
    """
    if len(text) > URL_MAX or any(sign <= " " or sign == "\x7f" for sign in text):
        raise Refused("malformed URL from a registry")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("malformed URL from a registry", value=text[:200]) from None
    if parts.scheme not in DEFAULT_PORTS or not host:
        raise Refused("refused URL", value=text[:200], allowed="only http and https URLs are followed")
    if parts.username is not None:
        raise Refused("refused URL with a user name in it", value=host)
    try:
        host.encode("ascii")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        target.encode("ascii")
    except UnicodeEncodeError:
        raise Refused("malformed URL from a registry", value=text[:200]) from None
    return Url(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], target)


def join(base: Url, location: str) -> Url:
    """The URL that ``location`` (absolute or relative) means when ``base`` answers with it."""
    if len(location) > URL_MAX:
        raise Refused("malformed URL from a registry")
    return parse(urljoin(f"{base.scheme}://{base.authority}{base.target}", location))


def is_link_local(address: str) -> bool:
    """Whether an address is one of those where clouds keep their metadata services."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_link_local


def is_loopback(host: str) -> bool:
    """Whether a host, by its spelling alone, is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
