"""Times as image documents and filters spell them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

from wherry.errors import InvalidParameter

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def now_text() -> str:
    """The present as RFC 3339 with nanoseconds, in UTC."""
    now = time.time_ns()
    moment = datetime.fromtimestamp(now // 10**9, timezone.utc)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{now % 10**9:09d}Z"


def seconds_of(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0.0 for "" and for what cannot be read.

    A build date is whatever its builder wrote; a strange one is no reason to refuse an image.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        return 0.0
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{clock}{zone}").timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return whole + float(f"0.{fraction or 0}")


def parse_until(text: str) -> float:
    """A moment in a filter: a Unix time, a date, or a duration before now such as ``1h30m``.

    Errors: ``InvalidParameter``.
    """
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _DURATION.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return time.time() - sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds := seconds_of(text):
        return seconds
    for form in ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d"):
        try:
            return (datetime.strptime(text, form) - datetime(1970, 1, 1) + _utc_offset()).total_seconds()
        except ValueError:
            continue
    raise InvalidParameter(
        "invalid filter", field="until", value=text, allowed="a Unix time, a date, or a duration such as 1h30m"
    )


def _utc_offset() -> timedelta:
    """What to add to this machine's local time to get UTC."""
    return timedelta(seconds=time.altzone if time.daylight and time.localtime().tm_isdst else time.timezone)
