"""``links``: other containers, each by a further name."""

from __future__ import annotations

from typing import Any

from wherry.engine.documents import fields
from wherry.errors import InvalidParameter


def read(value: Any, where: str) -> tuple[str, ...]:
    """``NAME:ALIAS`` entries; ``NAME`` alone is its own alias."""
    return fields.list_of(_link)(value, where)


def _link(value: Any, where: str) -> str:
    name, colon, alias = fields.filled(value, where).partition(":")
    name = name.removeprefix("/")
    if not name or (colon and not alias) or ":" in alias:
        raise InvalidParameter("is not a link", field=where, value=value, allowed="NAME or NAME:ALIAS")
    return f"{name}:{alias or name}"
