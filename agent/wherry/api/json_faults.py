"""What is wrong with a JSON text, in the words of Go's decoder: clients and their tests look for them."""

from __future__ import annotations

import json

EXPECTED = {
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Expecting value": "looking for beginning of value",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
}
"""Python's words, and what Go says after the character at fault."""

_QUOTED = {"'": "'\\''", "\n": "'\\n'", "\r": "'\\r'", "\t": "'\\t'"}


def explain(fault: json.JSONDecodeError) -> str:
    """One sentence that begins with ``invalid JSON``."""
    if fault.msg == "Extra data":
        return "unexpected content after JSON"
    words = next((words for start, words in EXPECTED.items() if fault.msg.startswith(start)), None)
    position = fault.pos + (1 if fault.msg.startswith("Invalid \\escape") else 0)
    if fault.msg.startswith("Unterminated string") or position >= len(fault.doc.rstrip()):
        return "invalid JSON: unexpected EOF"
    if words is None:
        return f"invalid JSON: {fault.msg} at character {fault.pos}"
    return f"invalid JSON: invalid character {_shown(fault.doc[position])} {words}"


def _shown(character: str) -> str:
    """As Go quotes it."""
    return _QUOTED.get(character, f"'{character}'")
