"""The two forms of output on the wire: raw, and frames that tell stdout from stderr (Engine API, attach)."""

from __future__ import annotations

import struct

from wherry.api.response import MULTIPLEXED_STREAM, RAW_STREAM
from wherry.errors import InvalidParameter

FIRST_MULTIPLEXED_TYPE = (1, 42)
"""The API version from which the content type tells the form."""

STREAM_NUMBERS = {"stdin": 0, "stdout": 1, "stderr": 2}
_HEADER = struct.Struct(">BxxxI")


def frame(stream: int, data: bytes) -> bytes:
    """One frame: stream number, three zero bytes, length, content."""
    return _HEADER.pack(stream, len(data)) + data


def content_type(version: tuple[int, int], *, tty: bool) -> str:
    """Older clients know only the raw type, whatever the form."""
    return RAW_STREAM if tty or version < FIRST_MULTIPLEXED_TYPE else MULTIPLEXED_STREAM


def parse_detach_keys(text: str) -> bytes:
    """``ctrl-p,ctrl-q`` or ``a,b`` as the bytes that a terminal sends; empty text is the default."""
    keys = [_key(part) for part in (text or "ctrl-p,ctrl-q").split(",")]
    if None in keys:
        raise InvalidParameter(f"Invalid detach keys ({text}) provided")
    return bytes(key for key in keys if key is not None)


def _key(part: str) -> int | None:
    if len(part) == 1 and part.isascii():
        return ord(part)
    if part.startswith("ctrl-") and len(part) == 6:
        character = part[5]
        if "a" <= character <= "z":
            return ord(character) - ord("a") + 1
        special = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}
        return special.get(character)
    return None


class DetachFilter:
    """Looks for the detach keys in what a terminal sends, over the borders of reads."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._held = b""
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """What may go on to the container; a beginning of the sequence is held back until it is decided."""
        passed = bytearray()
        for byte in data:
            self._held += bytes((byte,))
            if self._held == self._keys:
                self._held, self.detached = b"", True
                break
            while self._held and not self._keys.startswith(self._held):
                passed.append(self._held[0])
                self._held = self._held[1:]
        return bytes(passed)
