"""Rules choose endpoints by the longest prefix, hold at once, and are refused with field, value and what is allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherry.errors import Forbidden, InvalidParameter
from wherry.registry.credentials import Credentials
from wherry.registry.mirror_rules import parse_rule, rule_json
from wherry.registry.mirrors import Candidate, Mirrors, RegistrySettings
from wherry.state.database import Database
from wherry.state.mirrors import MirrorTable

GIVEN = Credentials("alice", "secret")


@pytest.fixture
def table(tmp_path: Path) -> MirrorTable:
    """The real table, in a database of its own."""
    return MirrorTable(Database(tmp_path / "state.db"))


def asked(candidates: Any) -> list[str]:
    """Where is asked, in order, as host/path."""
    return [f"{one.name}/{one.path}" for one in candidates]


def test_without_rules_only_the_registry_is_asked(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(), table)
    assert asked(mirrors.candidates("docker.io/library/x", None)) == ["registry-1.docker.io/library/x"]
    assert asked(mirrors.candidates("r.test:5000/a/b", None)) == ["r.test:5000/a/b"]


def test_configured_mirrors_are_for_the_hub_alone(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(hub_mirrors=("https://m.test", "http://n.test:5000")), table)
    found = mirrors.candidates("docker.io/library/x", GIVEN)
    assert asked(found) == ["m.test/library/x", "n.test:5000/library/x", "registry-1.docker.io/library/x"]
    assert [one.credentials for one in found] == [None, None, GIVEN]
    assert [one.endpoint.plain_http for one in found] == [False, True, False]
    assert asked(mirrors.candidates("r.test/x", None)) == ["r.test/x"]


def test_longest_prefix_wins_and_paths_are_rewritten(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(), table)
    mirrors.set({"prefix": "r.test", "mirrors": ["m.test/cache"]})
    mirrors.set({"prefix": "r.test/team", "mirrors": [{"location": "t.test:5000/own"}], "fallback": False})
    mirrors.set({"prefix": "*.corp.test", "mirrors": ["wild.test/all"]})
    assert asked(mirrors.candidates("r.test/a/b", None)) == ["m.test/cache/a/b", "r.test/a/b"]
    assert asked(mirrors.candidates("r.test/team/b", None)) == ["t.test:5000/own/b"]
    assert asked(mirrors.candidates("r.test/teamwork", None)) == ["m.test/cache/teamwork", "r.test/teamwork"]
    assert asked(mirrors.candidates("a.corp.test/b", None)) == ["wild.test/all/b", "a.corp.test/b"]
    mirrors.remove("r.test/team")
    assert asked(mirrors.candidates("r.test/team/b", None)) == ["m.test/cache/team/b", "r.test/team/b"]


def test_rules_are_kept_with_their_secrets(table: MirrorTable) -> None:
    rule = {"prefix": "r.test", "mirrors": [{"location": "m.test", "username": "bob", "password": "pw"}]}
    Mirrors(RegistrySettings(), table).set(rule)
    found = Mirrors(RegistrySettings(), table).candidates("r.test/x", GIVEN)
    assert found[0].credentials == Credentials("bob", "pw")
    assert "pw" not in str(rule_json(parse_rule(rule), secrets=False))
    assert parse_rule(rule_json(parse_rule(rule), secrets=True)) == parse_rule(rule)


def test_origin_can_move_and_be_blocked(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(), table)
    mirrors.set({"prefix": "old.test", "location": "new.test/old", "insecure": True})
    found = mirrors.candidates("old.test/x", GIVEN)
    assert asked(found) == ["new.test/old/x"] and found[0].endpoint.insecure and not found[0].mirror
    mirrors.set({"prefix": "bad.test", "blocked": True})
    with pytest.raises(Forbidden, match=r"bad\.test/x is blocked by the registry rule for bad\.test"):
        mirrors.candidates("bad.test/x", None)


def test_dead_mirror_goes_last_until_it_lives_again(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(hub_mirrors=("a.test", "b.test")), table)

    def order() -> list[Candidate]:
        return list(mirrors.candidates("docker.io/x", None))

    first = order()[0]
    mirrors.note_dead(first, "no answer")
    assert [one.name for one in order()] == ["b.test", "a.test", "registry-1.docker.io"]
    assert mirrors.passed_over(order()[1])
    mirrors.note_alive(first)
    assert [one.name for one in order()] == ["a.test", "b.test", "registry-1.docker.io"]


def test_insecure_registries_are_found_by_name_and_network(table: MirrorTable) -> None:
    mirrors = Mirrors(RegistrySettings(insecure=("lab.test:5000", "10.0.0.0/8", "[fd00::1]:5000")), table)
    secure = {
        name: not mirrors.candidates(f"{name}/x", None)[0].endpoint.insecure
        for name in (
            "lab.test:5000",
            "lab.test",
            "10.1.2.3:80",
            "11.1.2.3",
            "127.0.0.1:5000",
            "localhost",
            "[::1]:5000",
        )
    }
    assert secure == {
        "lab.test:5000": False, "lab.test": True, "10.1.2.3:80": False, "11.1.2.3": True, "127.0.0.1:5000": False,
        "localhost": False, "[::1]:5000": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "prefix: not the beginning of an image name; a registry's host"),
        ({"prefix": "https://r.test"}, 'prefix: "https://r.test"'),
        ({"prefix": "r.test", "mirors": []}, "mirors: unknown option; known are"),
        ({"prefix": "r.test", "mirrors": "m"}, 'mirrors: "m": must be a list'),
        ({"prefix": "r.test", "mirrors": ["ftp://m"]}, 'mirrors[0].location: "ftp://m": not a registry\'s address'),
        ({"prefix": "r.test", "mirrors": ["m:70000"]}, "port 1 to 65535"),
        ({"prefix": "r.test", "mirrors": ["m?x"]}, "mirrors[0].location"),
        ({"prefix": "r.test", "mirrors": [{"location": "m", "capabilities": ["push"]}]}, "pull and resolve are known"),
        ({"prefix": "r.test", "mirrors": [{"location": "m", "insecure": "yes"}]}, "mirrors[0].insecure"),
        ({"prefix": "r.test", "mirrors": [{"location": "m", "username": "x"}]}, "mirrors[0].password"),
        ({"prefix": "r.test", "mirrors": [{"location": "m", "ca": "relative.pem"}]}, "an absolute path"),
        ({"prefix": "r.test", "mirrors": [{"location": "m", "ca": "/nowhere.pem"}]}, "no such file"),
        ({"prefix": "r.test", "fallback": False}, "nothing is left to ask"),
        ({"prefix": "*.test", "insecure": True}, "no location of its own"),
    ],
)
def test_bad_rules_are_refused_and_change_nothing(table: MirrorTable, body: dict[str, Any], message: str) -> None:
    mirrors = Mirrors(RegistrySettings(), table)
    with pytest.raises(InvalidParameter) as caught:
        mirrors.set(body)
    assert message in str(caught.value)
    assert list(mirrors.list()) == [] and table.load() == []
