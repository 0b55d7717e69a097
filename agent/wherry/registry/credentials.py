"""Credentials for registries, and the headers and bodies in which clients hand them over."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HUB_ADDRESSES = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


@dataclass(frozen=True)
class Credentials:
    """What a person gave for one registry; never printed (``repr`` shows the user only)."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""
    server_address: str = ""

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, …)"

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of an Authorization header for basic authentication (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


def parse_auth_config(body: Mapping[str, Any]) -> Credentials | None:
    """Reads an Engine API AuthConfig; ``None`` when it holds no credentials."""

    def text(key: str) -> str:
        value = body.get(key)
        return value if isinstance(value, str) else ""

    username, password = text("username"), text("password")
    if not username and text("auth"):
        username, password = _split_auth(text("auth"))
    found = Credentials(username, password, text("identitytoken"), text("registrytoken"), text("serveraddress"))
    return found if found else None


def _split_auth(encoded: str) -> tuple[str, str]:
    try:
        username, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return username, password.rstrip("\0")


def parse_registry_auth_header(header: str | None) -> Credentials | None:
    """Reads an X-Registry-Auth header: base64url of an AuthConfig.

    A header that cannot be read counts as none, as Docker has it: clients send odd ones for anonymous pulls.
    """
    return parse_auth_config(_decoded(header))


def _decoded(header: str | None) -> Mapping[str, Any]:
    if not header:
        return {}
    try:
        padded = header.strip().replace("+", "-").replace("/", "_")
        data = base64.urlsafe_b64decode(padded + "=" * (-len(padded) % 4))
        body = json.loads(data)
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def parse_registry_config_header(header: str | None) -> Mapping[str, Credentials]:
    """Reads an X-Registry-Config header: base64url of AuthConfigs by registry address. Odd ones count as none."""
    found: dict[str, Credentials] = {}
    for address, entry in _decoded(header).items():
        credentials = parse_auth_config(entry) if isinstance(entry, dict) else None
        if credentials is not None:
            found[registry_of_address(address)] = credentials
    return found


def registry_of_address(address: str) -> str:
    """The ``host[:port]`` that a login address means; Docker's Hub has many spellings."""
    host = address.partition("://")[2] if "://" in address else address
    host = host.partition("/")[0].lower()
    return "docker.io" if not host or host in HUB_ADDRESSES else host
