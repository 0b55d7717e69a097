"""Sizes and numbers of CPUs as people write them: ``512M`` is 536870912 bytes, ``1.5`` CPUs are 1.5e9 nano-CPUs."""

from __future__ import annotations

import re
from typing import Any

from wherry.engine.documents.fields import Reader, text
from wherry.errors import InvalidParameter

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[kKmMgGtTpP]?)(?:[iI]?[bB])?")
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_ALLOWED_SIZE = 'a number with B, K, M, G, T or P behind it, such as "512M"'
LARGEST_SIZE = (1 << 63) - 1
NANO = 1_000_000_000


def size(value: Any, where: str) -> int:
    """Bytes from ``1g``, ``512MiB``, ``1024`` or a number; units are powers of 1024."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_SIZE:
        return value
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    found = int(float(match["number"]) * _FACTORS[match["unit"].lower()]) if match else -1
    if match and match["number"].isdecimal():
        found = int(match["number"]) * _FACTORS[match["unit"].lower()]
    if not 0 <= found <= LARGEST_SIZE:
        raise InvalidParameter("is not a size", field=where, value=value, allowed=_ALLOWED_SIZE)
    return found


def size_or_unlimited(value: Any, where: str) -> int:
    """As ``size``; ``unlimited`` and -1 are -1."""
    return -1 if value in {"unlimited", "-1", -1} else size(value, where)


def memory(unlimited: bool = False) -> Reader[int]:
    """The reader of a memory limit: 0 (none) or at least 6 MiB, as Docker has it."""
    smallest = 6 << 20

    def read(value: Any, where: str) -> int:
        found = size_or_unlimited(value, where) if unlimited else size(value, where)
        if 0 < found < smallest:
            raise InvalidParameter(
                "is below the smallest memory limit", field=where, value=value, allowed="at least 6M"
            )
        return found

    return read


def nano_cpus(value: Any, where: str) -> int:
    """Nano-CPUs from a number of CPUs, fractions allowed."""
    try:
        found = -1.0 if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found < 1 << 20:
        raise InvalidParameter("is not a number of CPUs", field=where, value=value, allowed='such as "1.5"')
    return round(found * NANO)


def cpu_set(value: Any, where: str) -> str:
    """A list of CPUs or memory nodes, ``0-3,6`` (cpuset(7), "List format"), in one canonical spelling."""
    numbers: set[int] = set()
    for part in text(value, where).replace(" ", "").split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            raise InvalidParameter("is not a list of numbers", field=where, value=value, allowed='such as "0-3,6"')
        numbers.update(range(first, last + 1))
    return _spelled(sorted(numbers))


def _spelled(numbers: list[int]) -> str:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def canonical_cpu_set(recorded: str) -> str:
    """A recorded list in the canonical spelling; the empty one stays empty."""
    return cpu_set(recorded, "cpuset") if recorded else ""
