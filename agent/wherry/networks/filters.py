"""Filters of lists and prunes of networks, as the Engine API names them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone

from wherry.errors import InvalidParameter
from wherry.networks.model import Network

Filters = Mapping[str, Sequence[str]]

LIST_FILTERS = ("dangling", "driver", "id", "label", "label!", "name", "scope", "type")
PRUNE_FILTERS = ("label", "label!", "until")
_TRUE, _FALSE = frozenset({"1", "true", "True", "t"}), frozenset({"0", "false", "False", "f"})
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?")


def check(filters: Filters, known: Sequence[str]) -> None:
    """Refuses filters that nobody knows, in Docker's words."""
    for name in filters:
        if name not in known:
            raise InvalidParameter(f"invalid filter '{name}'")


def matches(network: Network, filters: Filters, *, in_use: bool) -> bool:
    """Whether a network passes all filters; of several values for one filter any will do, labels must all be there."""
    check(filters, LIST_FILTERS)
    tests: dict[str, Callable[[str], bool]] = {
        "driver": lambda value: network.driver == value,
        "id": network.id.startswith,
        "name": lambda value: value in network.name,
        "scope": lambda value: value == "local",
        "type": lambda value: _type_matches(network, value),
        "dangling": lambda value: flag("dangling", value) == (not in_use and not network.predefined),
    }
    for name, test in tests.items():
        values = filters.get(name, ())
        if values and not any(test(value) for value in values):
            return False
    return labels_match(network.spec.labels, filters)


def prunes(network: Network, filters: Filters) -> bool:
    """Whether a prune with these filters takes the network, if it is unused."""
    check(filters, PRUNE_FILTERS)
    for value in filters.get("until", ()):
        if datetime.fromisoformat(network.created.replace("Z", "+00:00")) >= point_in_time(value):
            return False
    return labels_match(network.spec.labels, filters)


def labels_match(labels: Mapping[str, str], filters: Filters) -> bool:
    """``label`` must all be there, ``label!`` none of them; ``key`` or ``key=value``."""
    return all(_has(labels, wanted) for wanted in filters.get("label", ())) and not any(
        _has(labels, unwanted) for unwanted in filters.get("label!", ())
    )


def flag(name: str, value: str) -> bool:
    """A filter's boolean."""
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise InvalidParameter(f"invalid filter '{name}={value}'", allowed="true or false")


def point_in_time(text: str) -> datetime:
    """A Unix time, an RFC 3339 time, or a duration back from now like ``1h30m``."""
    match = _DURATION.fullmatch(text)
    if text and match:
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        return datetime.now(timezone.utc) - timedelta(hours=hours, minutes=minutes, seconds=seconds)
    try:
        return datetime.fromtimestamp(float(text), timezone.utc)
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise InvalidParameter(
            "not a time", field="until", value=text, allowed="a Unix time, RFC 3339, or a duration like 1h30m"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def _has(labels: Mapping[str, str], text: str) -> bool:
    key, equals, value = text.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _type_matches(network: Network, value: str) -> bool:
    if value not in {"custom", "builtin"}:
        raise InvalidParameter(f"invalid filter 'type={value}'", allowed="custom or builtin")
    return network.predefined == (value == "builtin")
