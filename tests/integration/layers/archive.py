"""Layers made byte by byte, so that they can also say what no honest writer says."""

from __future__ import annotations

from collections.abc import Mapping

BLOCK = 512
END = bytes(2 * BLOCK)
LARGEST_OCTAL = {8: 0o7777777, 12: 0o77777777777}


def member(
    name: bytes,
    data: bytes = b"",
    *,
    kind: bytes = b"0",
    mode: int = 0o644,
    uid: int = 0,
    gid: int = 0,
    mtime: int = 1_700_000_000,
    size: int | None = None,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: int | None = None,
) -> bytes:
    """One header with its data, padded. ``size`` can say something else than the length of ``data``."""
    fields = [
        name.ljust(100, b"\0"),
        number(mode, 8),
        number(uid, 8),
        number(gid, 8),
        number(len(data) if size is None else size, 12),
        number(mtime, 12),
        b" " * 8,
        kind,
        link.ljust(100, b"\0"),
        magic,
        bytes(64),
        number(device[0], 8),
        number(device[1], 8),
        prefix.ljust(155, b"\0"),
    ]
    header = b"".join(fields).ljust(BLOCK, b"\0")
    if checksum is None:
        checksum = sum(header)
    return header[:148] + b"%06o\0 " % checksum + header[156:] + data + padding(len(data))


def number(value: int, width: int) -> bytes:
    """Octal where it fits, base 256 where it does not."""
    if 0 <= value <= LARGEST_OCTAL[width]:
        return b"%0*o\0" % (width - 1, value)
    encoded = bytearray(value.to_bytes(width, "big", signed=True))
    encoded[0] |= 0x80
    return bytes(encoded)


def padding(length: int) -> bytes:
    """What fills the last block."""
    return bytes(-length % BLOCK)


def pax(records: Mapping[bytes, bytes]) -> bytes:
    """An extended header for the member that follows."""
    return raw_pax(b"".join(record(key, value) for key, value in records.items()))


def raw_pax(text: bytes) -> bytes:
    """The same from text that need not be well-formed."""
    return member(b"PaxHeaders/x", text, kind=b"x")


def record(key: bytes, value: bytes) -> bytes:
    """``LENGTH KEY=VALUE``, the length counting itself."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def directory(name: bytes, **fields: int) -> bytes:
    """A directory, mode 0755 unless told otherwise."""
    return member(name, kind=b"5", **{"mode": 0o755, **fields})


def symlink(name: bytes, target: bytes) -> bytes:
    """A symbolic link."""
    return member(name, kind=b"2", link=target, mode=0o777)


def hard_link(name: bytes, target: bytes) -> bytes:
    """A hard link to another member."""
    return member(name, kind=b"1", link=target)
