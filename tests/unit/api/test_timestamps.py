"""Points in time as clients write them."""

from __future__ import annotations

import time

import pytest

from wherry.api.timestamps import parse_time
from wherry.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("0", 0),
        ("1136073600", 1136073600_000000000),
        ("1136073600.000000001", 1136073600_000000001),
        ("1136073600.5", 1136073600_500000000),
        ("2006-01-01T00:00:00Z", 1136073600_000000000),
        ("2006-01-01T01:00:00+01:00", 1136073600_000000000),
        ("2006-01-01T00:00:00.123456789Z", 1136073600_123456789),
        ("2006-01-01", 1136073600_000000000),
        ("2006-01-01T00:00", 1136073600_000000000),
    ],
)
def test_times_are_read_to_the_nanosecond(text: str, expected: int | None) -> None:
    assert parse_time(text, "since") == expected


def test_duration_counts_back_from_now() -> None:
    found = parse_time("1h30m", "since")
    assert found is not None
    assert abs(time.time_ns() - 5400 * 10**9 - found) < 10**9


@pytest.mark.parametrize("text", ["yesterday", "2006-13-01", "10x", "1e9", "-", "2006-01-01T25:00:00Z"])
def test_what_is_no_time_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidParameter, match="since"):
        parse_time(text, "since")
