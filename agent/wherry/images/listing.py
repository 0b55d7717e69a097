"""Filters of image lists and prunes, and the rows of an image's history."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from wherry.errors import InvalidParameter
from wherry.images.model import HistoryRow, Image
from wherry.images.moments import parse_until, seconds_of
from wherry.images.reference import Reference

Filters = Mapping[str, Sequence[str]]

LIST_FILTERS = ("before", "dangling", "label", "reference", "since", "until")
PRUNE_FILTERS = ("dangling", "label", "label!", "until")
_TRUE, _FALSE = ("1", "t", "true", "True", "TRUE"), ("0", "f", "false", "False", "FALSE")


@dataclass(frozen=True)
class Selection:
    """The images that filters leave, and which of their names match a ``reference`` filter."""

    filters: Filters
    find: Callable[[str], Image]

    def apply(self, images: Sequence[Image], names_of: Callable[[Image], Sequence[Reference]]) -> list[Image]:
        """Those that pass all filters, the newest first."""
        check_names(self.filters, LIST_FILTERS)
        tests = [self._dangling(), *self._labels(), *self._times()]
        kept = [image for image in images if all(test(image) for test in tests)]
        if patterns := self.filters.get("reference"):
            matching = [(image, [name for name in names_of(image) if _fits(name, patterns)]) for image in kept]
            kept = [
                replace(image, repo_tags=tuple(name.familiar for name in names)) for image, names in matching if names
            ]
        return sorted(kept, key=lambda image: seconds_of(image.created), reverse=True)

    def _dangling(self) -> Callable[[Image], bool]:
        wanted = flag(self.filters, "dangling")
        return (lambda image: True) if wanted is None else (lambda image: (not image.repo_tags) == wanted)

    def _labels(self) -> list[Callable[[Image], bool]]:
        return [lambda image: all(has_label(image, label) for label in self.filters.get("label", ()))]

    def _times(self) -> list[Callable[[Image], bool]]:
        tests: list[Callable[[Image], bool]] = []
        for name in self.filters.get("before", ()):
            limit = seconds_of(self.find(name).created)
            tests.append(lambda image, limit=limit: seconds_of(image.created) < limit)  # type: ignore[misc]
        for name in self.filters.get("since", ()):
            limit = seconds_of(self.find(name).created)
            tests.append(lambda image, limit=limit: seconds_of(image.created) > limit)  # type: ignore[misc]
        for text in self.filters.get("until", ()):
            limit = parse_until(text)
            tests.append(lambda image, limit=limit: seconds_of(image.created) < limit)  # type: ignore[misc]
        return tests


def check_names(filters: Filters, known: Sequence[str]) -> None:
    """Refuses a filter that nobody knows."""
    for name in filters:
        if name not in known:
            raise InvalidParameter("invalid filter", value=name, allowed=f"known are {', '.join(known)}")


def flag(filters: Filters, name: str) -> bool | None:
    """A boolean filter; ``None`` when it is not given."""
    values = filters.get(name)
    if not values:
        return None
    if len(values) > 1 or values[0] not in _TRUE + _FALSE:
        raise InvalidParameter("invalid filter", field=name, value=", ".join(values), allowed="true or false")
    return values[0] in _TRUE


def has_label(image: Image, wanted: str) -> bool:
    """Whether the image has a label, ``key`` or ``key=value``."""
    key, equals, value = wanted.partition("=")
    return key in image.labels and (not equals or image.labels[key] == value)


def _fits(name: Reference, patterns: Sequence[str]) -> bool:
    """Patterns are shell globs in which ``*`` stops at a slash, on the familiar name with or without its tag."""
    return any(
        _glob(pattern).fullmatch(text) is not None
        for pattern in patterns
        for text in (name.familiar, name.familiar_repository)
    )


def _glob(pattern: str) -> re.Pattern[str]:
    """Go's path.Match as an expression: ``*`` and ``?`` stop at a slash, ``[a-z]`` and ``[^a-z]`` are classes."""
    parts = re.findall(r"\\.|\[\^?[^\]]+\]|.", pattern, re.DOTALL)
    forms = {"*": "[^/]*", "?": "[^/]"}
    try:
        return re.compile("".join(forms.get(part) or (part if len(part) > 1 else re.escape(part)) for part in parts))
    except re.error:
        raise InvalidParameter("invalid filter", field="reference", value=pattern) from None


def prune_test(filters: Filters) -> Callable[[Image], bool]:
    """What a prune may remove, by its filters alone."""
    check_names(filters, PRUNE_FILTERS)
    dangling_only = flag(filters, "dangling")
    limits = [parse_until(text) for text in filters.get("until", ())]

    def test(image: Image) -> bool:
        if dangling_only is not False and image.repo_tags:
            return False
        return (
            all(has_label(image, label) for label in filters.get("label", ()))
            and not any(has_label(image, label) for label in filters.get("label!", ()))
            and all(seconds_of(image.created) < limit for limit in limits)
        )

    return test


def history_rows(image: Image, ancestors: Sequence[Image] = ()) -> list[HistoryRow]:
    """The steps of an image, the newest first. Besides the newest, those have an ID that made an image which is here
    (``ancestors``): a pulled image does not say the others.
    """
    sizes = list(image.layer_sizes)
    rows: list[HistoryRow] = []
    for entry in image.document.history:
        size = sizes.pop(0) if sizes and not entry.empty_layer else 0
        created = int(seconds_of(entry.created))
        rows.append(HistoryRow("<missing>", created, entry.created_by, (), size, entry.comment))
    created = int(seconds_of(image.created))
    rows += [HistoryRow("<missing>", created, "", (), size, "") for size in sizes]
    rows.reverse()
    if not rows:
        return [HistoryRow(image.id, created, "", image.repo_tags, 0, "")]
    newest = rows[0]
    first = HistoryRow(image.id, newest.created, newest.created_by, image.repo_tags, newest.size, newest.comment)
    known = {len(one.document.history): one for one in ancestors if 0 < len(one.document.history) < len(rows)}
    for length, one in known.items():
        at = len(rows) - length
        rows[at] = replace(rows[at], id=one.id, tags=one.repo_tags)
    return [first, *rows[1:]]
