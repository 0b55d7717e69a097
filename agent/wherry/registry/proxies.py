"""Which HTTP proxy a request goes through, by configuration first and environment second."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from wherry.errors import InvalidParameter
from wherry.registry.url import Url, is_loopback


@dataclass(frozen=True)
class Proxy:
    """An HTTP proxy. ``user`` and ``password`` go to it and to nobody else."""

    host: str
    port: int
    user: str = ""
    password: str = ""


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
    if parts.scheme != "http" or not host:
        raise InvalidParameter("bad proxy", field="proxies", value=text, allowed="it is spelled http://host:port")
    return Proxy(host, port or 80, unquote(parts.username or ""), unquote(parts.password or ""))


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
