"""JSON that a registry or its token service answers with: error lists and token documents."""

from __future__ import annotations

import json
from typing import Any

from wherry.errors import InvalidParameter

MESSAGE_MAX = 300  # characters of a registry's own words that are repeated


def read_object(data: bytes) -> dict[str, Any]:
    """The JSON object in ``data``. Errors: ``InvalidParameter``."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InvalidParameter("not a JSON object")
    return value


def read_error(data: bytes) -> tuple[str, str]:
    """Code and message of the first error in a registry's error document; ("", "") when it is something else."""
    try:
        errors = read_object(data).get("errors")
    except InvalidParameter:
        return "", ""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "", ""
    code, message = first.get("code"), first.get("message")
    return _printable(code), _printable(message)


def _printable(value: object) -> str:
    text = value if isinstance(value, str) else ""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:MESSAGE_MAX])
