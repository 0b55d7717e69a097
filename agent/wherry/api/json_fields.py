"""Engine API JSON to record fields and back, told as tables: one ``Field`` a key.

A reader takes the JSON value and the path of its key, and returns what the record holds or raises ``InvalidParameter``
with that path. JSON ``null`` means "not given" everywhere, as in Docker's own decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from wherry.errors import InvalidParameter

Reader = Callable[[Any, str], Any]
Writer = Callable[[Any], Any]
Record = TypeVar("Record")

INT64_LIMIT = 1 << 63


def as_is(value: Any) -> Any:
    """The writer of what JSON holds as the record does."""
    return value


def to_list(value: Sequence[Any] | None) -> list[Any] | None:
    """The writer of tuples; ``None`` stays ``null``."""
    return None if value is None else list(value)


def to_list_or_null(value: Sequence[Any]) -> list[Any] | None:
    """The writer of tuples that Docker shows as ``null`` when empty."""
    return list(value) or None


@dataclass(frozen=True)
class Field:
    """One key of a JSON object and the record field that it stands for."""

    key: str
    name: str
    read: Reader
    write: Writer = as_is


def read_fields(fields: Sequence[Field], value: Any, where: str) -> dict[str, Any]:
    """Constructor arguments from a JSON object: only keys that are there and not null."""
    body = spelled(mapping(value, where), [field.key for field in fields])
    return {
        field.name: field.read(body[field.key], f"{where}.{field.key}" if where else field.key)
        for field in fields
        if body.get(field.key) is not None
    }


def write_fields(fields: Sequence[Field], record: object) -> dict[str, Any]:
    """The JSON object of a record."""
    return {field.key: field.write(getattr(record, field.name)) for field in fields}


def known_only(value: Any, known: frozenset[str], where: str) -> Mapping[str, Any]:
    """The object with its keys spelled as here; one that nothing here honours must hold its neutral value."""
    body = spelled(mapping(value, where), known)
    for key, content in body.items():
        if key not in known and not is_neutral(content):
            raise InvalidParameter("is not supported", field=f"{where}.{key}" if where else key, value=content)
    return body


def spelled(body: Mapping[str, Any], known: Collection[str]) -> Mapping[str, Any]:
    """The object with known keys in their own spelling: Docker's decoder ignores case, and clients rely on that."""
    if all(key in known for key in body):
        return body
    by_fold = {key.lower(): key for key in known}
    renamed = {by_fold.get(key.lower(), key): content for key, content in body.items() if key not in known}
    return {**renamed, **{key: content for key, content in body.items() if key in known}}


def is_neutral(value: Any) -> bool:
    """Whether a value says nothing: null, false, zero, empty, or a container of such."""
    if isinstance(value, Mapping):
        return all(is_neutral(item) for item in value.values())
    if isinstance(value, list):
        return all(is_neutral(item) for item in value)
    return not value


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """A JSON object; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", field=where, value=value)
    return value


def text(value: Any, where: str) -> str:
    """A string without NUL bytes."""
    if not isinstance(value, str):
        raise InvalidParameter("must be a string", field=where, value=value)
    if "\0" in value:
        raise InvalidParameter("must not contain NUL bytes", field=where)
    return value


def flag(value: Any, where: str) -> bool:
    """A boolean."""
    if not isinstance(value, bool):
        raise InvalidParameter("must be true or false", field=where, value=value)
    return value


def number(value: Any, where: str) -> int:
    """A whole number of 64 bits."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidParameter("must be a whole number", field=where, value=value)
    if not -INT64_LIMIT <= value < INT64_LIMIT:
        raise InvalidParameter("does not fit 64 bits", field=where, value=value)
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list):
        raise InvalidParameter("must be a list of strings", field=where, value=value)
    return tuple(text(item, f"{where}[{index}]") for index, item in enumerate(value))


def text_or_texts(value: Any, where: str) -> tuple[str, ...]:
    """A command: a list of strings, or one string that is its only word."""
    return (text(value, where),) if isinstance(value, str) else texts(value, where)


def numbers(value: Any, where: str) -> tuple[int, ...]:
    """A list of whole numbers."""
    if not isinstance(value, list):
        raise InvalidParameter("must be a list of numbers", field=where, value=value)
    return tuple(number(item, f"{where}[{index}]") for index, item in enumerate(value))


def text_map(value: Any, where: str) -> dict[str, str]:
    """An object of strings."""
    body = mapping(value, where)
    return {text(key, where): text(item, f"{where}.{key}") for key, item in body.items()}


def keys(value: Any, where: str) -> tuple[str, ...]:
    """The keys of an object whose values are empty objects (``ExposedPorts``, ``Volumes``)."""
    return tuple(text(key, where) for key in mapping(value, where))


def list_of(read: Reader) -> Reader:
    """The reader of a list of what ``read`` understands."""

    def read_list(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise InvalidParameter("must be a list", field=where, value=value)
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_list


def record_of(record_type: type[Record], fields: Sequence[Field]) -> Reader:
    """The reader of a nested object; a key that it does not know must be neutral."""
    known = frozenset(field.key for field in fields)

    def read_record(value: Any, where: str) -> Record:
        return record_type(**read_fields(fields, known_only(value, known, where), where))

    return read_record


def written(fields: Sequence[Field]) -> Writer:
    """The writer of a nested record."""
    return lambda record: None if record is None else write_fields(fields, record)


def written_list(fields: Sequence[Field]) -> Writer:
    """The writer of a tuple of records, ``null`` when empty."""
    return lambda records: [write_fields(fields, record) for record in records] or None
