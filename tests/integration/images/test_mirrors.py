"""Mirrors: asked first, passed over when dead, told apart in what a pull reports, and never shown credentials."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent

ORIGIN, MIRROR = "127.0.0.1:5002", "127.0.0.2:5003"


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateAgent]:
    """An agent whose configuration has a dead and a live mirror for the default registry."""
    settings = {"registry-mirrors": ["http://127.0.0.9:5999", f"http://{MIRROR}"]}
    with PrivateAgent(settings) as running:
        yield running


def declare(host: PrivateAgent, registry: str, **options: Any) -> None:
    """Declares a registry rule as the Ansible module would."""
    body = {"resources": [{"kind": "registry_mirror", "name": registry, **options}]}
    done = host.run(
        "curl", "-s", "--fail-with-body", "--unix-socket", str(host.socket), "-H", "Content-Type: application/json",
        "-d", json.dumps(body), "http://localhost/wherry/v1/apply", check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_configured_mirrors_serve_the_default_registry_in_order(host: PrivateAgent, other: FaultyRegistry) -> None:
    other.content.add_image("latest", [{"from": b"mirror"}])
    other.serve()
    started = time.monotonic()
    printed = host.out("pull", "busybox")
    assert time.monotonic() - started < 8
    assert f"Served by mirror {MIRROR}: 1 manifest, 1 config, 1 layer" in printed
    assert all(seen["path"].startswith("/v2/library/busybox/") for seen in other.requests())
    assert "busybox:latest" in host.out("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert f"served by {MIRROR}" in host.log_text()
    host.out("rmi", "busybox")
    started = time.monotonic()
    assert "127.0.0.9" not in host.out("pull", "busybox"), "the dead mirror was asked again"
    assert time.monotonic() - started < 2
    host.out("rmi", "busybox")


def test_rule_holds_at_once_and_sends_nobodys_credentials(host: PrivateAgent, other: FaultyRegistry) -> None:
    other.content.add_image("1", [{"from": b"mirror"}])
    other.serve()
    declare(host, "images.test/team", mirrors=[{"url": f"http://{MIRROR}/cache"}], fallback=False)
    auth = base64.urlsafe_b64encode(b'{"username":"alice","password":"secret"}').decode()
    done = host.run(
        "curl", "-s", "--unix-socket", str(host.socket), "-X", "POST", "-H", f"X-Registry-Auth: {auth}",
        "http://localhost/images/create?fromImage=images.test/team/app&tag=1",
    )  # fmt: skip
    assert f"Served by mirror {MIRROR}" in done.stdout.decode()
    assert {seen["path"].partition("/manifests/")[0].partition("/blobs/")[0] for seen in other.requests()} == {
        "/v2/cache/app"
    }
    assert other.saw("authorization") == []
    host.out("rmi", "images.test/team/app:1")
    declare(host, "images.test/team", blocked=True)
    refused = host.docker("pull", "images.test/team/app:1", check=False).stderr.decode()
    assert "images.test/team/app is blocked by the registry rule for images.test/team" in refused


def test_origin_serves_what_the_mirror_lacks_or_garbles(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    declare(host, ORIGIN, mirrors=[{"url": f"http://{MIRROR}"}])
    faulty.content.add_image("latest", [{"text": b"right" * 1000}])
    faulty.serve()
    other.serve()
    printed = host.out("pull", f"{ORIGIN}/lacking")
    assert f"Mirror {MIRROR} passed over: manifest unknown" in printed
    assert f"Served by {ORIGIN}: 1 manifest, 1 config, 1 layer" in printed
    host.out("rmi", f"{ORIGIN}/lacking")
    other.content = faulty.content
    manifest = json.loads(faulty.content.manifests[faulty.content.tags["latest"]][1])
    other.serve(flip=[manifest["layers"][0]["digest"]])
    printed = host.out("pull", f"{ORIGIN}/garbled")
    assert f"Served by mirror {MIRROR}: 1 manifest, 1 config" in printed
    assert f"Served by {ORIGIN}: 1 layer" in printed
    host.out("rmi", f"{ORIGIN}/garbled")
    declare(host, ORIGIN, state="absent")


def test_mirror_without_resolve_is_not_asked_what_a_tag_means(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    declare(host, ORIGIN, mirrors=[{"url": f"http://{MIRROR}", "capabilities": ["pull"]}])
    faulty.content.add_image("latest", [{"text": b"x"}])
    other.content = faulty.content
    faulty.serve()
    other.serve()
    printed = host.out("pull", f"{ORIGIN}/split")
    assert f"Served by {ORIGIN}: 1 manifest" in printed
    assert f"Served by mirror {MIRROR}: 1 config, 1 layer" in printed
    host.out("rmi", f"{ORIGIN}/split")
    declare(host, ORIGIN, state="absent")
