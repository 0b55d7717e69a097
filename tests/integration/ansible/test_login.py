"""Logging in and out: credentials are checked, kept as Docker's clients keep them, and never shown."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry

PORT = 5079
ADDRESS = f"127.0.0.1:{PORT}"
HELPER = """#!/bin/sh
kept=$(dirname "$0")/kept
case $1 in
get) if [ -f "$kept" ]; then cat "$kept"; else echo "credentials not found in native keychain"; exit 1; fi ;;
store) cat >"$kept" ;;
erase) rm -f "$kept" ;;
esac
"""


@pytest.fixture(scope="module")
def registry(agent: PrivateAgent) -> Iterator[Registry]:
    with Registry(agent.enter, PORT, users={"deploy": "login-secret"}) as running:
        yield running


@pytest.fixture
def task(registry: Registry, tmp_path: Path) -> dict[str, Any]:
    """The options of a login; the file is in a directory that is not there yet."""
    del registry
    config = str(tmp_path / "new" / "config.json")
    return {"registry_url": ADDRESS, "username": "deploy", "password": "login-secret", "config_path": config}


def test_credentials_are_checked_kept_and_forgotten(play: Play, task: dict[str, Any]) -> None:
    gone = {"registry_url": ADDRESS, "config_path": task["config_path"], "state": "absent"}
    check, run, again, forced, out_check, out, out_again = play([
        Task("login", task, check=True), Task("login", task), Task("login", task),
        Task("login", {**task, "reauthorize": True}),
        Task("login", gone, check=True), Task("login", gone), Task("login", gone),
    ])  # fmt: skip
    steps = (check, run, again, forced, out_check, out, out_again)
    assert [step["changed"] for step in steps] == [True, True, False, True, True, True, False]
    assert run["login_results"]["Status"] == "Login Succeeded"
    assert "login-secret" not in str(steps)
    assert json.loads(Path(task["config_path"]).read_text())["auths"] == {}


def test_the_file_is_private_and_what_else_it_says_stays(play: Play, task: dict[str, Any]) -> None:
    config = Path(task["config_path"])
    config.parent.mkdir()
    config.write_text(json.dumps({"auths": {"other.example.com": {"auth": "eDp5"}}, "detachKeys": "ctrl-x"}))
    play([Task("login", task)])
    content = json.loads(config.read_text())
    assert content["detachKeys"] == "ctrl-x"
    assert content["auths"]["other.example.com"] == {"auth": "eDp5"}
    assert content["auths"][ADDRESS] == {"auth": "ZGVwbG95OmxvZ2luLXNlY3JldA=="}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert list(config.parent.iterdir()) == [config]


def test_wrong_credentials_and_bad_files_are_named(play: Play, task: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "helped.json").write_text(json.dumps({"credsStore": "../../evil"}))
    wrong, missing, bad, helper = play([
        Task("login", {**task, "password": "guess"}, check=True),
        Task("login", {"registry_url": ADDRESS}),
        Task("login", {**task, "config_path": str(tmp_path / "bad.json")}),
        Task("login", {**task, "config_path": str(tmp_path / "helped.json")}),
    ])  # fmt: skip
    assert all(step["failed"] for step in (wrong, missing, bad, helper))
    assert "unauthorized" in wrong["msg"]
    assert "username, password" in missing["msg"]
    assert "is no JSON" in bad["msg"]
    assert "docker-credential-../../evil" in helper["msg"]
    assert not Path(task["config_path"]).exists()


def test_a_credential_helper_keeps_them(
    play: Play, task: dict[str, Any], tmp_path: Path, ansible_environment: dict[str, str]
) -> None:
    program = tmp_path / "docker-credential-lab"
    program.write_text(HELPER)
    program.chmod(0o755)
    config = tmp_path / "helped.json"
    config.write_text(json.dumps({"credHelpers": {ADDRESS: "lab"}}))
    task["config_path"] = str(config)
    before = ansible_environment["PATH"]
    ansible_environment["PATH"] = f"{tmp_path}:{before}"
    try:
        run, again, out = play([
            Task("login", task), Task("login", task), Task("login", {**task, "state": "absent"}),
        ])  # fmt: skip
    finally:
        ansible_environment["PATH"] = before
    assert [step["changed"] for step in (run, again, out)] == [True, False, True]
    assert not (tmp_path / "kept").exists()
    assert "auths" not in json.loads(config.read_text())
