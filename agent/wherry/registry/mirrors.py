"""Which endpoints are asked for an image, in which order, and which are passed over because they were dead lately."""

from __future__ import annotations

import ipaddress
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from wherry.errors import Forbidden, InvalidParameter
from wherry.registry.client import Endpoint
from wherry.registry.credentials import Credentials
from wherry.registry.mirror_rules import Location, MirrorRule, Source, parse_location, parse_rule, rule_json
from wherry.registry.tls import TlsSettings, read_certificate_directories
from wherry.registry.transport import Timeouts
from wherry.registry.url import is_loopback

HUB = "docker.io"
HUB_AUTHORITY = "registry-1.docker.io"
DEAD_SECONDS = 30.0
MIRROR_TIMEOUTS = Timeouts(connect=2.0, answer=10.0, idle=15.0)
MIRROR_ATTEMPTS = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RegistrySettings:
    """What the configuration says about registries."""

    hub_mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    certificate_directories: tuple[Path, ...] = ()
    max_attempts: int = 5


@dataclass(frozen=True)
class Candidate:
    """An endpoint that may have the image: where, under which path, and with whose credentials."""

    endpoint: Endpoint
    path: str
    credentials: Credentials | None
    mirror: bool
    capabilities: tuple[str, ...]

    @property
    def name(self) -> str:
        """How people are told of it."""
        return self.endpoint.authority


class Storage(Protocol):
    """Where rules are kept; ``wherry.state.mirrors`` has it. A document is JSON text."""

    def load(self) -> list[str]:
        """All documents."""

    def save(self, prefix: str, document: str) -> None:
        """Writes one."""

    def remove(self, prefix: str) -> None:
        """Removes one."""


@dataclass
class _Health:
    dead_until: dict[str, float] = field(default_factory=dict)


class Mirrors:
    """The rules, effective at once when they change, and the health of the mirrors."""

    def __init__(self, settings: RegistrySettings, storage: Storage) -> None:
        self._settings = settings
        self._storage = storage
        self._health = _Health()
        self._rules: dict[str, MirrorRule] = {}
        for document in storage.load():
            rule = _read_stored(document)
            if rule is not None:
                self._rules[rule.prefix] = rule
        self._hub_mirrors = tuple(
            Source(parse_location(address, f"registry-mirrors[{number}]"))
            for number, address in enumerate(settings.hub_mirrors)
        )

    def list(self) -> Sequence[MirrorRule]:
        """All rules, by prefix."""
        return [self._rules[prefix] for prefix in sorted(self._rules)]

    def get(self, prefix: str) -> MirrorRule | None:
        """The rule of exactly this prefix."""
        return self._rules.get(prefix)

    def set(self, rule: MirrorRule | Mapping[str, Any]) -> MirrorRule:
        """Declares a rule, in place of the one of the same prefix; holds from the next request on.

        Errors: ``InvalidParameter`` with field, value and what is allowed; nothing has changed then.
        """
        made = rule if isinstance(rule, MirrorRule) else parse_rule(rule)
        self._storage.save(made.prefix, json.dumps(rule_json(made, secrets=True)))
        self._rules[made.prefix] = made
        self._health.dead_until.clear()
        return made

    def remove(self, prefix: str) -> bool:
        """Removes the rule of this prefix; whether there was one."""
        if prefix not in self._rules:
            return False
        self._storage.remove(prefix)
        del self._rules[prefix]
        return True

    def rule_for(self, repository: str) -> MirrorRule | None:
        """The rule with the longest prefix that holds for a full repository name."""
        found = [rule for rule in self._rules.values() if rule.matches(repository)]
        return max(found, key=lambda rule: (not rule.prefix.startswith("*."), len(rule.prefix)), default=None)

    def candidates(self, repository: str, credentials: Credentials | None) -> Sequence[Candidate]:
        """The endpoints for a full repository name, in the order of asking.

        ``credentials`` were given for the registry itself and are never shown to a mirror.
        Errors: ``Forbidden`` when a rule blocks the name.
        """
        rule = self.rule_for(repository) or MirrorRule(prefix=repository.partition("/")[0])
        if rule.blocked:
            raise Forbidden(f"{repository} is blocked by the registry rule for {rule.prefix}")
        mirrors = rule.mirrors
        if not mirrors and rule.prefix == HUB:
            mirrors = self._hub_mirrors
        found = [self._candidate(source, rule.path_at(source, repository)) for source in mirrors]
        found = sorted(found, key=self._is_dead)  # stable: the dead are asked last, when all others have failed
        return [*found, self._origin(rule, repository, credentials)] if rule.fallback else found

    def endpoint_of(self, registry: str) -> Endpoint:
        """The endpoint of a registry itself, for a login."""
        rule = self.rule_for(registry) or MirrorRule(prefix=registry)
        return self._origin(rule, registry, None).endpoint

    def origin(self, repository: str, credentials: Credentials | None) -> Candidate:
        """The registry itself, where a push goes; mirrors are never pushed to.

        Errors: ``Forbidden`` when a rule blocks the name.
        """
        rule = self.rule_for(repository) or MirrorRule(prefix=repository.partition("/")[0])
        if rule.blocked:
            raise Forbidden(f"{repository} is blocked by the registry rule for {rule.prefix}")
        return self._origin(rule, repository, credentials)

    def _origin(self, rule: MirrorRule, repository: str, credentials: Credentials | None) -> Candidate:
        domain, _, path = repository.partition("/")
        origin = rule.origin
        if origin is None:
            authority = HUB_AUTHORITY if domain == HUB else domain
            origin = Source(Location(authority))
        else:
            path = rule.path_at(origin, repository)
            if origin.location.authority == HUB:
                hub = Location(HUB_AUTHORITY)
                origin = Source(hub, origin.capabilities, origin.insecure, origin.ca, origin.username, origin.password)
        made = self._candidate(origin, path)
        endpoint = Endpoint(
            authority=made.endpoint.authority,
            insecure=made.endpoint.insecure,
            plain_http=made.endpoint.plain_http,
            settings=made.endpoint.settings,
            token_hosts=made.endpoint.token_hosts,
            attempts=self._settings.max_attempts,
        )
        return Candidate(endpoint, path, credentials or made.credentials, False, made.capabilities)

    def _candidate(self, source: Source, path: str) -> Candidate:
        authority = source.location.authority
        insecure = source.insecure or source.location.plain_http or self._is_insecure(authority)
        found = read_certificate_directories(self._settings.certificate_directories, authority)
        authorities = (*found.authorities, source.ca) if source.ca else found.authorities
        endpoint = Endpoint(
            authority=authority,
            insecure=insecure,
            plain_http=source.location.plain_http,
            settings=TlsSettings(not insecure, authorities, found.client_certificates),
            timeouts=MIRROR_TIMEOUTS,
            token_hosts=source.token_hosts,
            attempts=MIRROR_ATTEMPTS,
        )
        return Candidate(endpoint, path, source.credentials, True, source.capabilities)

    def _is_insecure(self, authority: str) -> bool:
        """Whether plain HTTP and unverified TLS are allowed: for loopback always, as Docker has it."""
        host = authority.rpartition(":")[0] if authority.rpartition(":")[2].isdecimal() else authority
        host = host.strip("[]")
        return is_loopback(host) or any(_covers(entry, authority, host) for entry in self._settings.insecure)

    def _is_dead(self, candidate: Candidate) -> bool:
        return self._health.dead_until.get(candidate.name, 0.0) > time.monotonic()

    def passed_over(self, candidate: Candidate) -> bool:
        """Whether a mirror failed so lately that it is not asked while there is another."""
        return candidate.mirror and self._is_dead(candidate)

    def note_dead(self, candidate: Candidate, reason: str) -> None:
        """Remembers that a mirror does not answer."""
        if candidate.mirror:
            log.warning("mirror %s does not answer, passed over for %g s: %s", candidate.name, DEAD_SECONDS, reason)
            self._health.dead_until[candidate.name] = time.monotonic() + DEAD_SECONDS

    def note_alive(self, candidate: Candidate) -> None:
        """Remembers that an endpoint answers."""
        self._health.dead_until.pop(candidate.name, None)


def _covers(entry: str, authority: str, host: str) -> bool:
    if entry in (authority, host):
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False


def _read_stored(document: str) -> MirrorRule | None:
    """A stored rule; one that no longer holds (its certificate file is gone) is reported and left out."""
    try:
        return parse_rule(json.loads(document))
    except (InvalidParameter, ValueError) as error:
        log.error("a stored registry rule is not usable and is ignored: %s", error)
        return None


def resolvers(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that may say what a tag means."""
    return [candidate for candidate in candidates if "resolve" in candidate.capabilities]


def pullers(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Those that may be asked for content by digest."""
    return [candidate for candidate in candidates if "pull" in candidate.capabilities]
