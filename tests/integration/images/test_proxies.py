"""SOCKS5 and HTTPS proxies, for one pull or for all of an agent, with TLS inside of TLS."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration.images.conftest import push_layout
from tests.integration.images.test_tls_and_proxies import ADDRESS, PORT
from tests.integration.support.private_agent import REPOSITORY, PrivateAgent
from tests.lab.image_content import Content
from tests.lab.registry import Registry

HTTPS_PORT, SOCKS_PORT = 3129, 1080


def certificate(place: Path) -> tuple[Path, Path]:
    """A self-signed certificate for the address and for far.test, and its key."""
    made = place / "server.crt", place / "server.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=far.test", "-addext", f"subjectAltName=IP:{ADDRESS},DNS:far.test", "-out", made[0],
         "-keyout", made[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return made


@contextlib.contextmanager
def proxy(host: PrivateAgent, module: str, port: int, *arguments: str) -> Iterator[None]:
    """A proxy of the lab at the address, listening."""
    command = [sys.executable, "-m", f"tests.lab.{module}", ADDRESS, str(port), *arguments]
    running = subprocess.Popen(host.enter(command), env={**host.environment(), "PYTHONPATH": str(REPOSITORY)})
    probe = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"
    try:
        deadline = time.monotonic() + 30
        while host.run(sys.executable, "-c", probe, ADDRESS, str(port), check=False).returncode:
            assert time.monotonic() < deadline and running.poll() is None, "the proxy did not start"
            time.sleep(0.1)
        yield
    finally:
        running.kill()
        running.wait()


def pull(host: PrivateAgent, name: str, **proxies: str) -> str:
    """What a pull through these proxies prints."""
    header = json.dumps({key.replace("_", "-"): value for key, value in proxies.items()})
    done = host.run(
        "curl", "-s", "--unix-socket", str(host.socket), "-X", "POST", "-H", f"X-Wherry-Proxies: {header}",
        f"http://localhost/images/create?fromImage={name}&tag=latest",
    )  # fmt: skip
    return done.stdout.decode()


def test_socks_proxy_of_one_pull_resolves_names_and_checks_who_asks(tmp_path: Path) -> None:
    content = Content()
    content.add_image("latest", [{"over": b"socks"}])
    server, seen, name = certificate(tmp_path), tmp_path / "seen", f"far.test:{PORT}/far"
    with PrivateAgent() as host:
        host.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        trusted = host.place / "certs.d" / f"far.test:{PORT}"
        trusted.mkdir(parents=True)
        (trusted / "ca.crt").write_bytes(server[0].read_bytes())
        with Registry(host.enter, PORT, host=ADDRESS, certificate=server) as registry:
            push_layout(host, content, "latest", f"{registry.address}/far")
            with proxy(host, "socks_proxy", SOCKS_PORT, str(seen), "bob:p w"):
                address = f"{ADDRESS}:{SOCKS_PORT}"
                assert "lookup far.test" in pull(host, name), "the agent itself goes straight"
                assert "refused user name or password" in pull(host, name, https_proxy=f"socks5://bob:no@{address}")
                assert "wants another authentication" in pull(host, name, https_proxy=f"socks5://{address}")
                excluded = pull(host, name, https_proxy=f"socks5://bob:p%20w@{address}", no_proxy=".test")
                assert "lookup far.test" in excluded and not seen.exists()
                assert "Downloaded newer image" in pull(host, name, https_proxy=f"socks5h://bob:p%20w@{address}")
                assert set(seen.read_text().split()) == {f"far.test:{PORT}"}
                host.out("rmi", name)
        assert "bad proxy" in pull(host, name, https_proxy="ftp://x")
        assert "not proxies" in pull(host, name, ftp_proxy="http://x")
        assert "p w" not in host.log_text() and "p%20w" not in host.log_text()


def test_https_proxy_must_be_trusted_and_carries_tls_in_tls(tmp_path: Path) -> None:
    content = Content()
    content.add_image("latest", [{"over": b"tls" * 200_000}])
    server, seen = certificate(tmp_path), tmp_path / "seen"
    agent = PrivateAgent(
        {"https-proxy": f"https://{ADDRESS}:{HTTPS_PORT}", "http-proxy": f"https://{ADDRESS}:{HTTPS_PORT}",
         "insecure-registries": [f"{ADDRESS}:{PORT}"]}
    )  # fmt: skip
    with agent as host:
        host.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")
        name = f"{ADDRESS}:{PORT}/far"
        with proxy(host, "http_proxy", HTTPS_PORT, str(seen), *map(str, server)):
            for files in (server, None):
                seen.unlink(missing_ok=True)
                with Registry(host.enter, PORT, host=ADDRESS, certificate=files) as registry:
                    push_layout(host, content, "latest", name)
                    refused = host.docker("pull", name, check=False).stderr.decode()
                    assert f"proxy {ADDRESS}:{HTTPS_PORT}: tls: failed to verify certificate" in refused
                    host.extra_environment["SSL_CERT_FILE"] = str(server[0])
                    host.restart()
                    host.out("pull", name)
                    lines = seen.read_text().splitlines()
                    assert f"CONNECT {registry.address}" in lines
                    assert files or f"GET http://{registry.address}/v2/far/manifests/latest" in lines
                    host.out("rmi", name)
                    del host.extra_environment["SSL_CERT_FILE"]
                    host.restart()
