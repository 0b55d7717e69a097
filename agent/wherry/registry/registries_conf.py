"""``registries.conf`` version 2 of podman, skopeo and buildah, read as it is, with the drop-ins beside it.

Source: containers-registries.conf(5). Drop-ins are ``registries.conf.d/*.conf`` in the order of their names; a
registry table there replaces the one of the same prefix. What is about names without a registry has no use here, since
such names are docker.io's as Docker has them: those keys are named in a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherry.errors import InvalidParameter
from wherry.registry.files import Cached, parse_toml
from wherry.registry.mirror_rules import CAPABILITIES, MirrorRule, Source, parse_location, parse_rule

TABLE_KEYS = ("prefix", "location", "insecure", "blocked", "mirror", "mirror-by-digest-only")
MIRROR_KEYS = ("location", "insecure", "pull-from-mirror")
WITHOUT_EFFECT = {
    "unqualified-search-registries": "names without a registry are docker.io's",
    "short-name-mode": "names without a registry are docker.io's",
    "aliases": "names without a registry are docker.io's",
    "credential-helpers": "credential helpers stand in config.json",
    "additional-layer-store-auth-helper": "there are no additional layer stores",
}
PULLS = ("all", "digest-only", "tag-only")

log = logging.getLogger(__name__)


class RegistriesConf:
    """The rules in one ``registries.conf`` and its drop-ins."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: Cached[tuple[MirrorRule, ...]] = Cached(_read)

    def rules(self) -> dict[str, MirrorRule]:
        """The rules by prefix. Errors: ``InvalidParameter`` naming file, table and key."""
        found: dict[str, MirrorRule] = {}
        for path in (self._path, *sorted(self._path.with_name(f"{self._path.name}.d").glob("*.conf"))):
            for rule in self._files.get(path) or ():
                found[rule.prefix] = rule
        return found


def _read(path: Path, data: bytes) -> tuple[MirrorRule, ...]:
    try:
        return parse_registries(parse_toml(path, data), str(path))
    except InvalidParameter as error:
        raise InvalidParameter(f"{path}: {error}") from None


def parse_registries(document: Mapping[str, Any], source: str = "") -> tuple[MirrorRule, ...]:
    """The rules of a document. Errors: ``InvalidParameter`` naming table and key."""
    if "registries" in document:
        raise InvalidParameter("version 1 of this file is not supported", field="registries", allowed="[[registry]]")
    for key in document:
        if key in WITHOUT_EFFECT:
            if document[key] not in ([], {}, ""):
                log.warning("%s: %s is not followed: %s", source, key, WITHOUT_EFFECT[key])
        elif key != "registry":
            raise InvalidParameter("not supported", field=key, allowed="[[registry]] tables")
    tables = document.get("registry", [])
    if not isinstance(tables, list):
        raise InvalidParameter("must be tables, [[registry]]", field="registry")
    return tuple(_rule(table, f"registry[{number}]", source) for number, table in enumerate(tables))


def _rule(table: Any, field: str, source: str) -> MirrorRule:
    _known(table, TABLE_KEYS, field)
    location = _text(table, "location", field)
    prefix = _text(table, "prefix", field) or location
    if not prefix:
        raise InvalidParameter("prefix or location is required", field=field)
    body: dict[str, Any] = {"prefix": prefix, "blocked": _flag(table, "blocked", field)}
    if location and location != prefix:
        body["location"] = location
    if _flag(table, "insecure", field):
        body["insecure"] = True
    try:
        rule = parse_rule(body)
    except InvalidParameter as error:
        raise InvalidParameter(error.message, field=f"{field}.{error.field}", value=error.value) from None
    entries = table.get("mirror", [])
    if not isinstance(entries, list):
        raise InvalidParameter("must be tables, [[registry.mirror]]", field=f"{field}.mirror")
    by_digest = _flag(table, "mirror-by-digest-only", field)
    mirrors = tuple(_mirror(entry, f"{field}.mirror[{n}]", by_digest) for n, entry in enumerate(entries))
    return MirrorRule(rule.prefix, mirrors, rule.origin, rule.fallback, rule.blocked, source=source)


def _mirror(entry: Any, field: str, by_digest: bool) -> Source:
    _known(entry, MIRROR_KEYS, field)
    pulls = entry.get("pull-from-mirror", "digest-only" if by_digest else "all")
    if pulls not in PULLS:
        raise InvalidParameter(
            "unknown", field=f"{field}.pull-from-mirror", value=pulls, allowed=f"one of {', '.join(PULLS)}"
        )
    if by_digest and "pull-from-mirror" in entry:
        raise InvalidParameter("not together with mirror-by-digest-only", field=f"{field}.pull-from-mirror")
    return Source(
        location=parse_location(_text(entry, "location", field), f"{field}.location"),
        capabilities=("pull",) if pulls == "digest-only" else CAPABILITIES,
        insecure=_flag(entry, "insecure", field),
        tags_only=pulls == "tag-only",
    )


def _known(table: Any, keys: tuple[str, ...], field: str) -> None:
    if not isinstance(table, Mapping):
        raise InvalidParameter("must be a table", field=field, value=table)
    for key in table:
        if key not in keys:
            raise InvalidParameter("not supported", field=f"{field}.{key}", allowed=f"one of {', '.join(keys)}")


def _text(table: Mapping[str, Any], key: str, field: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str):
        raise InvalidParameter("must be a text", field=f"{field}.{key}", value=value)
    return value


def _flag(table: Mapping[str, Any], key: str, field: str) -> bool:
    value = table.get(key, False)
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", field=f"{field}.{key}", value=value)
    return value
