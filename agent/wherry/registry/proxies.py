"""Which proxy a request goes through, by configuration first and environment second."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from wherry.errors import InvalidParameter
from wherry.registry.url import Url, is_loopback

DEFAULT_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
KEYS = ("http-proxy", "https-proxy", "no-proxy")


@dataclass(frozen=True)
class Proxy:
    """A proxy: http, https (TLS to the proxy itself), socks5 or socks5h. ``user`` and ``password`` go to it alone."""

    scheme: str
    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS5."""
        return self.scheme.startswith("socks")


@dataclass(frozen=True)
class ProxySettings:
    """``http`` and ``https`` are URLs of proxies or ""; ``none_for`` lists hosts that are asked directly."""

    http: str = ""
    https: str = ""
    none_for: str = ""

    @staticmethod
    def from_environment(environment: Mapping[str, str] | None = None) -> ProxySettings:
        """The settings in http_proxy, https_proxy and no_proxy; lower case wins over upper case."""
        found = os.environ if environment is None else environment

        def read(name: str) -> str:
            return found.get(name) or found.get(name.upper()) or ""

        return ProxySettings(read("http_proxy"), read("https_proxy"), read("no_proxy"))

    def over(self, other: ProxySettings) -> ProxySettings:
        """These settings, completed by ``other`` where they say nothing."""
        return ProxySettings(self.http or other.http, self.https or other.https, self.none_for or other.none_for)

    def choose(self, url: Url) -> Proxy | None:
        """The proxy for a URL; ``None`` asks the host itself, as is always done on loopback."""
        address = self.https if url.scheme == "https" else self.http
        if not address or is_loopback(url.host) or _excluded(url, self.none_for):
            return None
        return parse_proxy(address)


def parse_proxy(text: str) -> Proxy:
    """Reads a proxy's URL; ``host:port`` alone is taken too."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if parts.scheme not in DEFAULT_PORTS or not host:
        allowed = "http://, https://, socks5:// or socks5h://[user:password@]host:port"
        raise InvalidParameter("bad proxy", field="proxies", value=text.rpartition("@")[2], allowed=allowed)
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(parts.scheme, host, port or DEFAULT_PORTS[parts.scheme], user, password)


def parse_proxy_settings(body: Mapping[str, object], field_name: str) -> ProxySettings:
    """Reads ``http-proxy``, ``https-proxy`` and ``no-proxy``, the keys of daemon.json's proxies.

    Errors: ``InvalidParameter`` for other keys and for what is no proxy.
    """
    for key, value in body.items():
        if key not in KEYS or not isinstance(value, str):
            allowed = f"texts under {', '.join(KEYS)}"
            raise InvalidParameter("not proxies", field=field_name, value=key, allowed=allowed)
    http, https, none_for = (str(body.get(key, "")) for key in KEYS)
    for address in (http, https):
        if address:
            parse_proxy(address)
    return ProxySettings(http, https, none_for)


def _excluded(url: Url, none_for: str) -> bool:
    return any(_covers(rule.strip().lower(), url) for rule in none_for.split(",") if rule.strip())


def _covers(rule: str, url: Url) -> bool:
    if rule == "*":
        return True
    try:
        return ipaddress.ip_address(url.host) in ipaddress.ip_network(rule, strict=False)
    except ValueError:
        pass
    name, colon, port = rule.rpartition(":")
    if colon and port.isdecimal():
        if int(port) != url.port:
            return False
        rule = name
    domain = rule.removeprefix("*").lstrip(".")
    return url.host == domain or url.host.endswith(f".{domain}")
