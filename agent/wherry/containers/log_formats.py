"""The two forms in which monitors keep logs in files, read from either end.

json-file: one line an entry, ``{"log":"text\\n","stream":"stdout","attrs":{…},"time":"2024-01-01T00:00:00.0Z"}``. What
a container wrote is inside the JSON text and cannot forge a line.

local: an entry is a protobuf message between two copies of its length; native/src/monitor/log_local.c has its fields.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wherry.containers import times

READ_CHUNK = 1 << 18
LONGEST_RECORD = 1 << 20
_LENGTH = struct.Struct(">I")
_VARINT, _BYTES = 0, 2


@dataclass(frozen=True)
class LogEntry:
    """A piece of output as it was logged; a long line comes in pieces, only the last of which ends in a newline."""

    stream: str
    data: bytes
    time: str
    attributes: Mapping[str, str] = field(default_factory=dict)


class LogFormat(Protocol):
    """How entries stand in a file. ``end`` is where the file is to be taken as ending."""

    def split(self, data: bytes) -> tuple[list[LogEntry], bytes]:
        """The whole entries at the start of ``data``, and the rest."""

    def backward(self, descriptor: int, end: int) -> Iterator[LogEntry]:
        """Newest first; ``end`` must be a boundary."""

    def boundary(self, descriptor: int, end: int) -> int:
        """The end of the last whole entry at or before ``end``: the monitor may be in the middle of the next."""


class JsonFile:
    """The driver json-file."""

    def split(self, data: bytes) -> tuple[list[LogEntry], bytes]:
        *lines, rest = data.split(b"\n")
        return list(filter(None, map(_json_entry, lines))), rest

    def backward(self, descriptor: int, end: int) -> Iterator[LogEntry]:
        position, rest = end, b""
        while position > 0:
            size = min(READ_CHUNK, position)
            position -= size
            first, *lines = (os.pread(descriptor, size, position) + rest).split(b"\n")
            rest = first
            yield from filter(None, map(_json_entry, reversed(lines)))
        if entry := _json_entry(rest):
            yield entry

    def boundary(self, descriptor: int, end: int) -> int:
        position = end
        while position > 0:
            size = min(4096, position)
            chunk = os.pread(descriptor, size, position - size)
            newline = chunk.rfind(b"\n")
            if newline >= 0:
                return position - size + newline + 1
            position -= size
        return 0


class LocalFile:
    """The driver local."""

    def split(self, data: bytes) -> tuple[list[LogEntry], bytes]:
        entries, position = [], 0
        while (after := _record_end(data, position)) is not None:
            if entry := _local_entry(data[position + _LENGTH.size : after - _LENGTH.size]):
                entries.append(entry)
            position = after
        return entries, data[position:]

    def backward(self, descriptor: int, end: int) -> Iterator[LogEntry]:
        position = end
        while position >= 2 * _LENGTH.size:
            (size,) = _LENGTH.unpack(os.pread(descriptor, _LENGTH.size, position - _LENGTH.size))
            start = position - size - 2 * _LENGTH.size
            if size > LONGEST_RECORD or start < 0:
                return
            if entry := _local_entry(os.pread(descriptor, size, start + _LENGTH.size)):
                yield entry
            position = start

    def boundary(self, descriptor: int, end: int) -> int:
        if end == 0 or self._ends_in_record(descriptor, end):
            return end
        # From the start: only there is it sure where a record begins.
        position = 0
        while len(head := os.pread(descriptor, _LENGTH.size, position)) == _LENGTH.size:
            after = position + _LENGTH.unpack(head)[0] + 2 * _LENGTH.size
            if after > end:
                break
            position = after
        return position

    @staticmethod
    def _ends_in_record(descriptor: int, end: int) -> bool:
        tail = os.pread(descriptor, _LENGTH.size, max(0, end - _LENGTH.size))
        if len(tail) < _LENGTH.size:
            return False
        start = end - _LENGTH.unpack(tail)[0] - 2 * _LENGTH.size
        return start >= 0 and os.pread(descriptor, _LENGTH.size, start) == tail


FORMATS: Mapping[str, LogFormat] = {"json-file": JsonFile(), "local": LocalFile()}


def _json_entry(line: bytes) -> LogEntry | None:
    """A line of the file; ``None`` for what is none (a line cut by a full disk)."""
    if not line:
        return None
    try:
        # Bytes that are no UTF-8 pass through as surrogates and come out as they went in.
        fields = json.loads(line.decode("utf-8", "surrogateescape"))
        data = fields["log"].encode("utf-8", "surrogateescape")
        return LogEntry(fields["stream"], data, fields["time"], fields.get("attrs") or {})
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _record_end(data: bytes, position: int) -> int | None:
    """Where the record that begins at ``position`` ends; ``None`` when it is not all there."""
    if len(data) - position < _LENGTH.size:
        return None
    (size,) = _LENGTH.unpack_from(data, position)
    after: int = position + size + 2 * _LENGTH.size
    return after if after <= len(data) else None


def _local_entry(message: bytes) -> LogEntry | None:
    """A record's message; ``None`` for what is none."""
    try:
        fields = _message(message)
        source, nanoseconds, line = fields.get(1, b""), fields.get(2, 0), fields.get(3, b"")
        partial = _message(inner) if isinstance(inner := fields.get(5, b""), bytes) else {}
        if not (isinstance(source, bytes) and isinstance(line, bytes) and isinstance(nanoseconds, int)):
            return None
        whole = not fields.get(4) or partial.get(1)
        return LogEntry(source.decode(), line + b"\n" if whole else line, times.render(nanoseconds))
    except (ValueError, IndexError):
        return None


def _message(data: bytes) -> dict[int, int | bytes]:
    """The fields of a protobuf message by number; ValueError or IndexError for what is none."""
    fields: dict[int, int | bytes] = {}
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        value, position = _varint(data, position)
        if key & 7 == _BYTES:
            if position + value > len(data):
                raise ValueError("cut short")
            fields[key >> 3] = data[position : position + value]
            position += value
        elif key & 7 == _VARINT:
            fields[key >> 3] = value
        else:
            raise ValueError("unknown type")
    return fields


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
        if shift > 63:
            raise ValueError("too long")
