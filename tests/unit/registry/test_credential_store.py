"""Credentials at rest: config.json as Docker has it, and helpers by the protocol of docker-credential-helpers."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from wherry.errors import InvalidParameter, SystemFailure
from wherry.registry import credential_helper
from wherry.registry.credential_helper import CredentialHelper
from wherry.registry.credential_store import CredentialStore
from wherry.registry.credentials import Credentials, parse_registry_config_header

HELPER = """#!/usr/bin/python3
import json, os, sys
path = os.environ["HELPER_FILE"]
known = json.load(open(path)) if os.path.exists(path) else {}
given = sys.stdin.read()
open(path + ".calls", "a").write(sys.argv[1] + " " + given.split(chr(10))[0][:60] + chr(10))
if sys.argv[1] == "get":
    if given not in known:
        print("credentials not found in native keychain")
        sys.exit(1)
    print(json.dumps(known[given]))
elif sys.argv[1] == "store":
    entry = json.loads(given)
    known[entry["ServerURL"]] = entry
elif sys.argv[1] == "erase":
    known.pop(given, None)
elif sys.argv[1] == "list":
    print(json.dumps({key: entry["Username"] for key, entry in known.items()}))
json.dump(known, open(path, "w"))
"""


@pytest.fixture
def store(tmp_path: Path) -> CredentialStore:
    return CredentialStore(tmp_path / "docker" / "config.json")


@pytest.fixture
def helper_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A helper docker-credential-lab in PATH; the file in which it keeps things."""
    program = tmp_path / "bin" / "docker-credential-lab"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("HELPER_FILE", str(tmp_path / "kept.json"))
    return tmp_path / "kept.json"


def write(store: CredentialStore, **content: Any) -> None:
    store.path.parent.mkdir(exist_ok=True)
    store.path.write_text(json.dumps(content))


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def found(store: CredentialStore, name: str) -> tuple[str, str] | None:
    credentials = asyncio.run(store.find(name))
    return (credentials.username, credentials.password) if credentials else None


def test_entries_are_found_as_docker_and_podman_write_them(store: CredentialStore) -> None:
    assert found(store, "r.test/x") is None
    write(store, auths={
        "https://index.docker.io/v1/": auth("hub:1"), "r.test:5000": auth("r:2"), "https://old.test/v2/": auth("o:3"),
        "r.test:5000/team": auth("team:4"), "broken.test": {"auth": "%"}, "empty.test": {},
    })  # fmt: skip
    assert found(store, "docker.io/library/busybox") == ("hub", "1")
    assert found(store, "r.test:5000/x") == ("r", "2")
    assert found(store, "r.test:5000/team/x") == ("team", "4")
    assert found(store, "r.test:5000/teamwork") == ("r", "2")
    assert found(store, "old.test/x") == ("o", "3")
    for name in ("r.test/x", "other.test/x", "broken.test/x", "empty.test/x"):
        assert found(store, name) is None


def test_what_is_kept_leaves_the_rest_of_the_file_alone(store: CredentialStore) -> None:
    write(store, auths={"a.test": auth("a:1")}, HttpHeaders={"X": "y"})
    store.path.chmod(0o600)
    kept = asyncio.run(store.keep("docker.io", Credentials("hub", "p:w")))
    document = json.loads(store.path.read_text())
    assert kept == str(store.path) and store.path.stat().st_mode & 0o777 == 0o600
    assert document["HttpHeaders"] == {"X": "y"} and set(document["auths"]) == {"a.test", "https://index.docker.io/v1/"}
    assert found(store, "docker.io/x") == ("hub", "p:w")
    assert asyncio.run(store.forget("docker.io")) and not asyncio.run(store.forget("docker.io"))
    assert found(store, "a.test/x") == ("a", "1") and found(store, "docker.io/x") is None
    assert [entry.name for entry in store.path.parent.iterdir()] == ["config.json"]


def test_new_file_is_the_users_alone_and_a_link_stays(store: CredentialStore, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "auth.json"
    store.path.parent.mkdir()
    store.path.symlink_to(real)
    asyncio.run(store.keep("r.test", Credentials("u", identity_token="tok")))
    assert store.path.is_symlink() and real.stat().st_mode & 0o777 == 0o600
    entry = json.loads(real.read_text())["auths"]["r.test"]
    assert entry["identitytoken"] == "tok" and base64.b64decode(entry["auth"]) == b"u:"


@pytest.mark.parametrize("content", ["{", "[]", '{"auths": {"r.test": {"auth": 3}}}', '{"auths": []}', ""])
def test_odd_files_break_nothing(store: CredentialStore, content: str) -> None:
    store.path.parent.mkdir()
    store.path.write_text(content)
    if content in ("{", "[]"):
        with pytest.raises(InvalidParameter, match=r"config\.json: not a JSON object"):
            asyncio.run(store.find("r.test/x"))
        with pytest.raises(InvalidParameter):
            asyncio.run(store.keep("r.test", Credentials("u", "p")))
        assert store.path.read_text() == content
    else:
        assert found(store, "r.test/x") is None


def test_helper_of_the_registry_comes_before_that_of_all(store: CredentialStore, helper_file: Path) -> None:
    write(
        store, credsStore="lab", credHelpers={"file.test": ""}, auths={"file.test": auth("f:1"), "r.test": auth("x:y")}
    )
    assert found(store, "file.test/x") == ("f", "1"), "an empty helper means the file"
    assert found(store, "r.test/x") is None, "the helper is asked, not the file"
    assert asyncio.run(store.keep("r.test", Credentials("u", "p"))) == "docker-credential-lab"
    assert asyncio.run(store.keep("docker.io", Credentials("ident", identity_token="tok"))) == "docker-credential-lab"
    assert found(store, "r.test/x") == ("u", "p")
    hub = asyncio.run(store.find("docker.io/x"))
    assert hub is not None and hub.identity_token == "tok" and hub.username == ""
    assert json.loads(store.path.read_text())["auths"]["r.test"] == auth("x:y"), "no secret comes into the file"
    assert asyncio.run(CredentialHelper("lab").list()) == {"r.test": "u", "https://index.docker.io/v1/": "<token>"}
    assert asyncio.run(store.forget("r.test")) and found(store, "r.test/x") is None
    assert not asyncio.run(store.forget("r.test"))


@pytest.mark.parametrize("name", ["../evil", "a/b", "/bin/sh", "", ".hidden", "a b", "x;y", "a\nb", "-x"])
def test_helper_is_one_word(name: str) -> None:
    with pytest.raises(InvalidParameter, match="not the name of a credential helper"):
        CredentialHelper(name)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("echo bad; exit 3", "get failed: bad"),
        ("exit 3", "get failed: status 3"),
        ("echo not json", "something else than a JSON object"),
        ("echo '{}'", "without Username and Secret"),
        ("sleep 100", "no answer in 0.5 s"),
        ("yes", "too long"),
    ],
)
def test_helper_that_misbehaves_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, message: str
) -> None:
    program = tmp_path / "docker-credential-odd"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if "no answer" in message:
        monkeypatch.setattr(credential_helper, "HELPER_SECONDS", 0.5)
    with pytest.raises(SystemFailure, match=message):
        asyncio.run(CredentialHelper("odd").get("r.test"))


def test_missing_helper_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemFailure, match="docker-credential-gone: no such program in PATH"):
        asyncio.run(CredentialHelper("gone").get("r.test"))


def test_registry_config_header_is_read_by_registry() -> None:
    body = {"https://index.docker.io/v1/": {"username": "a", "password": "1"}, "r.test": {"auth": "dTpw"}, "x": 3}
    found = parse_registry_config_header(base64.urlsafe_b64encode(json.dumps(body).encode()).decode())
    assert {name: one.username for name, one in found.items()} == {"docker.io": "a", "r.test": "u"}
    assert parse_registry_config_header("%%%") == {}
