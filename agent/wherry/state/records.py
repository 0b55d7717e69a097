"""Frozen dataclasses to JSON text and back, for the tables that keep whole records.

Understood field types: ``str``, ``int``, ``float``, ``bool``, dataclasses, ``tuple[T, ...]``, ``Mapping[str, T]`` and
each of them ``| None``. A key that the text lacks takes the field's default, so a record of an older agent still loads.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")
Decoder = Callable[[Any], Any]

_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))


def encode(record: object) -> str:
    """The record as compact JSON text."""
    return json.dumps(_plain(record), separators=(",", ":"), ensure_ascii=False)


def decode(record_type: type[Record], text: str) -> Record:
    """The record that ``encode`` wrote; raises ``ValueError`` when the text is not of that type."""
    try:
        record: Record = _decoder_of(record_type)(json.loads(text))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a {record_type.__name__}: {error}") from error
    return record


def _plain(value: object) -> Any:
    # Nearly all that a record holds is one of these: a container's start encodes fourteen of some fifty fields each.
    if type(value) in _AS_THEY_ARE:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _field_names(type(value))}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@functools.cache
def _field_names(record_type: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(record_type))


def _decoder_of(kind: Any) -> Decoder:
    return _decoder(kind)


@functools.cache
def _decoder(kind: Any) -> Decoder:
    if dataclasses.is_dataclass(kind):
        return _record_decoder(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        inner = _decoder(next(argument for argument in arguments if argument is not type(None)))
        return lambda value: None if value is None else inner(value)
    if origin is tuple:
        item = _decoder(arguments[0])
        return lambda value: tuple(item(entry) for entry in value)
    if origin is not None and issubclass(origin, Mapping):
        entry = _decoder(arguments[1])
        return lambda value: {key: entry(content) for key, content in value.items()}
    return lambda value: value


def _record_decoder(kind: Any) -> Decoder:
    hints = get_type_hints(kind)
    decoders = {name: _decoder(hints[name]) for name in _field_names(kind)}

    def decode_record(value: Any) -> Any:
        return kind(**{name: decoders[name](content) for name, content in value.items() if name in decoders})

    return decode_record
