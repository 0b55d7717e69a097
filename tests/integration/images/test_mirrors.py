"""Mirrors: asked first, passed over when dead, told apart in what a pull reports, and never shown credentials."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent

ORIGIN, MIRROR = "127.0.0.1:5002", "127.0.0.2:5003"


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateAgent]:
    """An agent whose configuration has a live and a dead mirror for the default registry."""
    settings = {"registry-mirrors": ["http://127.0.0.9:5999", f"http://{MIRROR}"]}
    with PrivateAgent(settings) as running:
        yield running


def test_configured_mirrors_serve_the_default_registry_in_order(host: PrivateAgent, other: FaultyRegistry) -> None:
    other.content.add_image("latest", [{"from": b"mirror"}])
    other.serve()
    started = time.monotonic()
    printed = host.out("pull", "busybox")
    assert time.monotonic() - started < 8
    assert f"Served by mirror {MIRROR}: 1 manifest, 1 config, 1 layer" in printed
    assert {seen["path"].split("/manifests/")[0].split("/blobs/")[0] for seen in other.requests()} == {
        "/v2/library/busybox"
    }
    assert "busybox:latest" in host.out("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert f"busybox latest served by {MIRROR}".split()[0] in host.log_text()
    host.out("rmi", "busybox")
    started = time.monotonic()
    host.out("pull", "busybox")
    assert time.monotonic() - started < 2, "the dead mirror was asked again"
    host.out("rmi", "busybox")
