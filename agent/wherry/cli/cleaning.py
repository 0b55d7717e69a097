"""``wherry prune``: says what images nobody needs; removes them only when told to."""

from __future__ import annotations

import argparse
import json
from typing import Any

from wherry.cli.table import size
from wherry.errors import InvalidParameter

Subparsers = Any  # argparse's own class for this has no public name


def add_parser(subparsers: Subparsers) -> None:
    """Adds the command."""
    prune = subparsers.add_parser("prune", help="images that nothing uses: say which, and remove them with --yes")
    prune.add_argument("-a", "--all", action="store_true", help="also those that have a name")
    prune.add_argument(
        "--filter", action="append", default=[], metavar="KEY=VALUE", help="until=24h, label=key[=value], label!=key"
    )
    prune.add_argument("-y", "--yes", action="store_true", help="remove them")
    prune.set_defaults(run=_prune)


def _prune(arguments: argparse.Namespace) -> int:
    filters = json.dumps(_filters(arguments.filter, arguments.all))
    if arguments.yes:
        found = arguments.client.request("POST", "/images/prune", query={"filters": filters})
    else:
        found = arguments.client.get("/wherry/v1/images/unused", filters=filters)
    for entry in found["ImagesDeleted"] or ():
        for what, name in entry.items():
            print(f"{what}: {name}")
    verb = "reclaimed" if arguments.yes else "would be reclaimed (--yes removes them)"
    print(f"{size(found['SpaceReclaimed'])} {verb}")
    return 0


def _filters(texts: list[str], everything: bool) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"dangling": ["false" if everything else "true"]}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals:
            raise InvalidParameter("is not a filter", field="filter", value=text, allowed="key=value")
        found.setdefault(key, []).append(value)
    return found
