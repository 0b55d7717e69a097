"""What an option of a container is: how it is read, where it stands in a container's record, and how it is compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from wherry.containers.model import Container, ContainerConfig, HostConfig
from wherry.images.model import ImageConfig


class Shape(Enum):
    """What kind of value an option has; it decides what ``allow_more_present`` means."""

    VALUE = "value"
    LIST = "list"
    SET = "set"
    DICT = "dict"


@dataclass(frozen=True)
class Draft:
    """The two records of a container to be made, as far as they are filled in."""

    config: ContainerConfig = field(default_factory=ContainerConfig)
    host: HostConfig = field(default_factory=HostConfig)

    def with_config(self, **fields: Any) -> Draft:
        """With these fields of the configuration set."""
        return replace(self, config=replace(self.config, **fields))

    def with_host(self, **fields: Any) -> Draft:
        """With these fields of the host configuration set."""
        return replace(self, host=replace(self.host, **fields))


def as_it_is(value: Any) -> Any:
    """For values that count as they are spelled."""
    return value


def nothing(_: ImageConfig) -> Any:
    """For options to which an image adds nothing."""
    return ()


@dataclass(frozen=True)
class Property:
    """One compared option.

    ``read`` makes the value that documents hold out of JSON; ``current`` takes the value of the same form from a
    container; ``write`` puts it into a draft; ``canonical`` maps spellings of equal effect to equal values (of sets and
    dictionaries the whole collection); ``inherited`` is what a container has from its image without asking;
    ``show`` turns a value into JSON. ``live``: the kernel changes it in a container that runs; ``limit`` then names the
    fields of an update.
    """

    option: str
    read: Callable[[Any, str], Any]
    current: Callable[[Container], Any]
    write: Callable[[Draft, Any], Draft]
    shape: Shape = Shape.VALUE
    canonical: Callable[[Any], Any] = as_it_is
    inherited: Callable[[ImageConfig], Any] = nothing
    show: Callable[[Any], Any] = as_it_is
    limit: str = ""

    @property
    def live(self) -> bool:
        """Whether an update in place can change it."""
        return bool(self.limit)


def listed(value: Any) -> Any:
    """The JSON form of tuples and sets."""
    return list(value) if isinstance(value, (tuple, set, frozenset)) else value


def in_config(name: str, option: str, read: Callable[[Any, str], Any], **more: Any) -> Property:
    """An option that is a field of the configuration."""
    return Property(
        option,
        read,
        lambda container: getattr(container.config, name),
        lambda draft, value: draft.with_config(**{name: value}),
        **{"show": listed, **more},
    )


def in_host(name: str, option: str, read: Callable[[Any, str], Any], **more: Any) -> Property:
    """An option that is a field of the host configuration."""
    return Property(
        option,
        read,
        lambda container: getattr(container.host_config, name),
        lambda draft, value: draft.with_host(**{name: value}),
        **{"show": listed, **more},
    )


def assignments(entries: tuple[str, ...]) -> Mapping[str, str | None]:
    """``NAME=value`` entries as a dictionary; an entry without ``=`` has no value."""
    pairs = (entry.partition("=") for entry in entries)
    return {name: value if equals else None for name, equals, value in pairs}
