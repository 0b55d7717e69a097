"""Points in time as Engine API clients write them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timezone

from wherry.errors import InvalidParameter

NANOSECONDS = 1_000_000_000

_UNIX = re.compile(r"(-?\d{1,12})(?:\.(\d{1,9})\d*)?")
_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANOSECONDS,
    "m": 60 * NANOSECONDS,
    "h": 3600 * NANOSECONDS,
}


def parse_time(text: str, field: str) -> int | None:
    """Nanoseconds since the epoch, None for an empty text.

    Seconds with a fraction, RFC 3339 with or without time and zone, or a duration back from now (``10m``, ``1h30m``),
    as ``docker events --since`` takes them. Raises InvalidParameter naming ``field``.
    """
    if not text:
        return None
    if match := _UNIX.fullmatch(text):
        seconds, fraction = int(match[1]), _fraction(match[2])
        return seconds * NANOSECONDS + (-fraction if text.startswith("-") else fraction)
    if match := _DATE.fullmatch(text):
        return _from_date(match, text, field)
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        return time.time_ns() - sum(int(float(number) * _UNITS[unit]) for number, unit in parts)
    raise _bad(text, field)


def _from_date(match: re.Match[str], text: str, field: str) -> int:
    zone = (match[4] or "+00:00").replace("Z", "+00:00")
    try:
        moment = datetime.fromisoformat(f"{match[1]}T{match[2] or '00:00:00'}").replace(tzinfo=_zone(zone))
    except ValueError:
        raise _bad(text, field) from None
    return int(moment.timestamp()) * NANOSECONDS + _fraction(match[3])


def _zone(text: str) -> timezone:
    zone = datetime.strptime(text, "%z").tzinfo
    assert isinstance(zone, timezone)
    return zone


def _fraction(digits: str | None) -> int:
    return int(digits.ljust(9, "0")) if digits else 0


def _bad(text: str, field: str) -> InvalidParameter:
    return InvalidParameter(
        "is not a point in time",
        field=field,
        value=text,
        allowed="seconds since 1970, an RFC 3339 date, or a duration back from now such as 10m",
    )
