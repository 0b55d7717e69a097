"""Typed readers of JSON values. A reader takes a value and the name of its option, and returns what the documents hold.

An absent option and ``null`` are the same: not declared. Errors are ``InvalidParameter`` with option, value and what is
allowed.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from wherry.errors import InvalidParameter

T = TypeVar("T")
Reader = Callable[[Any, str], T]

PORT_LIMIT = 65535


class Options:
    """The options of one resource (or one suboption), read one by one; what nobody asked for is unknown."""

    def __init__(self, values: Mapping[str, Any], place: str = "") -> None:
        self._values = {key: value for key, value in values.items() if value is not None}
        self._place = place
        self._known: list[str] = []

    def field(self, name: str) -> str:
        """How errors name an option."""
        return f"{self._place}.{name}" if self._place else name

    def get(self, name: str, read: Reader[T]) -> T | None:
        """The value, ``None`` when it is not declared."""
        self._known.append(name)
        return read(self._values[name], self.field(name)) if name in self._values else None

    def default(self, name: str, read: Reader[T], default: T) -> T:
        """The value, or the default when it is not declared."""
        found = self.get(name, read)
        return default if found is None else found

    def required(self, name: str, read: Reader[T]) -> T:
        """The value, which must be there."""
        found = self.get(name, read)
        if found is None:
            raise InvalidParameter("is required", field=self.field(name))
        return found

    def finish(self) -> None:
        """Refuses by name what is not known here."""
        for name in self._values:
            if name not in self._known:
                raise InvalidParameter(
                    "unknown option", field=self.field(name), allowed=f"known are {', '.join(sorted(set(self._known)))}"
                )


def text(value: Any, where: str) -> str:
    """A string without NUL bytes."""
    if not isinstance(value, str):
        raise InvalidParameter("must be a string", field=where, value=value, allowed="put it in quotes")
    if "\0" in value:
        raise InvalidParameter("must not contain NUL bytes", field=where)
    return value


def filled(value: Any, where: str) -> str:
    """A string that is not empty."""
    if not text(value, where):
        raise InvalidParameter("must not be empty", field=where)
    return str(value)


def flag(value: Any, where: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", field=where, value=value)
    return value


def whole(lowest: int | None = None, highest: int | None = None) -> Reader[int]:
    """The reader of a whole number within bounds."""

    def read(value: Any, where: str) -> int:
        if isinstance(value, str) and value.lstrip("-").isdecimal():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise InvalidParameter("must be a whole number", field=where, value=value)
        if (lowest is not None and value < lowest) or (highest is not None and value > highest):
            bounds = f"between {lowest} and {highest}" if highest is not None else f"at least {lowest}"
            raise InvalidParameter(f"must be {bounds}", field=where, value=value)
        return value

    return read


def seconds(value: Any, where: str) -> float:
    """A number of seconds, fractions allowed."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidParameter("must be a number of seconds", field=where, value=value)
    return float(value)


def choice(*allowed: str) -> Reader[str]:
    """The reader of one word out of a few."""

    def read(value: Any, where: str) -> str:
        if value not in allowed:
            raise InvalidParameter("unknown choice", field=where, value=value, allowed=f"one of {', '.join(allowed)}")
        return str(value)

    return read


def list_of(read: Reader[T]) -> Reader[tuple[T, ...]]:
    """The reader of a list of what ``read`` understands."""

    def read_list(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InvalidParameter("must be a list", field=where, value=value)
        return tuple(read(item, f"{where}[{number}]") for number, item in enumerate(value))

    return read_list


def map_of(read: Reader[T]) -> Reader[dict[str, T]]:
    """The reader of an object with values that ``read`` understands."""

    def read_map(value: Any, where: str) -> dict[str, T]:
        if not isinstance(value, Mapping):
            raise InvalidParameter("must be a dictionary", field=where, value=value)
        return {text(key, where): read(item, f"{where}.{key}") for key, item in value.items()}

    return read_map


texts = list_of(text)
text_map = map_of(text)


def suboptions(value: Any, where: str) -> Options:
    """A dictionary of suboptions; the caller reads them and calls ``finish``."""
    if not isinstance(value, Mapping):
        raise InvalidParameter("must be a dictionary", field=where, value=value)
    return Options(value, where)


def address(version: int | None = None) -> Reader[str]:
    """The reader of an IP address in its canonical form; ``version`` 4 or 6 narrows it."""

    def read(value: Any, where: str) -> str:
        kind = f"an IPv{version} address" if version else "an IP address"
        try:
            found = ipaddress.ip_address(text(value, where))
        except ValueError:
            found = None
        if found is None or (version and found.version != version):
            raise InvalidParameter(f"is not {kind}", field=where, value=value)
        return str(found)

    return read


def absolute_path(value: Any, where: str) -> str:
    """A path on the host that begins with a slash."""
    if not text(value, where).startswith("/"):
        raise InvalidParameter("must be an absolute path on the host", field=where, value=value)
    return str(value)
