"""DNS messages, as far as answering takes: one question read, an answer written (RFC 1035, RFC 6891 for EDNS).

A library would take every record of a query apart, some twenty times slower; what is forwarded goes on byte for byte.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, PTR, AAAA, OPT, ANY = 1, 12, 28, 41, 255
INTERNET = 1
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NAME_ERROR, NOT_IMPLEMENTED, REFUSED = range(6)

HEADER_BYTES = 12
PLAIN_LIMIT = 512
"""Bytes of an answer by UDP to a client that does not say how much it takes."""
OWN_LIMIT = 1232
"""Bytes by UDP that cross every link unbroken (DNS flag day 2020)."""
LARGEST_NAME, LARGEST_LABEL = 255, 63

_HEADER = struct.Struct(">HHHHHH")
_QUESTION_END = struct.Struct(">HH")
_RECORD = struct.Struct(">HHIH")
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_NAME_OF_QUESTION = b"\xc0\x0c"


class Malformed(ValueError):
    """Bytes that are no query."""


@dataclass(frozen=True)
class Query:
    """One question. ``name`` is lower case without the last dot; ``limit``: the bytes that the client takes by UDP."""

    id: int
    flags: int
    name: str
    type: int
    cls: int
    question: bytes
    edns: bool
    limit: int


@dataclass(frozen=True)
class Record:
    """A record of an answer, about the name that was asked for."""

    type: int
    data: bytes
    ttl: int


def parse_query(data: bytes) -> Query:
    """Reads a query with exactly one question; raises Malformed."""
    if len(data) < HEADER_BYTES:
        raise Malformed("shorter than a header")
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    if flags & _RESPONSE or flags & _OPCODE or questions != 1:
        raise Malformed("not a standard query of one question")
    labels, offset = _read_labels(data)
    if offset + _QUESTION_END.size > len(data):
        raise Malformed("the question is cut short")
    kind, cls = _QUESTION_END.unpack_from(data, offset)
    end = offset + _QUESTION_END.size
    size = _edns_size(data, end) if additional and not answers and not authorities else None
    limit = PLAIN_LIMIT if size is None else max(PLAIN_LIMIT, min(size, OWN_LIMIT))
    name = ".".join(labels).lower()
    return Query(number, flags, name, kind, cls, data[HEADER_BYTES:end], size is not None, limit)


def _read_labels(data: bytes) -> tuple[list[str], int]:
    labels: list[str] = []
    offset, total = HEADER_BYTES, 0
    while True:
        if offset >= len(data):
            raise Malformed("the name is cut short")
        length = data[offset]
        offset += 1
        if length == 0:
            return labels, offset
        total += length + 1
        if length > LARGEST_LABEL or total >= LARGEST_NAME or offset + length > len(data):
            raise Malformed("not a name")
        labels.append(data[offset : offset + length].decode("latin-1"))
        offset += length


def _edns_size(data: bytes, offset: int) -> int | None:
    """The payload size of an OPT record that follows the question at once, where clients put it."""
    if offset + 5 > len(data) or data[offset] != 0:
        return None
    kind, size = _QUESTION_END.unpack_from(data, offset + 1)
    return int(size) if kind == OPT else None


def answer(query: Query, code: int, records: Sequence[Record] = (), *, limited: bool = True) -> bytes:
    """The answer's bytes; by UDP (``limited``) what does not fit is left out, and the answer says so."""
    written = [
        _NAME_OF_QUESTION + _RECORD.pack(record.type, INTERNET, record.ttl, len(record.data)) + record.data
        for record in records
    ]
    extra = b"\0" + _RECORD.pack(OPT, OWN_LIMIT, 0, 0) if query.edns else b""
    room = query.limit - HEADER_BYTES - len(query.question) - len(extra) if limited else 1 << 16
    kept: list[bytes] = []
    for record in written:
        if sum(map(len, kept)) + len(record) > room:
            break
        kept.append(record)
    flags = _RESPONSE | _RECURSION_AVAILABLE | (query.flags & _RECURSION_DESIRED) | code
    if len(kept) < len(written):
        flags |= _TRUNCATED
    header = _HEADER.pack(query.id, flags, 1, len(kept), 0, 1 if extra else 0)
    return b"".join((header, query.question, *kept, extra))


def error_to(data: bytes, code: int) -> bytes | None:
    """The answer to what could not be read, if at least its number could."""
    if len(data) < HEADER_BYTES or data[2] & 0x80:
        return None
    number = struct.unpack_from(">H", data)[0]
    return _HEADER.pack(number, _RESPONSE | _RECURSION_AVAILABLE | code, 0, 0, 0, 0)


def address_record(text: str, ttl: int) -> Record:
    """An A or AAAA record."""
    address = ipaddress.ip_address(text)
    return Record(A if address.version == 4 else AAAA, address.packed, ttl)


def name_record(name: str, ttl: int) -> Record:
    """A PTR record."""
    labels = [label.encode("latin-1", "replace")[:LARGEST_LABEL] for label in name.split(".") if label]
    return Record(PTR, b"".join(bytes([len(label)]) + label for label in labels) + b"\0", ttl)


def address_of_pointer(name: str) -> str | None:
    """``4.3.2.1.in-addr.arpa`` and the IPv6 form as an address."""
    labels = name.split(".")
    try:
        if name.endswith(".in-addr.arpa") and len(labels) == 6:
            return str(ipaddress.IPv4Address(".".join(reversed(labels[:4]))))
        if name.endswith(".ip6.arpa") and len(labels) == 34:
            digits = "".join(reversed(labels[:32]))
            return str(ipaddress.IPv6Address(bytes.fromhex(digits)))
    except ValueError:
        return None
    return None


def with_id(data: bytes, number: int) -> bytes:
    """The message under another number."""
    return struct.pack(">H", number) + data[2:]


def is_answer_to(data: bytes, number: int, question: bytes) -> bool:
    """Whether these bytes answer that question under that number: an answer from off the path knows neither."""
    if len(data) < HEADER_BYTES + len(question) or not data[2] & 0x80:
        return False
    same = data[HEADER_BYTES : HEADER_BYTES + len(question)]
    return struct.unpack_from(">H", data)[0] == number and same.lower() == question.lower()
