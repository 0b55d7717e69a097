"""What a registry has: tags of a repository, repositories, and the search of registries that offer one.

Sources: OCI distribution-spec 1.1, "Listing Tags"; Docker's registry API v2, "Catalog", and index API v1, "Search".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from wherry.errors import InvalidParameter
from wherry.registry import url as urls
from wherry.registry.client import RegistryClient
from wherry.registry.documents import read_object
from wherry.registry.errors import AccessDenied, BadAnswer, Refused

PAGE = 1000  # names asked for at a time; a registry may give fewer
PAGES_MAX = 200
PAGE_BYTES_MAX = 4 * 1024 * 1024
_NEXT = re.compile(r'<([^>]*)>\s*;[^,]*\brel="?next"?')


@dataclass(frozen=True)
class Found:
    """One repository that a search has found."""

    name: str
    description: str = ""
    stars: int = 0
    official: bool = False
    automated: bool = False


async def tags(client: RegistryClient, repository: str) -> list[str]:
    """All tags of a repository, in the registry's order.

    Errors: ``Missing`` when there is no such repository, and those of every request.
    """
    return await _pages(client, f"/v2/{repository}/tags/list", f"repository:{repository}:pull", "tags")


async def repositories(client: RegistryClient) -> list[str]:
    """All repositories of a registry that tells. Errors: ``Missing`` or ``AccessDenied`` where it does not."""
    return await _pages(client, "/v2/_catalog", "registry:catalog:*", "repositories")


async def _pages(client: RegistryClient, path: str, scope: str, key: str) -> list[str]:
    found: list[str] = []
    page: str | urls.Url = f"{path}?n={PAGE}"
    for _ in range(PAGES_MAX):
        answer = await client.request("GET", page, scope=scope)
        if answer.status != 200:
            raise await client.failure(answer)
        found += _names(await answer.read(PAGE_BYTES_MAX), key, str(answer.url))
        link = _NEXT.search(answer.headers.get("link", ""))
        if link is None:
            return found
        page = urls.join(answer.url, link[1])
        if page.origin != answer.url.origin:
            raise Refused(f"{answer.url}: refused to go on at {page}")
    raise BadAnswer(f"{client.base}: a list of more than {PAGES_MAX} pages")


def _names(data: bytes, key: str, place: str) -> list[str]:
    try:
        names = read_object(data).get(key) or []
    except InvalidParameter as error:
        raise BadAnswer(f"{place}: {error}") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadAnswer(f"{place}: {key} must be a list of names")
    return names


async def search(client: RegistryClient, term: str, limit: int) -> list[Found] | None:
    """The registry's own search (v1), best first; ``None`` where it has none.

    Errors: ``AccessDenied``, ``Unreachable``.
    """
    query = urlencode({"q": term, "n": limit})
    answer = await client.request("GET", f"/v1/search?{query}", scope="")
    if answer.status in (401, 403):
        error = await client.failure(answer)
        raise error if isinstance(error, AccessDenied) else AccessDenied(str(error))
    if answer.status != 200:
        await answer.discard()
        return None
    try:
        results = read_object(await answer.read(PAGE_BYTES_MAX)).get("results")
    except InvalidParameter:
        return None  # a page for people
    return [_found(entry) for entry in results if isinstance(entry, dict)] if isinstance(results, list) else None


def _found(entry: dict[str, Any]) -> Found:
    stars = entry.get("star_count")
    return Found(
        name=_text(entry.get("name")),
        description=_text(entry.get("description")),
        stars=stars if isinstance(stars, int) and not isinstance(stars, bool) else 0,
        official=entry.get("is_official") is True,
        automated=entry.get("is_automated") is True,
    )


def _text(value: object) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in value) if isinstance(value, str) else ""
