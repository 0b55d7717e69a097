"""No option is accepted and then ignored."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import wherry
from wherry.config import Config
from wherry.config_options import BY_KEY, FIXED, REFUSED

AGENT = Path(wherry.__file__).parent


def test_every_option_is_read_by_some_part_of_the_agent() -> None:
    files = [path for path in AGENT.rglob("*.py") if not path.name.startswith("config_")]
    text = "\n".join(path.read_text() for path in files)
    unread = [
        field.name
        for field in fields(Config)
        if not re.search(rf"(?<![a-z0-9_])(_?config|settings|defaults|self)\.{field.name}\b", text)
    ]
    assert unread == [], "accepted and ignored"


def test_every_option_has_a_field() -> None:
    names = {field.name for field in fields(Config)}
    assert {option.field for option in BY_KEY.values()} <= names


def test_no_option_is_both_taken_and_refused() -> None:
    assert not set(BY_KEY) & set(FIXED) and not set(BY_KEY) & set(REFUSED) and not set(FIXED) & set(REFUSED)
