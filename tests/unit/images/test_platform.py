"""The entry of an index that fits a machine best is chosen."""

from __future__ import annotations

import pytest

from wherry.errors import InvalidParameter, NotFound
from wherry.images.platform import Platform, choose, normalise, parse


def offers(*texts: str) -> list[tuple[int, Platform]]:
    """An index with these platforms, in order."""
    return [(number, normalise(*text.split("/"))) for number, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("wanted", "index", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
        ("linux/x86_64", ["linux/amd64"], 0),
        ("linux/arm64", ["linux/arm64/v8"], 0),
        ("linux/arm64/v8", ["linux/arm64"], 0),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v7"], 2),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6"], 1),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
        ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1),
        ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], 1),
        ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ("arm64", ["linux/amd64", "linux/arm64"], 1),
    ],
)
def test_best_entry_is_chosen(wanted: str, index: list[str], expected: int) -> None:
    assert choose(offers(*index), parse(wanted)) == expected


@pytest.mark.parametrize(
    ("wanted", "index"),
    [("linux/amd64", []), ("linux/amd64", ["linux/arm64"]), ("linux/amd64", ["windows/amd64"]),
     ("linux/amd64", ["linux/amd64/v3"]), ("linux/arm/v6", ["linux/arm/v7"]), ("linux/amd64", ["unknown/unknown"])],
)  # fmt: skip
def test_what_cannot_run_is_not_chosen(wanted: str, index: list[str]) -> None:
    with pytest.raises(NotFound, match=f"no matching manifest for {wanted} in the manifest list entries"):
        choose(offers(*index), parse(wanted))


@pytest.mark.parametrize("text", ["", "/", "linux/", "linux/amd64/v1/x", "//"])
def test_malformed_platforms_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="platform"):
        parse(text)
