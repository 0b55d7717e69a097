"""Registry rules: from whom the images of a registry are asked, as an operator declares it.

A rule holds for every name that begins with its prefix; the longest prefix wins. In the name, the prefix is replaced
by the mirror's location, so a mirror can hold a registry, one team's part of it, or many registries side by side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.errors import InvalidParameter
from wherry.registry.credentials import Credentials
from wherry.registry.tls import PEM_BEGIN

CAPABILITIES = ("pull", "resolve")
RULE_KEYS = (
    "prefix",
    "mirrors",
    "location",
    "insecure",
    "ca",
    "username",
    "password",
    "fallback",
    "blocked",
    "token_hosts",
    "client_cert",
    "client_key",
    "headers",
    "api_path",
    "peers",
)
ORIGIN_KEYS = (
    "location",
    "insecure",
    "ca",
    "username",
    "password",
    "token_hosts",
    "client_cert",
    "client_key",
    "headers",
    "api_path",
)
MIRROR_KEYS = (*ORIGIN_KEYS, "capabilities")
API_PATH = "/v2"
PEER_PORT = 5055
HEADERS_OF_OURS = ("host", "content-length", "transfer-encoding", "connection", "accept", "range", "content-type")

_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::(?P<port>[0-9]{1,5}))?"
_PATH = r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*"
_LOCATION = re.compile(rf"(?:(?P<scheme>https?)://)?(?P<authority>{_HOST})(?P<path>{_PATH})/?")
_API_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\t -~]*")
_PREFIX = re.compile(rf"(?:\*\.)?{_HOST}{_PATH}")


@dataclass(frozen=True)
class Location:
    """A registry, or a folder in one. ``plain_http`` when the operator wrote ``http://``."""

    authority: str
    path: str = ""
    plain_http: bool = False

    def __str__(self) -> str:
        return ("http://" if self.plain_http else "") + self.authority + (f"/{self.path}" if self.path else "")


@dataclass(frozen=True)
class Source:
    """A place to ask, with all that asking it takes. ``capabilities`` are of a mirror: pull blobs, resolve tags.

    ``api_path`` stands before the repository's path; ``namespace`` tells a mirror in the query (``ns``) whose images it
    is asked for; ``skip_verify`` takes any certificate, where ``insecure`` takes plain HTTP too; ``tags_only`` is a
    mirror that is not asked when a name is pulled by digest; ``peer`` is another agent.
    """

    location: Location
    capabilities: tuple[str, ...] = CAPABILITIES
    insecure: bool = False
    ca: str = ""
    username: str = ""
    password: str = ""
    token_hosts: tuple[str, ...] = ()
    client_cert: str = ""
    client_key: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    api_path: str = API_PATH
    authorities: tuple[str, ...] = ()
    client_certificates: tuple[tuple[str, str], ...] = ()
    namespace: bool = False
    skip_verify: bool = False
    tags_only: bool = False
    peer: bool = False
    connect_seconds: float | None = None

    @property
    def credentials(self) -> Credentials | None:
        """The source's own credentials, if it has any."""
        return Credentials(self.username, self.password) if self.username else None


@dataclass(frozen=True)
class MirrorRule:
    """What holds for the names that begin with ``prefix``.

    ``mirrors`` are asked in order; ``origin`` tells what is special about the registry itself (another location,
    authority, credentials); without ``fallback`` it is never asked; ``blocked`` forbids the names altogether.
    ``peers`` are other agents (host[:port]) that may have the content; ``source`` is the file that the rule stands in,
    "" for one that was declared; ``is_default`` when that file is for all registries that nothing else speaks of.
    """

    prefix: str
    mirrors: tuple[Source, ...] = ()
    origin: Source | None = None
    fallback: bool = True
    blocked: bool = False
    peers: tuple[str, ...] = ()
    source: str = ""
    is_default: bool = False

    def matches(self, repository: str) -> bool:
        """Whether the rule holds for a full repository name such as ``docker.io/library/busybox``."""
        if self.prefix.startswith("*."):
            return repository.partition("/")[0].endswith(self.prefix[1:])
        return repository == self.prefix or repository.startswith(f"{self.prefix}/")

    def path_at(self, source: Source, repository: str) -> str:
        """The repository's path at a source: the prefix gives way to the source's own folder."""
        wild = self.prefix.startswith("*.")
        rest = repository.partition("/")[2] if wild else repository[len(self.prefix) :].lstrip("/")
        return "/".join(part for part in (source.location.path, rest) if part)


def parse_rule(body: Mapping[str, Any]) -> MirrorRule:
    """Reads a rule as users write it.

    Errors: ``InvalidParameter`` with the field, its value and what is allowed.
    """
    _known(body, RULE_KEYS, "")
    prefix = body.get("prefix")
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        allowed = "a registry's host[:port], with a path where the rule is for a part of it, or *.domain"
        raise InvalidParameter("not the beginning of an image name", field="prefix", value=prefix, allowed=allowed)
    mirrors = body.get("mirrors") or []
    if not isinstance(mirrors, list):
        raise InvalidParameter("must be a list", field="mirrors", value=mirrors)
    origin = None
    if any(body.get(key) for key in ORIGIN_KEYS):
        location = body.get("location") or prefix
        if location == prefix and prefix.startswith("*."):
            raise InvalidParameter("a prefix with * has no location of its own", field="prefix", value=prefix)
        origin = _source({key: body.get(key) for key in ORIGIN_KEYS} | {"location": location}, "")
    rule = MirrorRule(
        prefix=_normal_prefix(prefix),
        mirrors=tuple(_source(entry, f"mirrors[{number}]") for number, entry in enumerate(mirrors)),
        origin=origin,
        fallback=_flag(body, "fallback", True, ""),
        blocked=_flag(body, "blocked", False, ""),
        peers=_peers(body),
    )
    if rule.peers and prefix.startswith("*."):
        raise InvalidParameter("peers need a prefix without *", field="prefix", value=prefix)
    if not rule.fallback and not rule.mirrors and not rule.peers and not rule.blocked:
        raise InvalidParameter("nothing is left to ask without mirrors", field="fallback", value="false")
    return rule


def _peers(body: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    for number, peer in enumerate(_texts(body, "peers", "")):
        location = parse_location(peer, f"peers[{number}]")
        if location.path or location.plain_http or "://" in peer:
            allowed = "host or host:port of an agent that serves its images"
            raise InvalidParameter("not a peer", field=f"peers[{number}]", value=peer, allowed=allowed)
        found.append(location.authority)
    return tuple(dict.fromkeys(found))


def peer_source(peer: str, prefix: str) -> Source:
    """The source that a peer is: it has what it pulled under its full name, and is believed by digest only."""
    name = peer if re.search(r":[0-9]+\Z", peer) else f"{peer}:{PEER_PORT}"
    return Source(Location(name, prefix), capabilities=("pull",), peer=True)


def _normal_prefix(prefix: str) -> str:
    host, slash, rest = prefix.partition("/")
    return ("docker.io" if host in ("index.docker.io", "registry-1.docker.io") else host.lower()) + slash + rest


def parse_location(text: object, field: str) -> Location:
    """Reads ``[http[s]://]host[:port][/path]``."""
    match = _LOCATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or (match.group("port") and not 1 <= int(match.group("port")) <= 65535):
        raise InvalidParameter(
            "not a registry's address",
            field=field,
            value=text,
            allowed="[http[s]://]host[:port][/path], port 1 to 65535",
        )
    path = match.group("path").strip("/")
    return Location(match.group("authority").lower(), path, match.group("scheme") == "http")


def _source(entry: Any, field: str) -> Source:
    place = f"{field}." if field else ""
    if isinstance(entry, str):
        entry = {"location": entry}
    if not isinstance(entry, Mapping):
        raise InvalidParameter("must be an address or an object", field=field, value=entry)
    _known(entry, MIRROR_KEYS, place)
    username, password = _text(entry, "username", place), _text(entry, "password", place)
    if bool(username) != bool(password):
        missing = "password" if username else "username"
        raise InvalidParameter("username and password go together", field=f"{place}{missing}")
    return Source(
        location=parse_location(entry.get("location"), f"{place}location"),
        capabilities=_capabilities(entry, place),
        insecure=_flag(entry, "insecure", False, place),
        ca=_authority(entry, place),
        username=username,
        password=password,
        token_hosts=_texts(entry, "token_hosts", place),
        client_cert=_client_file(entry, "client_cert", "client_key", place),
        client_key=_client_file(entry, "client_key", "client_cert", place),
        headers=parse_headers(entry.get("headers"), f"{place}headers"),
        api_path=_api_path(entry, place),
    )


def _client_file(entry: Mapping[str, Any], key: str, other: str, place: str) -> str:
    """A path: a key does not travel in declarations, and is read anew when it was renewed."""
    value = _text(entry, key, place)
    if not value and _text(entry, other, place):
        raise InvalidParameter("client_cert and client_key go together", field=f"{place}{key}")
    if value and not (value.startswith("/") and Path(value).is_file()):
        allowed = "the absolute path of a PEM file on the host"
        raise InvalidParameter("no such file", field=f"{place}{key}", value=value, allowed=allowed)
    return value


def parse_headers(value: Any, field: str) -> tuple[tuple[str, str], ...]:
    """Headers that go along with each request to a source: names to values, or to lists of values.

    Errors: ``InvalidParameter`` for what would be another request when it is written out, or is the agent's to say.
    """
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidParameter("must be an object of names and values", field=field, value=value)
    found: list[tuple[str, str]] = []
    for name, given in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name) or name.lower() in HEADERS_OF_OURS:
            raise InvalidParameter("not a header that can be set", field=field, value=str(name))
        for text in given if isinstance(given, (list, tuple)) else [given]:
            if not isinstance(text, str) or not _HEADER_VALUE.fullmatch(text):
                raise InvalidParameter("not the value of a header", field=f"{field}.{name}", allowed="one line of text")
            found.append((name, text))
    return tuple(found)


def _api_path(entry: Mapping[str, Any], place: str) -> str:
    value = _text(entry, "api_path", place).rstrip("/")
    if value and (not _API_PATH.fullmatch(value) or {".", ".."} & set(value.split("/"))):
        raise InvalidParameter("not a path", field=f"{place}api_path", value=value, allowed="such as /v2 or /proxy/v2")
    return value or API_PATH


def _capabilities(entry: Mapping[str, Any], place: str) -> tuple[str, ...]:
    found = _texts(entry, "capabilities", place) or CAPABILITIES
    for name in found:
        if name not in CAPABILITIES:
            raise InvalidParameter(
                "unknown capability", field=f"{place}capabilities", value=name, allowed="pull and resolve are known"
            )
    return tuple(name for name in CAPABILITIES if name in found)


def _authority(entry: Mapping[str, Any], place: str) -> str:
    ca = _text(entry, "ca", place)
    if ca and not ca.startswith(PEM_BEGIN):
        if not ca.startswith("/"):
            allowed = "an absolute path of a PEM file on the host, or the PEM text itself"
            raise InvalidParameter("not a certificate", field=f"{place}ca", value=ca, allowed=allowed)
        if not Path(ca).is_file():
            raise InvalidParameter("no such file on the host", field=f"{place}ca", value=ca)
    return ca


def _known(body: Mapping[str, Any], keys: tuple[str, ...], place: str) -> None:
    for key in body:
        if key not in keys:
            raise InvalidParameter("unknown option", field=f"{place}{key}", allowed=f"known are {', '.join(keys)}")


def _flag(body: Mapping[str, Any], key: str, default: bool, place: str) -> bool:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", field=f"{place}{key}", value=value)
    return value


def _text(body: Mapping[str, Any], key: str, place: str) -> str:
    value = body.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidParameter("must be a text", field=f"{place}{key}")
    return value


def _texts(body: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = body.get(key)
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise InvalidParameter("must be a list of texts", field=f"{place}{key}", value=value)
    return tuple(value)


def rule_json(rule: MirrorRule, *, secrets: bool) -> dict[str, Any]:
    """The rule in the form that ``parse_rule`` reads; without ``secrets`` a password shows as ``********``."""
    body: dict[str, Any] = {"prefix": rule.prefix}
    if rule.origin is not None:
        origin = _source_json(rule.origin, secrets)
        if origin["location"] == rule.prefix:
            del origin["location"]
        body |= origin
    body["mirrors"] = [_source_json(mirror, secrets) for mirror in rule.mirrors]
    body["fallback"] = rule.fallback
    body["blocked"] = rule.blocked
    if rule.peers:
        body["peers"] = list(rule.peers)
    for mirror, source in zip(body["mirrors"], rule.mirrors, strict=True):
        mirror["capabilities"] = list(source.capabilities)
    return body


def _source_json(source: Source, secrets: bool) -> dict[str, Any]:
    body: dict[str, Any] = {"location": str(source.location)}
    if source.insecure:
        body["insecure"] = True
    if source.ca:
        body["ca"] = source.ca
    if source.username:
        body |= {"username": source.username, "password": source.password if secrets else "********"}
    if source.token_hosts:
        body["token_hosts"] = list(source.token_hosts)
    if source.client_cert:
        body |= {"client_cert": source.client_cert, "client_key": source.client_key}
    if source.headers:
        body["headers"] = _headers_json(source.headers, secrets)
    if source.api_path != API_PATH:
        body["api_path"] = source.api_path
    return body


def _headers_json(headers: tuple[tuple[str, str], ...], secrets: bool) -> dict[str, list[str]]:
    """Values may be secrets (Authorization), so they are not shown either."""
    body: dict[str, list[str]] = {}
    for name, value in headers:
        body.setdefault(name, []).append(value if secrets else "********")
    return body
