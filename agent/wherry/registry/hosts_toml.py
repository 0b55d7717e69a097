"""containerd's ``hosts.toml``, read as it is: who is asked for the images of one registry.

Source: containerd's docs/hosts.md. Below a directory of hosts, ``HOST[:PORT]/hosts.toml`` (or ``HOST_PORT_``) is for
that registry and ``_default/hosts.toml`` for all that have none. Files are read anew when they have changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wherry.errors import InvalidParameter
from wherry.registry.files import Cached, parse_toml
from wherry.registry.mirror_rules import (
    API_PATH,
    CAPABILITIES,
    Location,
    MirrorRule,
    Source,
    parse_headers,
    parse_location,
)

HOST_KEYS = (
    "capabilities", "ca", "client", "skip_verify", "header", "override_path", "dial_timeout",
)  # fmt: skip
KNOWN_CAPABILITIES = ("pull", "resolve", "push", "referrers")  # the last two are of no consequence for a pull
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class HostsDirectories:
    """Some directories of hosts; the first that says something about a registry is believed."""

    def __init__(self, directories: Sequence[Path]) -> None:
        self._directories = tuple(directories)
        self._files: Cached[Mapping[str, Any]] = Cached(parse_toml)

    def rule_for(self, registry: str) -> MirrorRule | None:
        """The rule for a registry (``host[:port]``). Errors: ``InvalidParameter`` naming file and key."""
        for directory in self._directories:
            for folder in _folders(registry):
                path = directory / folder / "hosts.toml"
                document = self._files.get(path)
                if document is not None:
                    return parse_hosts(document, registry, path)
        return None

    def known(self) -> list[MirrorRule]:
        """The rules of all registries that have a file, for people to read. Errors: as ``rule_for``."""
        names = {
            _registry_of(path.parent.name)
            for directory in self._directories
            for path in sorted(directory.glob("*/hosts.toml"))
            if path.parent.name != "_default"
        }
        return [rule for name in sorted(names) if (rule := self.rule_for(name)) is not None]


def _folders(registry: str) -> list[str]:
    """containerd's order: ``host_port_`` for file systems without colons, then ``host:port``, then the default."""
    host, colon, port = registry.rpartition(":")
    named = [f"{host}_{port}_"] if colon and port.isdecimal() else []
    return [*named, registry, "_default"]


def _registry_of(folder: str) -> str:
    host, _, port = folder.rstrip("_").rpartition("_")
    return f"{host}:{port}" if folder.endswith("_") and port.isdecimal() else folder


def parse_hosts(document: Mapping[str, Any], registry: str, path: Path) -> MirrorRule:
    """The rule that a file states. Errors: ``InvalidParameter`` naming file and key."""
    try:
        return _parse(document, registry, path.parent, str(path))
    except InvalidParameter as error:
        raise InvalidParameter(f"{path}: {error}") from None


def _parse(document: Mapping[str, Any], registry: str, folder: Path, source: str) -> MirrorRule:
    _known(document, ("server", "host", *HOST_KEYS), "")
    hosts = document.get("host", {})
    if not isinstance(hosts, Mapping):
        raise InvalidParameter("must be tables", field="host")
    server = document.get("server")
    origin = None
    if server is not None or any(key in document for key in HOST_KEYS):
        named = str(server) if server is not None else registry
        own = {key: document[key] for key in HOST_KEYS if key in document}
        origin = _source(named, own, folder, "server", namespace=False)
    mirrors = tuple(
        _source(address, options, folder, f'host."{address}"', namespace=True) for address, options in hosts.items()
    )
    return MirrorRule(registry, mirrors, origin, source=source, is_default=folder.name == "_default")


def _source(address: str, options: Any, folder: Path, field: str, *, namespace: bool) -> Source:
    if not isinstance(options, Mapping):
        raise InvalidParameter("must be a table", field=field)
    _known(options, HOST_KEYS, f"{field}.")
    location, path = _address(address, field)
    api_path = path
    if not _flag(options, "override_path", field):
        api_path = path if path.endswith(API_PATH) else path + API_PATH
    return Source(
        location=location,
        capabilities=_capabilities(options, field),
        authorities=_authorities(options.get("ca"), folder, f"{field}.ca"),
        client_certificates=_client(options.get("client"), folder, f"{field}.client"),
        headers=parse_headers(options.get("header"), f"{field}.header"),
        api_path=api_path,
        namespace=namespace,
        skip_verify=_flag(options, "skip_verify", field),
        connect_seconds=_seconds(options.get("dial_timeout"), f"{field}.dial_timeout"),
    )


def _address(address: str, field: str) -> tuple[Location, str]:
    parts = urlsplit(address if "://" in address else f"https://{address}")
    if parts.query or parts.fragment or parts.username is not None:
        raise InvalidParameter("not a registry's address", field=field, value=parts.hostname, allowed="http[s]://host")
    location = parse_location(f"{parts.scheme}://{parts.netloc}", field)
    if {".", ".."} & set(parts.path.split("/")):
        raise InvalidParameter("not a path", field=field, value=parts.path)
    return location, parts.path.rstrip("/")


def _known(table: Mapping[str, Any], keys: Sequence[str], place: str) -> None:
    for key in table:
        if key not in keys:
            raise InvalidParameter("not supported", field=f"{place}{key}", allowed=f"one of {', '.join(keys)}")


def _flag(options: Mapping[str, Any], key: str, field: str) -> bool:
    value = options.get(key, False)
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", field=f"{field}.{key}", value=value)
    return value


def _capabilities(options: Mapping[str, Any], field: str) -> tuple[str, ...]:
    found = options.get("capabilities")
    if found is None:
        return CAPABILITIES
    if not isinstance(found, list) or any(name not in KNOWN_CAPABILITIES for name in found):
        allowed = f"a list of {', '.join(KNOWN_CAPABILITIES)}"
        raise InvalidParameter("unknown capability", field=f"{field}.capabilities", value=found, allowed=allowed)
    return tuple(name for name in CAPABILITIES if name in found)


def _authorities(value: Any, folder: Path, field: str) -> tuple[str, ...]:
    return tuple(
        _file(entry, folder, field) for entry in (value if isinstance(value, list) else [value] if value else [])
    )


def _client(value: Any, folder: Path, field: str) -> tuple[tuple[str, str], ...]:
    """One file with certificate and key, a list of such files, or a list of pairs of files."""
    entries = value if isinstance(value, list) else [value] if value else []
    pairs = []
    for entry in entries:
        pair = entry if isinstance(entry, list) else [entry, ""]
        if len(pair) != 2:
            raise InvalidParameter("must be pairs of certificate and key", field=field, value=value)
        certificate = _file(pair[0], folder, field)
        pairs.append((certificate, _file(pair[1], folder, field) if pair[1] else certificate))
    return tuple(pairs)


def _file(value: Any, folder: Path, field: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidParameter("must be a path", field=field, value=value)
    return str(folder / value)  # relative to the file, as containerd has it


def _seconds(value: Any, field: str) -> float | None:
    """A duration as Go writes it (``3s``, ``500ms``)."""
    if value is None:
        return None
    text = str(value)
    unit = next((unit for unit in ("ms", "s", "m") if text.endswith(unit)), "")
    number = text.removesuffix(unit)
    if not unit or not number.replace(".", "", 1).isdecimal() or float(number) <= 0:
        raise InvalidParameter("not a duration", field=field, value=text, allowed="such as 3s or 500ms")
    return float(number) * _UNITS[unit]
