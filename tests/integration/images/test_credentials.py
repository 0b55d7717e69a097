"""Credentials: kept as Docker keeps them, found when a registry asks, renewed, and shown to nobody else."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images.conftest import PASSWORD, USER, FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry

HELPER = """#!/bin/sh
case $1 in
    get) read -r server; echo "$server" >>"$0.calls"; cat "$0.json" 2>/dev/null && exit; echo "credentials not found in native keychain"; exit 1 ;;
    store) cat >"$0.json" ;;
    erase) rm -f "$0.json" ;;
esac
"""  # noqa: E501


def auth(text: str) -> dict[str, str]:
    return {"auth": base64.b64encode(text.encode()).decode()}


def keep(host: PrivateAgent, **content: Any) -> None:
    """Writes config.json of the agent's user."""
    place = host.place / ".docker"
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(content))


@pytest.fixture(autouse=True)
def nothing_kept(host: PrivateAgent) -> Iterator[None]:
    yield
    (host.place / ".docker/config.json").unlink(missing_ok=True)


def curl_pull(host: PrivateAgent, name: str, **headers: str) -> str:
    """A pull as a client makes it that knows no credentials."""
    extra = [word for key, value in headers.items() for word in ("-H", f"{key.replace('_', '-')}: {value}")]
    repository, _, tag = name.rpartition(":")
    done = host.run(
        "curl", "-s", "--unix-socket", str(host.socket), "-X", "POST", *extra,
        f"http://localhost/images/create?fromImage={repository}&tag={tag}",
    )  # fmt: skip
    return done.stdout.decode()


def test_wherry_login_keeps_what_the_registry_took_and_logout_forgets_it(
    host: PrivateAgent, private_registry: Registry
) -> None:
    wherry = ("wherry", "-H", host.host)
    login = (*wherry, "login", private_registry.address, "-u", USER, "--password-stdin")
    refused = host.run(*login, input=b"wrong\n", check=False)
    assert refused.returncode == 1 and b"login attempt to" in refused.stderr
    config = host.place / ".docker/config.json"
    assert not config.exists()
    said = host.run(*login, input=f"{PASSWORD}\n".encode()).stdout.decode()
    assert said == f"Login Succeeded, kept in {config}\n" and config.stat().st_mode & 0o777 == 0o600
    assert json.loads(config.read_text())["auths"] == {private_registry.address: auth(f"{USER}:{PASSWORD}")}
    missing = curl_pull(host, f"{private_registry.address}/none:1")
    assert "manifest unknown" in missing or "not found" in missing, missing
    assert PASSWORD not in host.log_text()
    assert b"Removed the credentials" in host.run(*wherry, "logout", private_registry.address).stdout
    assert b"Not logged in" in host.run(*wherry, "logout", private_registry.address).stdout
    assert "pull access denied" in curl_pull(host, f"{private_registry.address}/none:1")


def test_helper_is_asked_by_a_pull_and_by_a_push(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("1", [{"a": b"b"}])
    faulty.serve(basic="helped:secret")
    bin_directory = host.place / "bin"
    bin_directory.mkdir()
    program = bin_directory / "docker-credential-lab"
    program.write_text(HELPER)
    program.chmod(0o755)
    (bin_directory / "docker-credential-lab.json").write_text('{"Username": "helped", "Secret": "secret"}')
    keep(host, credHelpers={faulty.address: "lab"})
    # The agent's PATH is fixed for its life: a helper comes with a restart, what it keeps does not.
    host.extra_environment["PATH"] = f"{bin_directory}:{host.environment()['PATH']}"
    host.restart()
    assert "Downloaded newer image" in curl_pull(host, f"{faulty.address}/app:1")
    assert (bin_directory / "docker-credential-lab.calls").read_text().split() == [faulty.address]
    host.out("rmi", f"{faulty.address}/app:1")
    keep(host, credHelpers={faulty.address: "../../bin/sh"})
    assert "not the name of a credential helper" in curl_pull(host, f"{faulty.address}/app:1")
    del host.extra_environment["PATH"]
    host.restart()


def test_kept_credentials_go_to_their_registry_only(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    """Rows 28: neither a mirror, nor a redirect's target, nor a token service elsewhere sees them."""
    keep(host, auths={faulty.address: auth("alice:secret")})
    faulty.content.add_image("1", [{"a": b"b"}])
    manifest = json.loads(faulty.content.manifests[faulty.content.tags["1"]][1])
    other.content = faulty.content
    other.serve()
    faulty.serve(basic="alice:secret", redirect={manifest["layers"][0]["digest"]: f"http://{other.address}"})
    assert "Downloaded newer image" in curl_pull(host, f"{faulty.address}/app:1")
    assert other.requests() and other.saw("authorization") == []
    host.out("rmi", f"{faulty.address}/app:1")
    other.forget()
    faulty.serve(bearer={"realm": f"http://{other.address}/token", "token": "t"})
    assert "refused to send credentials to its token service" in curl_pull(host, f"{faulty.address}/app:1")
    assert other.requests() == []


def test_tokens_are_renewed_in_the_middle_of_a_pull(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("1", [{"a": b"b"}, {"c": b"d"}, {"e": b"f"}])
    faulty.serve(bearer={"realm": f"http://{faulty.address}/token", "token": "t", "user": "alice:secret", "uses": 3})
    keep(host, auths={faulty.address: auth("alice:secret")})
    assert "Downloaded newer image" in curl_pull(host, f"{faulty.address}/app:1")
    assert len([seen for seen in faulty.requests() if seen["path"].startswith("/token")]) >= 2
    host.out("rmi", f"{faulty.address}/app:1")


def test_docker_login_gets_an_identity_token_that_stands_for_the_password(
    host: PrivateAgent, faulty: FaultyRegistry
) -> None:
    faulty.content.add_image("1", [{"a": b"b"}])
    bearer = {"realm": f"http://{faulty.address}/token", "token": "t", "user": "alice:secret", "refresh": "long-lived"}
    faulty.serve(bearer=bearer)
    host.run("docker", "login", "-u", "alice", "--password-stdin", faulty.address, input=b"secret")
    assert any("offline_token=true" in seen["path"] for seen in faulty.requests())
    entry = json.loads((host.place / ".docker/config.json").read_text())["auths"][faulty.address]
    assert entry["identitytoken"] == "long-lived" and "secret" not in base64.b64decode(entry["auth"]).decode()
    faulty.forget()
    host.out("pull", f"{faulty.address}/app:1")
    posted = [seen["form"] for seen in faulty.requests() if seen["method"] == "POST"]
    assert posted and posted[0]["grant_type"] == "refresh_token" and posted[0]["refresh_token"] == "long-lived"
    host.out("rmi", f"{faulty.address}/app:1")
    faulty.serve(bearer={**bearer, "refresh": "another"})
    assert (
        "incorrect username or password" in host.docker("pull", f"{faulty.address}/app:1", check=False).stderr.decode()
    )


def test_x_registry_config_names_credentials_by_registry(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("1", [{"a": b"b"}])
    faulty.serve(basic="carol:word")
    given = {
        faulty.address: {"username": "carol", "password": "word"},
        "other.test": {"username": "x", "password": "y"},
    }
    header = base64.urlsafe_b64encode(json.dumps(given).encode()).decode()
    assert "Downloaded newer image" in curl_pull(host, f"{faulty.address}/app:1", X_Registry_Config=header)
    host.out("rmi", f"{faulty.address}/app:1")


def test_rate_limits_are_told_with_what_is_left(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("1", [{"a": b"b"}])
    limits = {"RateLimit-Limit": "100;w=21600", "RateLimit-Remaining": "76;w=21600"}
    faulty.serve(headers=limits)
    printed = host.out("pull", f"{faulty.address}/app:1")
    assert f"Rate limit of {faulty.address}: 76 of 100 left in 6 h" in printed
    host.out("rmi", f"{faulty.address}/app:1")
    faulty.serve(headers={**limits, "RateLimit-Remaining": "0;w=21600"}, status={"1": 429}, retry_after=3600)
    refused = host.docker("pull", f"{faulty.address}/app:1", check=False).stderr.decode()
    assert "toomanyrequests" in refused
    assert "(rate limit: 0 of 100 left in 6 h, retry after 3600 s)" in refused


def test_broken_config_is_named_and_harms_no_open_registry(
    host: PrivateAgent, faulty: FaultyRegistry, tmp_path: Path
) -> None:
    keep(host)
    (host.place / ".docker/config.json").write_text("{")
    faulty.content.add_image("1", [{"a": b"b"}])
    faulty.serve()
    assert "Downloaded newer image" in curl_pull(host, f"{faulty.address}/app:1")
    host.out("rmi", f"{faulty.address}/app:1")
    faulty.serve(basic="a:b")
    assert "config.json: not a JSON object" in curl_pull(host, f"{faulty.address}/app:1")
