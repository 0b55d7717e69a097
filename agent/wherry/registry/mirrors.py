"""Which endpoints are asked for an image, in which order, and which are passed over because they were dead lately."""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from wherry.errors import Forbidden, InvalidParameter
from wherry.registry.auth import CredentialFinder
from wherry.registry.client import Endpoint
from wherry.registry.credential_store import CredentialStore
from wherry.registry.credentials import Credentials, registry_of_address
from wherry.registry.hosts_toml import HostsDirectories
from wherry.registry.mirror_rules import (
    Location,
    MirrorRule,
    Source,
    parse_location,
    parse_rule,
    peer_source,
    rule_json,
)
from wherry.registry.registries_conf import RegistriesConf
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
    registries_conf: Path | None = None
    credentials: CredentialStore | None = None
    peer_authorities: tuple[str, ...] = ()
    peer_certificates: tuple[tuple[str, str], ...] = ()
    max_attempts: int = 5


@dataclass(frozen=True)
class Candidate:
    """An endpoint that may have the image: where, under which path, and with whose credentials."""

    endpoint: Endpoint
    path: str
    credentials: Credentials | None
    mirror: bool
    capabilities: tuple[str, ...]
    peer: bool = False

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
        self._hosts = HostsDirectories(settings.certificate_directories)
        self._conf = RegistriesConf(settings.registries_conf) if settings.registries_conf else None
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
        self.check(made)
        self._storage.save(made.prefix, json.dumps(rule_json(made, secrets=True)))
        self._rules[made.prefix] = made
        self._health.dead_until.clear()
        return made

    def check(self, rule: MirrorRule) -> None:
        """Refuses what this agent is not set up for. Errors: ``InvalidParameter``."""
        if rule.peers and not (self._settings.peer_authorities and self._settings.peer_certificates):
            raise InvalidParameter(
                "the agent has no certificate to show to peers",
                field="peers",
                allowed="once serve-cacert, serve-cert and serve-key stand in its configuration",
            )

    def remove(self, prefix: str) -> bool:
        """Removes the rule of this prefix; whether there was one."""
        if prefix not in self._rules:
            return False
        self._storage.remove(prefix)
        del self._rules[prefix]
        return True

    def rule_for(self, repository: str) -> MirrorRule:
        """The rule that holds for a full repository name: that of the longest prefix, wherever it stands.

        Of rules with the same prefix a declared one comes first, then hosts.toml, then registries.conf; ``_default`` of
        the first is for registries that nothing else speaks of.
        Errors: ``InvalidParameter`` when one of the files is wrong: an operator's block must not fail open.
        """
        registry = repository.partition("/")[0]
        of_hosts = self._hosts.rule_for(registry)
        known = self._conf.rules() if self._conf else {}
        named = {of_hosts.prefix: of_hosts} if of_hosts and not of_hosts.is_default else {}
        found = [rule for rule in {**known, **named, **self._rules}.values() if rule.matches(repository)]
        best = max(found, key=lambda rule: (not rule.prefix.startswith("*."), len(rule.prefix)), default=None)
        return best or of_hosts or MirrorRule(prefix=registry)

    def effective(self) -> Sequence[MirrorRule]:
        """All rules that hold, by prefix, with those of files. Errors: as ``rule_for``."""
        found = {**(self._conf.rules() if self._conf else {})}
        found |= {rule.prefix: rule for rule in self._hosts.known()}
        found |= self._rules
        if self._hub_mirrors and not (HUB in found and found[HUB].mirrors):
            known = found.get(HUB, MirrorRule(HUB, source="registry-mirrors"))
            found[HUB] = replace(known, mirrors=self._hub_mirrors)
        return [found[prefix] for prefix in sorted(found)]

    def candidates(
        self, repository: str, credentials: Credentials | None, *, by_digest: bool = False
    ) -> Sequence[Candidate]:
        """The endpoints for a full repository name, in the order of asking: peers, mirrors, the registry itself.

        ``credentials`` were given for the registry itself and are never shown to a mirror. ``by_digest`` when the name
        that is pulled has a digest: some mirrors are for tags only.
        Errors: ``Forbidden`` when a rule blocks the name.
        """
        rule = self.rule_for(repository)
        if rule.blocked:
            raise Forbidden(f"{repository} is blocked by the registry rule for {rule.prefix}{_stands_in(rule)}")
        mirrors = rule.mirrors
        if not mirrors and rule.prefix == HUB:
            mirrors = self._hub_mirrors
        # Each agent asks its peers in another order, so that not all of a fleet run to the same one.
        peers = [peer_source(peer, rule.prefix) for peer in random.sample(rule.peers, len(rule.peers))]
        sources = [source for source in (*peers, *mirrors) if not (by_digest and source.tags_only)]
        found = [self._candidate(source, rule.path_at(source, repository), repository) for source in sources]
        found = sorted(found, key=self._is_dead)  # stable: the dead are asked last, when all others have failed
        return [*found, self._origin(rule, repository, credentials)] if rule.fallback else found

    def endpoint_of(self, registry: str) -> Endpoint:
        """The endpoint of a registry itself, for a login: it looks for no credentials but those that it is given."""
        return replace(self._origin(self.rule_for(registry), registry, None).endpoint, find_credentials=None)

    def origin(self, repository: str, credentials: Credentials | None) -> Candidate:
        """The registry itself, where a push goes; mirrors are never pushed to.

        Errors: ``Forbidden`` when a rule blocks the name.
        """
        rule = self.rule_for(repository)
        if rule.blocked:
            raise Forbidden(f"{repository} is blocked by the registry rule for {rule.prefix}{_stands_in(rule)}")
        return self._origin(rule, repository, credentials)

    def _origin(self, rule: MirrorRule, repository: str, credentials: Credentials | None) -> Candidate:
        domain, _, path = repository.partition("/")
        origin = rule.origin
        if origin is None:
            origin = Source(Location(HUB_AUTHORITY if domain == HUB else domain))
        else:
            path = rule.path_at(origin, repository)
            if origin.location.authority == HUB:
                origin = replace(origin, location=Location(HUB_AUTHORITY))
        made = self._candidate(origin, path, repository)
        endpoint = replace(made.endpoint, timeouts=Timeouts(), attempts=self._settings.max_attempts)
        return Candidate(endpoint, path, credentials or made.credentials, False, made.capabilities)

    def _candidate(self, source: Source, path: str, repository: str) -> Candidate:
        authority = source.location.authority
        insecure = not source.peer and (source.insecure or source.location.plain_http or self._is_insecure(authority))
        endpoint = Endpoint(
            authority=authority,
            insecure=insecure,
            plain_http=source.location.plain_http,
            settings=self._tls(source, verify=not insecure and not source.skip_verify),
            timeouts=replace(MIRROR_TIMEOUTS, connect=source.connect_seconds or MIRROR_TIMEOUTS.connect),
            token_hosts=source.token_hosts,
            attempts=MIRROR_ATTEMPTS,
            api_path=source.api_path,
            namespace=repository.partition("/")[0] if source.namespace else "",
            headers=source.headers,
            direct=source.peer,
            find_credentials=None if source.peer else self._finder(authority, path),
        )
        return Candidate(endpoint, path, source.credentials, True, source.capabilities, source.peer)

    def _tls(self, source: Source, *, verify: bool) -> TlsSettings:
        if source.peer:
            return TlsSettings(True, self._settings.peer_authorities, self._settings.peer_certificates, system=False)
        found = read_certificate_directories(self._settings.certificate_directories, source.location.authority)
        own = ((source.client_cert, source.client_key),) if source.client_cert else ()
        return TlsSettings(
            verify,
            (*found.authorities, *((source.ca,) if source.ca else ()), *source.authorities),
            (*found.client_certificates, *own, *source.client_certificates),
        )

    def _finder(self, authority: str, path: str) -> CredentialFinder | None:
        """Looks up what is kept for whoever is asked, by the host that it goes to."""
        store = self._settings.credentials
        if store is None:
            return None
        return functools.partial(store.find, "/".join(part for part in (registry_of_address(authority), path) if part))

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


def _stands_in(rule: MirrorRule) -> str:
    return f" in {rule.source}" if rule.source else ""


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
