"""Signals by name or number, as clients write them."""

from __future__ import annotations

import signal

from wherry.errors import InvalidParameter

LARGEST = 64
_NAMES = {name: int(number) for name, number in signal.Signals.__members__.items()}


def parse(text: str) -> int:
    """``SIGTERM``, ``term``, ``15``, ``RTMIN+3``, ``RTMAX-1`` as a number; raises ``InvalidParameter``."""
    if text.isascii() and text.isdigit():
        number = int(text) if len(text) < 4 else 0
    else:
        number = _named(text.upper().removeprefix("SIG"))
    if not 1 <= number <= LARGEST:
        raise InvalidParameter(f"Invalid signal: {text}")
    return number


def _named(name: str) -> int:
    for base, sign in (("RTMIN", 1), ("RTMAX", -1)):
        rest = name.removeprefix(base)
        if rest != name and rest[:1] in ("", "+", "-") and rest[1:].isdigit() == bool(rest):
            return _NAMES[f"SIG{base}"] + sign * int(rest[1:] or 0)
    return _NAMES.get(f"SIG{name}", 0)
