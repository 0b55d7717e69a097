"""An archive of images, taken apart while it arrives: each member becomes a file of the store's, with its digest.

The archive is somebody's upload: headers are bounded, names are plain text that is looked up and never a path on this
machine's disk. Source: POSIX.1-2001 pax, and GNU's long names.
"""

from __future__ import annotations

import posixpath
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidParameter
from wherry.images.reference import is_digest
from wherry.images.store import BlobStore

BLOCK = 512
MEMBERS_MAX = 50_000
EXTENSION_MAX = 1024 * 1024  # bytes of a pax or long-name header
LINKS_MAX = 8
BLOBS = "blobs/sha256/"


@dataclass(frozen=True)
class Member:
    """A regular file in the archive, whose content lies at ``path``; or a link to another name."""

    size: int = 0
    digest: str = ""
    path: Path = Path()
    link: str = ""


class TarParts:
    """The members of an archive by normalised name; of duplicates the last one counts, as when extracting."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._members: dict[str, Member] = {}
        self._files: list[Path] = []

    async def receive(self, chunks: AsyncIterator[bytes]) -> None:
        """Takes the archive in. Whatever comes of it, call ``discard`` in the end."""
        reader = _Reader(chunks)
        long_name, long_link, pax = "", "", dict[str, str]()
        while (header := await reader.header()) is not None:
            kind, size = header[156:157], _number(header[124:136])
            if kind in (b"x", b"g", b"L", b"K"):
                content = await _extension(reader, size)
                if kind == b"x":
                    pax = _pax(content)
                elif kind != b"g":
                    text = content.rstrip(b"\0").decode("utf-8", "surrogateescape")
                    long_name, long_link = (text, long_link) if kind == b"L" else (long_name, text)
                continue
            size = _pax_size(pax, size)
            name = pax.get("path") or long_name or _name(header)
            target = pax.get("linkpath") or long_link or _text(header[157:257])
            if kind in (b"0", b"\0", b"7"):
                await self._take(_normal(name), size, reader)
            elif kind == b"1":
                self._add(_normal(name), Member(link=_normal(target)))
            else:
                if kind == b"2":
                    self._add(_normal(name), Member(link=_normal(posixpath.join(posixpath.dirname(name), target))))
                await reader.skip(size)
            long_name, long_link, pax = "", "", {}
        await reader.drain()

    async def _take(self, name: str, size: int, reader: _Reader) -> None:
        named = f"sha256:{name.removeprefix(BLOBS)}" if name.startswith(BLOBS) else ""
        if is_digest(named) and self._store.has(named, size):
            await reader.skip(size)  # what is meant is here already, and was verified when it came
            self._add(name, Member(size, named, self._store.path(named)))
            return
        writer = self._store.writer()
        self._files.append(writer.path)
        try:
            async for piece in reader.portion(size):
                await writer.write(piece)
            self._add(name, Member(size, await writer.finish(), writer.path))
        finally:
            writer.close()

    def _add(self, name: str, member: Member) -> None:
        if len(self._members) >= MEMBERS_MAX:
            raise InvalidParameter(f"the archive has more than {MEMBERS_MAX} members")
        self._members[name] = member

    def discard(self) -> None:
        """Removes what has not become a blob."""
        for path in self._files:
            path.unlink(missing_ok=True)

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
        place = self._store.path(member.digest)  # where it has become a blob meanwhile
        return (member.path if member.path.exists() else place).read_bytes()


class _Reader:
    """Bytes of a stream in the portions of a tar archive."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = b""
        self._padding = 0

    async def header(self) -> bytes | None:
        """The next header; ``None`` at the end of the archive, or where a block of zeros says so."""
        await self._drop(self._padding)
        header = b"".join([piece async for piece in self._pieces(BLOCK)])
        if not header.strip(b"\0"):
            return None
        if len(header) < BLOCK:
            raise InvalidParameter("the archive ends early")
        _check(header)
        return header

    async def portion(self, size: int) -> AsyncIterator[bytes]:
        """The content of a member."""
        self._padding = -size % BLOCK
        done = 0
        async for piece in self._pieces(size):
            done += len(piece)
            yield piece
        if done < size:
            raise InvalidParameter("the archive ends early")

    async def skip(self, size: int) -> None:
        """Passes over a member's content."""
        async for _ in self.portion(size):
            pass

    async def drain(self) -> None:
        """Reads what follows the archive, so that who sends it is not cut off."""
        self._rest = b""
        async for _ in self._chunks:
            pass

    async def _drop(self, size: int) -> None:
        async for _ in self._pieces(size):
            pass
        self._padding = 0

    async def _pieces(self, size: int) -> AsyncIterator[bytes]:
        while size:
            piece = self._rest or await anext(self._chunks, b"")
            if not piece:
                return
            taken, self._rest = piece[:size], piece[size:]
            size -= len(taken)
            yield taken


def _normal(name: str) -> str:
    return posixpath.normpath(posixpath.join("/", name)).lstrip("/")


def _check(header: bytes) -> None:
    stored = _number(header[148:156])
    if sum(header) - sum(header[148:156]) + 8 * 32 != stored:
        raise InvalidParameter("not a tar archive: a header has a wrong checksum")


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


async def _extension(reader: _Reader, size: int) -> bytes:
    if size > EXTENSION_MAX:
        raise InvalidParameter(
            f"the archive has an extended header of {size} bytes; at most {EXTENSION_MAX} are allowed"
        )
    return b"".join([piece async for piece in reader.portion(size)])


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
