"""Identifiers and generated names."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

DEFAULT_DATA_ROOT = Path("/var/lib/wherry")
SHORT_ID_LENGTH = 12


def new_id() -> str:
    """64 hexadecimal digits, as Docker's object ids; the first twelve are never all decimal digits.

    A short id of decimal digits alone would be a legal host name that resolvers take for an address.
    """
    while True:
        value = secrets.token_hex(32)
        if not value[:SHORT_ID_LENGTH].isdigit():
            return value


def instance_of(data_root: Path) -> str:
    """The name that all which this agent makes in the kernel carries; see docs/internals.md, "Instance"."""
    if data_root == DEFAULT_DATA_ROOT:
        return "wherry"
    return "w" + hashlib.sha256(str(data_root).encode()).hexdigest()[:6]
