"""Errors say what was asked, what is wrong and what is allowed."""

from __future__ import annotations

import pytest

from wherry import errors
from wherry.errors import InvalidParameter, WherryError


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InvalidParameter("is wrong"), "is wrong"),
        (InvalidParameter("is wrong", field="mtu"), "mtu: is wrong"),
        (InvalidParameter("is wrong", field="mtu", value="x", allowed="a number"), 'mtu: "x": is wrong; a number'),
        (InvalidParameter("is wrong", value=0), '"0": is wrong'),
    ],
)
def test_sentence_is_made_of_what_is_known(error: WherryError, sentence: str) -> None:
    assert str(error) == sentence


def test_every_class_has_a_status_of_its_own() -> None:
    classes = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, WherryError)]
    statuses = [found.status for found in classes if found is not WherryError]
    assert len(set(statuses)) == len(statuses)
    assert all(400 <= status < 600 or status == 304 for status in statuses)
