"""Where each member of a tar file lies, without extracting anything.

The file is somebody's upload: headers are bounded, names are plain text that is looked up and never a path on this
machine's disk. Source: POSIX.1-2001 pax, and GNU's long names.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wherry.errors import InvalidParameter

BLOCK = 512
MEMBERS_MAX = 50_000
EXTENSION_MAX = 1024 * 1024  # bytes of a pax or long-name header
LINKS_MAX = 8


@dataclass(frozen=True)
class Member:
    """A regular file in the archive: offset and size in bytes; or a link to another name."""

    name: str
    offset: int
    size: int
    link: str = ""


class TarIndex:
    """The members of a tar file by normalised name; of duplicates the last one counts, as when extracting."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._members: dict[str, Member] = {}
        with path.open("rb") as file:
            for member in _read(file):
                if len(self._members) >= MEMBERS_MAX:
                    raise InvalidParameter(f"the archive has more than {MEMBERS_MAX} members")
                self._members[member.name] = member

    def find(self, name: str) -> Member | None:
        """The regular file of that name, links followed."""
        name = _normal(name)
        for _ in range(LINKS_MAX):
            member = self._members.get(name)
            if member is None or not member.link:
                return member
            name = member.link
        raise InvalidParameter(f"{name}: too many links in the archive")

    def read(self, name: str, limit: int) -> bytes | None:
        """The content of a small member, ``None`` when there is none of that name."""
        member = self.find(name)
        if member is None:
            return None
        if member.size > limit:
            raise InvalidParameter(f"{name} in the archive is {member.size} bytes long; at most {limit} are allowed")
        with self.path.open("rb") as file:
            file.seek(member.offset)
            return file.read(member.size)


def _normal(name: str) -> str:
    return posixpath.normpath(posixpath.join("/", name)).lstrip("/")


def _read(file: BinaryIO) -> Iterator[Member]:
    end = file.seek(0, 2)
    position = 0
    long_name, long_link, pax = "", "", {}
    while position + BLOCK <= end:
        file.seek(position)
        header = file.read(BLOCK)
        if not header.strip(b"\0"):
            return
        _check(header)
        kind = header[156:157]
        size = _number(header[124:136])
        if kind in (b"x", b"g", b"L", b"K"):
            content = _extension(file, size)
            if kind == b"x":
                pax = _pax(content)
            elif kind != b"g":
                text = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
                long_name, long_link = (text, long_link) if kind == b"L" else (long_name, text)
            position += BLOCK + _padded(size)
            continue
        size = _pax_size(pax, size)
        name = pax.get("path") or long_name or _name(header)
        target = pax.get("linkpath") or long_link or _text(header[157:257])
        if kind in (b"0", b"\0", b"7"):
            if position + BLOCK + size > end:
                raise InvalidParameter("the archive ends early")
            yield Member(_normal(name), position + BLOCK, size)
        elif kind == b"1":
            yield Member(_normal(name), 0, 0, _normal(target))
            size = 0
        elif kind == b"2":
            yield Member(_normal(name), 0, 0, _normal(posixpath.join(posixpath.dirname(name), target)))
        long_name, long_link, pax = "", "", {}
        position += BLOCK + _padded(size)


def _check(header: bytes) -> None:
    stored = _number(header[148:156])
    if sum(header) - sum(header[148:156]) + 8 * 32 != stored:
        raise InvalidParameter("not a tar archive: a header has a wrong checksum")


def _padded(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _number(field: bytes) -> int:
    """Octal text, or a binary number behind the byte 0x80 (GNU)."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.strip(b" \0")
    try:
        value = int(text, 8) if text else 0
    except ValueError:
        value = -1
    if value < 0:
        raise InvalidParameter("not a tar archive: a header has a malformed number")
    return value


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" and header[262:264] != b" \0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _extension(file: BinaryIO, size: int) -> bytes:
    if size > EXTENSION_MAX:
        raise InvalidParameter(
            f"the archive has an extended header of {size} bytes; at most {EXTENSION_MAX} are allowed"
        )
    return file.read(size)


def _pax(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while position < len(content):
        length_text, space, _ = content[position : position + 32].partition(b" ")
        length = int(length_text) if space and length_text.isdigit() else 0
        record = content[position : position + length]
        key, equals, value = record[len(length_text) + 1 :].partition(b"=")
        if not length or len(record) != length or not equals or not value.endswith(b"\n"):
            raise InvalidParameter("the archive has a malformed extended header")
        found[key.decode("utf-8", "replace")] = value[:-1].decode("utf-8", "surrogateescape")
        position += length
    return found


def _pax_size(pax: dict[str, str], size: int) -> int:
    text = pax.get("size", "")
    if not text:
        return size
    if not text.isdecimal() or len(text) > 18:
        raise InvalidParameter("the archive has a malformed extended header")
    return int(text)
