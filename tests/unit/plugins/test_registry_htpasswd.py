"""The users of a registry: bcrypt that others verify, lines that stay, and no user that is half described."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import bcrypt
import pytest

MODULE = Path(__file__).resolve().parents[3] / "plugins/modules/registry_htpasswd.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("registry_htpasswd", MODULE)
    assert spec is not None and spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


@pytest.mark.parametrize("password", ["x", "correct horse", "pä$$:wörd", "é" * 36])
def test_hashes_are_bcrypt_and_verified_both_ways(module: ModuleType, password: str) -> None:
    crypt = module.load_crypt()
    first, second = (module.new_hash(crypt, password, 4) for _ in range(2))
    assert first != second, "each has a salt of its own"
    assert bcrypt.checkpw(password.encode(), first.encode())
    foreign = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    for known in (first, foreign, "$2y$" + foreign[4:], "$2a$" + foreign[4:]):
        assert module.is_right(crypt, password, known)
        assert not module.is_right(crypt, password[:-1] + "?", known)


@pytest.mark.parametrize("known", ["", "plain", "$apr1$x$y", "$2b$", "$2b$99$short", "{SHA}x"])
def test_other_hashes_are_not_right(module: ModuleType, known: str) -> None:
    assert not module.is_right(module.load_crypt(), "x", known)


@pytest.mark.parametrize(
    ("users", "cost", "message"),
    [
        ([("a:b", "x")], 10, "users[0].name: must be a word without a colon"),
        ([("a\nroot", "x")], 10, "users[0].name"),
        ([("a", "x"), ("a", "y")], 10, "users[1].name: a is listed twice"),
        ([("a", "x" * 73)], 10, "users[0].password: must have 1 to 72 bytes"),
        ([("a", "x\ny")], 10, "users[0].password"),
        ([("a", "")], 10, "users[0].password"),
        ([("a", "x")], 31, "cost: 31: must be from 4 to 17"),
    ],
)
def test_bad_users_are_named(module: ModuleType, users: list[tuple[str, str]], cost: int, message: str) -> None:
    given = [{"name": name, "password": password} for name, password in users]
    assert message in module.complaint(given, cost)
