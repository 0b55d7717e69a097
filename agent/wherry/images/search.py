"""``docker search``: what registries have, by their own search or, where they have none, by their catalogue."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from wherry.errors import InvalidParameter
from wherry.images.listing import check_names, flag
from wherry.registry import listing
from wherry.registry.client import Endpoint, RegistryClient
from wherry.registry.credentials import Credentials
from wherry.registry.errors import Missing
from wherry.registry.listing import Found
from wherry.registry.mirrors import Mirrors
from wherry.registry.transport import HttpClient

HUB, HUB_INDEX = "docker.io", "index.docker.io"
LIMIT_DEFAULT, LIMIT_MAX = 25, 100
FILTERS = ("is-automated", "is-official", "stars")


async def search(
    mirrors: Mirrors,
    http: HttpClient,
    term: str,
    *,
    limit: int = LIMIT_DEFAULT,
    filters: Mapping[str, Sequence[str]] | None = None,
    auth: Credentials | None = None,
) -> list[Found]:
    """Repositories whose name or description has the term, which may begin with a registry.

    Errors: ``InvalidParameter`` for bad filters and limits, ``Missing`` when the registry can neither be searched nor
    listed, ``AccessDenied``, ``Unreachable``.
    """
    test = _Test(filters or {})
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidParameter(f"limit {limit} is outside the range of [1, {LIMIT_MAX}]", field="limit")
    registry, name = split_term(term)
    endpoint = mirrors.endpoint_of(registry)
    if registry == HUB and mirrors.rule_for(HUB).origin is None:
        endpoint = replace(endpoint, authority=HUB_INDEX)  # its search is not where its images are
        name = name.removeprefix("library/")
    client = RegistryClient(http, endpoint, auth)
    found = await listing.search(client, name, limit)
    if found is None:
        found = await _listed(client, endpoint, registry, name)
    return [result for result in found if test.passes(result)][:limit]


async def _listed(client: RegistryClient, endpoint: Endpoint, registry: str, name: str) -> list[Found]:
    try:
        names = await listing.repositories(client)
    except Missing as error:
        raise Missing(f"{endpoint.authority} can neither be searched nor listed: {error}", error.code) from error
    # With the registry in front, as they can be pulled.
    return [Found(f"{registry}/{each}") for each in names if name.lower() in each.lower()]


def split_term(term: str) -> tuple[str, str]:
    """The registry and the rest of a search term, by the rule for names."""
    if not term or "://" in term:
        raise InvalidParameter("invalid search term", field="term", value=term, allowed="[registry/]words")
    head, slash, rest = term.partition("/")
    if slash and (any(sign in head for sign in ".:") or head == "localhost"):
        return (HUB if head == HUB_INDEX else head), rest
    return HUB, term


class _Test:
    """The filters of a search."""

    def __init__(self, filters: Mapping[str, Sequence[str]]) -> None:
        check_names(filters, FILTERS)
        self._official = flag(filters, "is-official")
        self._automated = flag(filters, "is-automated")
        self._stars = 0
        for text in filters.get("stars", ()):
            if not text.isdecimal() or len(text) > 9:
                raise InvalidParameter("invalid filter", field="stars", value=text, allowed="a whole number")
            self._stars = max(self._stars, int(text))

    def passes(self, result: Found) -> bool:
        return (
            self._official in (None, result.official)
            and self._automated in (None, result.automated)
            and result.stars >= self._stars
        )
