"""Columns for people to read."""

from __future__ import annotations

import time
from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
_AGES = (
    (86400 * 365, "year"),
    (86400 * 30, "month"),
    (86400 * 7, "week"),
    (86400, "day"),
    (3600, "hour"),
    (60, "minute"),
)


def show(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table whose columns are as wide as what they hold."""
    lines = [list(titles), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        print("   ".join(cells).rstrip())


def size(count: int) -> str:
    """Bytes as a person says them, in powers of 1000."""
    value = float(count)
    for unit in _UNITS:
        if value < 1000 or unit == _UNITS[-1]:
            return f"{value:.3g}{unit}"
        value /= 1000
    return str(count)


def age(created: float) -> str:
    """How long ago a time in seconds since the epoch was."""
    seconds = max(int(time.time() - created), 0)
    for length, name in _AGES:
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' if count > 1 else ''} ago"
    return f"{seconds} seconds ago"
