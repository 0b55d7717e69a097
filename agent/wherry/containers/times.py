"""Times as the Engine API writes them: RFC 3339 in UTC with nanoseconds."""

from __future__ import annotations

import re
import time
from datetime import datetime

from wherry.errors import InvalidParameter

NANOSECONDS = 1_000_000_000
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)?")


def now() -> str:
    """The present."""
    return render(time.time_ns())


def render(nanoseconds: int) -> str:
    """Nanoseconds since the epoch as text; trailing zeros of the fraction are left out, as Go does."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f".{fraction:09d}".rstrip("0").rstrip(".")
    return f"{whole}{digits}Z"


def parse(text: str) -> int:
    """Nanoseconds since the epoch of RFC 3339 text (0 for what cannot be read, and for times before 1970)."""
    match = _STAMP.fullmatch(text)
    if match is None:
        return 0
    day, clock, fraction, zone = match.groups()
    offset = "+00:00" if zone in (None, "Z") else zone
    try:
        moment = datetime.fromisoformat(f"{day}T{clock}{offset}")
        seconds = int(moment.timestamp())
    except (ValueError, OverflowError):
        return 0
    return max(0, seconds * NANOSECONDS + int((fraction or "").ljust(9, "0")))


def parse_boundary(text: str, field: str) -> int | None:
    """``since`` and ``until`` of a request: seconds with a fraction, or RFC 3339; empty and 0 mean "not given"."""
    if text in ("", "0"):
        return None
    if re.fullmatch(r"-?\d+(\.\d+)?", text):
        seconds, _, fraction = text.partition(".")
        return int(seconds) * NANOSECONDS + int(fraction[:9].ljust(9, "0"))
    if _STAMP.fullmatch(text):
        return parse(text)
    raise InvalidParameter("is not a time", field=field, value=text, allowed="seconds since 1970, or RFC 3339")


def seconds_since(text: str) -> float:
    """How long ago a time was."""
    return max(0.0, time.time() - parse(text) / NANOSECONDS)


def parse_until(text: str) -> int:
    """``until`` of a prune: a time, or how long ago (``24h``, ``1h30m``); nanoseconds since 1970."""
    if re.fullmatch(r"(\d+(\.\d+)?[hms])+", text):
        factors = {"h": 3600, "m": 60, "s": 1}
        ago = sum(float(amount) * factors[unit] for amount, unit in re.findall(r"([\d.]+)([hms])", text))
        return time.time_ns() - int(ago * NANOSECONDS)
    moment = parse_boundary(text, "until")
    if moment is None:
        raise InvalidParameter("is not a time", field="until", value=text)
    return moment


def render_fixed(nanoseconds: int) -> str:
    """As ``render`` with all nine digits of the fraction, the form of timestamps in logs."""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{fraction:09d}Z"


def go_duration(nanoseconds: int) -> str:
    """``1m30s``, ``500ms``: a duration in the words of Go, which clients of Docker know."""
    if nanoseconds < NANOSECONDS:
        return f"{nanoseconds / 1_000_000:g}ms"
    minutes, rest = divmod(nanoseconds, 60 * NANOSECONDS)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / NANOSECONDS:.9f}".rstrip("0").rstrip(".")
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if hours or minutes else "") + f"{seconds}s"
