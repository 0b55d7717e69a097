"""Filters of lists and prunes of volumes, as the Engine API names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from wherry.errors import InvalidParameter
from wherry.volumes.model import LOCAL_DRIVER, LOCAL_SCOPE, Volume

Filters = Mapping[str, Sequence[str]]

LIST_FILTERS = ("dangling", "driver", "label", "label!", "name", "scope")
PRUNE_FILTERS = ("all", "label", "label!")
_TRUE, _FALSE = frozenset({"1", "true", "True", "t"}), frozenset({"0", "false", "False", "f"})


def matches(volume: Volume, filters: Filters, *, in_use: bool) -> bool:
    """Whether a volume passes all filters; of several values for one filter any will do, labels must all be there."""
    _check(filters, LIST_FILTERS)
    tests = {
        "name": any(value in volume.name for value in filters.get("name", ())),
        "driver": volume.driver in filters.get("driver", ()),
        "scope": LOCAL_SCOPE in filters.get("scope", ()),
        "dangling": any(_flag("dangling", value) == (not in_use) for value in filters.get("dangling", ())),
    }
    return all(passed for name, passed in tests.items() if filters.get(name)) and _labels_match(volume, filters)


def prunes(volume: Volume, filters: Filters, *, named_too: bool) -> bool:
    """Whether a prune with these filters takes the volume, if it is unused.

    As in Docker never one of the driver local with options: what it shows lies elsewhere, and is somebody's.
    """
    _check(filters, PRUNE_FILTERS)
    if volume.driver == LOCAL_DRIVER and volume.options:
        return False
    everything = named_too or any(_flag("all", value) for value in filters.get("all", ()))
    return (everything or volume.anonymous) and _labels_match(volume, filters)


def _check(filters: Filters, known: Sequence[str]) -> None:
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"invalid filter '{name}'")


def _flag(name: str, value: str) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise InvalidParameter(f"invalid filter '{name}={value}'", allowed="true or false")


def _labels_match(volume: Volume, filters: Filters) -> bool:
    wanted, unwanted = filters.get("label", ()), filters.get("label!", ())
    return all(_has(volume, text) for text in wanted) and not any(_has(volume, text) for text in unwanted)


def _has(volume: Volume, text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in volume.labels and (not equals or volume.labels[key] == value)
