"""Registries behind TLS with their own authorities and client certificates, and behind an HTTP proxy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.images.conftest import push_layout
from tests.integration.support.private_agent import REPOSITORY, PrivateAgent
from tests.lab.image_content import Content
from tests.lab.registry import Registry

ADDRESS, PORT = "10.77.0.1", 5443  # not loopback, where TLS would not be verified


def certificate(place: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for the address, and its key."""
    made = place / f"{name}.crt", place / f"{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", f"subjectAltName=IP:{ADDRESS}", "-out", made[0], "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateAgent]:
    """An agent with an address that is not loopback's."""
    with PrivateAgent() as running:
        running.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        yield running


def test_registry_with_own_authority_and_client_certificate(host: PrivateAgent, tmp_path: Path) -> None:
    server, client = certificate(tmp_path, "server"), certificate(tmp_path, "client")
    content = Content()
    content.add_image("latest", [{"over": b"tls"}])
    files = host.place / "certs.d" / f"{ADDRESS}:{PORT}"
    with Registry(host.enter, PORT, host=ADDRESS, certificate=server, client_authority=client[0]) as registry:
        given = tmp_path / "skopeo"
        given.mkdir()
        (given / "client.cert").write_bytes(client[0].read_bytes())
        (given / "client.key").write_bytes(client[1].read_bytes())
        push_layout(host, content, "latest", f"{registry.address}/secure", f"--dest-cert-dir={given}")
        name = f"{registry.address}/secure"
        unknown = host.docker("pull", name, check=False).stderr.decode()
        assert "tls: failed to verify certificate" in unknown
        files.mkdir(parents=True)
        (files / "ca.crt").write_bytes(server[0].read_bytes())
        assert host.docker("pull", name, check=False).returncode == 1, "no client certificate was given"
        (files / "client.cert").write_bytes(client[0].read_bytes())
        without_key = host.docker("pull", name, check=False).stderr.decode()
        assert "missing key client.key for client certificate" in without_key
        (files / "client.key").write_bytes(client[1].read_bytes())
        host.out("pull", name)
        host.out("rmi", name)


def test_plain_registry_that_is_not_listed_as_insecure_is_refused(host: PrivateAgent) -> None:
    with Registry(host.enter, PORT, host=ADDRESS) as registry:
        said = host.docker("pull", f"{registry.address}/plain", check=False).stderr.decode()
        assert "server gave HTTP response to HTTPS client" in said


def test_listed_insecure_registry_is_asked_over_http_and_https() -> None:
    settings = {"insecure-registries": [f"{ADDRESS}:{PORT}"]}
    content = Content()
    content.add_image("latest", [{"over": b"http"}])
    with PrivateAgent(settings) as host:
        host.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        for server in (None, certificate(host.place, "server")):
            with Registry(host.enter, PORT, host=ADDRESS, certificate=server) as registry:
                push_layout(host, content, "latest", f"{registry.address}/open")
                host.out("pull", f"{registry.address}/open")
                host.out("rmi", f"{registry.address}/open")


def test_proxy_of_the_configuration_carries_http_and_https(tmp_path: Path) -> None:
    content = Content()
    content.add_image("latest", [{"over": b"proxy"}])
    proxy = f"http://{ADDRESS}:3128"
    settings = {"insecure-registries": [f"{ADDRESS}:{PORT}"], "http-proxy": proxy, "https-proxy": proxy}
    seen = tmp_path / "seen"
    with PrivateAgent(settings) as host:
        host.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        command = [sys.executable, "-m", "tests.lab.http_proxy", ADDRESS, "3128", str(seen)]
        running = subprocess.Popen(host.enter(command), env={**host.environment(), "PYTHONPATH": str(REPOSITORY)})
        try:
            with Registry(host.enter, PORT, host=ADDRESS, certificate=certificate(tmp_path, "server")) as registry:
                push_layout(host, content, "latest", f"{registry.address}/far")
                host.out("pull", f"{registry.address}/far")
                assert set(seen.read_text().splitlines()) == {f"CONNECT {registry.address}"}
                host.out("rmi", f"{registry.address}/far")
            seen.write_text("")
            with Registry(host.enter, PORT, host=ADDRESS) as registry:
                push_layout(host, content, "latest", f"{registry.address}/far")
                host.out("pull", f"{registry.address}/far")
                assert f"GET http://{registry.address}/v2/far/manifests/latest" in seen.read_text()
                host.out("rmi", f"{registry.address}/far")
        finally:
            running.kill()
            running.wait()
