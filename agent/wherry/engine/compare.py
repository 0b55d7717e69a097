"""Comparison by effect: what is declared of a container against what it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wherry.containers.model import Container
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.container_properties import PROPERTIES
from wherry.engine.documents.property import Property, Shape
from wherry.images.model import ImageConfig


@dataclass(frozen=True)
class Difference:
    """One option that is not as declared; ``before`` and ``after`` are JSON."""

    option: str
    before: Any
    after: Any
    wanted: Any
    live: bool


def differences(document: ContainerDocument, container: Container, image: ImageConfig) -> list[Difference]:
    """What of the declared options is not so. ``image`` is the configuration that the container inherits from."""
    found = []
    for option, wanted in document.declared.items():
        made = PROPERTIES[option]
        mode = document.handling.comparison(option, made.shape)
        current = made.current(container)
        if mode != "ignore" and not _agree(made, wanted, current, image, mode):
            # A limit that is to be lifted has no form in an update: zero means "leave it" to the kernel's interfaces.
            live = made.live and (made.limit == "restart_policy" or wanted not in {0, ""})
            before, after = _shown(made, current, wanted, mode)
            found.append(Difference(option, before, after, wanted, live))
    return found


def _shown(made: Property, current: Any, wanted: Any, mode: str) -> tuple[Any, Any]:
    """Both values as JSON; of dictionaries only the entries that differ."""
    before = None if current is None else made.show(current)
    after = made.show(wanted)
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return before, after
    names = after if mode == "allow_more_present" else {**before, **after}
    differing = [name for name in names if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in differing if name in before},
        {name: after[name] for name in differing if name in after},
    )


def _agree(made: Property, wanted: Any, current: Any, image: ImageConfig, mode: str) -> bool:
    if made.shape in {Shape.VALUE, Shape.LIST}:
        return _agree_in_order(made, wanted, current, mode)
    have, want = made.canonical(_or_empty(current)), made.canonical(wanted)
    if mode == "allow_more_present":
        return _holds(have, want)
    extra = _beyond(have, want)
    inherited = made.canonical(made.inherited(image)) if made.inherited(image) else type(have)()
    return _holds(have, want) and _holds(inherited, extra)


def _agree_in_order(made: Property, wanted: Any, current: Any, mode: str) -> bool:
    if made.shape is Shape.LIST:
        have, want = list(_or_empty(current)), list(wanted)
        return have == want if mode == "strict" else _is_subsequence(want, have)
    neutral = type(wanted)() if current is None else current
    return bool(made.canonical(neutral) == made.canonical(wanted))


def _or_empty(value: Any) -> Any:
    return () if value is None else value


def _is_subsequence(part: list[Any], whole: list[Any]) -> bool:
    """Whether all of ``part`` is in ``whole`` in the same order."""
    rest = iter(whole)
    return all(item in rest for item in part)


def _holds(have: Any, want: Any) -> bool:
    """Whether all that is wanted is there."""
    if isinstance(have, Mapping):
        return all(name in have and have[name] == value for name, value in want.items())
    return all(item in have for item in want)


def _beyond(have: Any, want: Any) -> Any:
    """What is there without being wanted."""
    if isinstance(have, Mapping):
        return {name: value for name, value in have.items() if name not in want}
    return [item for item in have if item not in want]
