"""Where the API listens: modes, groups, stale sockets, passed sockets, mutual TLS and nothing less."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import wherry
from wherry.api.dispatch import Dispatcher
from wherry.api.http import JsonResponse, Request
from wherry.api.listen import open_listeners
from wherry.api.router import Router
from wherry.api.server import Server
from wherry.config import Config
from wherry.errors import Conflict, InvalidParameter


def test_socket_is_for_root_and_the_group_only(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        [listener] = open_listeners(Config(hosts=(f"unix://{tmp_path}/s",), group="daemon"))
    finally:
        os.umask(old)
    found = (tmp_path / "s").stat()
    assert found.st_mode & 0o777 == 0o660
    assert (found.st_uid, found.st_gid) == (0, 1)
    listener.close()
    assert not (tmp_path / "s").exists()


def test_unknown_group_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match='group: "nobodys": no such group'):
        open_listeners(Config(hosts=(f"unix://{tmp_path}/s",), group="nobodys"))


def test_socket_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "s"))
    dead.close()
    [listener] = open_listeners(Config(hosts=(f"unix://{tmp_path}/s",)))
    listener.close()


def test_socket_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(tmp_path / "s"))
        living.listen()
        with pytest.raises(Conflict, match="another process listens there"):
            open_listeners(Config(hosts=(f"unix://{tmp_path}/s",)))
    assert (tmp_path / "s").exists()


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(Conflict):
        open_listeners(Config(hosts=(f"unix://{tmp_path}/s",)))
    assert (tmp_path / "s").read_text() == "precious"


def test_tcp_without_certificates_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="TLS needs"):
        open_listeners(Config(hosts=("tcp://127.0.0.1:0",)))


def test_fd_without_systemd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LISTEN_PID", raising=False)
    with pytest.raises(InvalidParameter, match="no sockets were passed"):
        open_listeners(Config(hosts=("fd://",)))


@pytest.mark.parametrize(
    ("address", "answers"), [("fd://", True), ("fd://api", True), ("fd://3", True), ("fd://x", False)]
)
def test_sockets_passed_by_systemd_are_served(tmp_path: Path, address: str, answers: bool) -> None:
    """sd_listen_fds(3): descriptor 3, LISTEN_PID is the process itself, names in LISTEN_FDNAMES."""
    script = (
        "import os, sys; os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='api')\n"
        "from wherry.api.listen import open_listeners\nfrom wherry.config import Config\n"
        f"[listener] = open_listeners(Config(hosts=('{address}',)))\n"
        "print(listener.socket.getsockname())\n"
    )
    with socket.socket(socket.AF_UNIX) as passed:
        passed.bind(str(tmp_path / "s"))
        passed.listen()
        done = subprocess.run(
            ["bash", "-c", f'exec "$0" -c "$1" 3<&{passed.fileno()}', sys.executable, script],
            pass_fds=[passed.fileno()],
            env={"PYTHONPATH": str(Path(wherry.__file__).parents[1])},
            capture_output=True,
            text=True,
        )
    assert (done.returncode == 0) is answers, done.stderr
    assert (str(tmp_path / "s") in done.stdout) is answers


class Authority:
    """A certificate authority of the test's own."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = self._write(f"{name}.pem", self._certificate(self.name, self.key.public_key(), authority=True))

    def issue(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate = self._write(f"{name}-cert.pem", self._certificate(subject, key.public_key(), authority=False))
        path = self.directory / f"{name}-key.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, path

    def _certificate(self, subject: x509.Name, key: ec.EllipticCurvePublicKey, *, authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.timezone.utc)
        names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate) -> Path:
        path = self.directory / name
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return path


async def _status(port: int, context: ssl.SSLContext | None) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        writer.write(b"GET /who HTTP/1.1\r\nHost: agent.example\r\n\r\n")
        line = await asyncio.wait_for(reader.readline(), 5)
        return int(line.split()[1]) if line else 0
    finally:
        writer.close()


async def test_tcp_serves_clients_with_our_certificate_and_nobody_else(tmp_path: Path) -> None:
    ours, foreign = Authority(tmp_path, "ours"), Authority(tmp_path, "foreign")
    certificate, key = ours.issue("agent")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    config = Config(
        hosts=(f"tcp://127.0.0.1:{port}",), tlsverify=True, tlscacert=ours.path, tlscert=certificate, tlskey=key
    )
    subjects: list[str | None] = []

    async def who(_agent: Any, request: Request) -> JsonResponse:
        subjects.append(request.peer.subject)
        return JsonResponse({})

    router = Router()
    router.add("GET", "/who", who)
    agent: Any = None
    server = Server(Dispatcher(agent, router), open_listeners(config))
    await server.start()
    try:
        good = ssl.create_default_context(cafile=str(ours.path))
        good.load_cert_chain(*ours.issue("alice"))
        assert await _status(port, good) == 200
        assert subjects == ["alice"]
        anonymous = ssl.create_default_context(cafile=str(ours.path))
        stranger = ssl.create_default_context(cafile=str(ours.path))
        stranger.load_cert_chain(*foreign.issue("mallory"))
        for context in (anonymous, stranger, None):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                assert await _status(port, context) == 200
        assert subjects == ["alice"]
    finally:
        await server.stop(1)
