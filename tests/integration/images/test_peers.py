"""Peers: an agent reads what another has pulled, over mutual TLS, and the origin sends the bytes once."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import Content

PORT = 5055
ORIGIN = "127.0.0.1:5002"


def authority(place: Path, name: str) -> tuple[Path, Path]:
    """A self-signed authority."""
    made = place / f"{name}.crt", place / f"{name}.key"
    openssl("req", "-x509", "-days", "2", "-subj", f"/CN={name}", *key(made[1]), "-out", str(made[0]))
    return made


def key(path: Path) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(path))


def signed(place: Path, name: str, by: tuple[Path, Path]) -> tuple[Path, Path]:
    """A certificate for a name and for the loopback addresses, signed by an authority, and its key."""
    made = place / f"{name}.crt", place / f"{name}.key"
    request = place / f"{name}.csr"
    openssl("req", "-subj", f"/CN={name}", *key(made[1]), "-out", str(request))
    names = place / f"{name}.ext"
    names.write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3\n")
    openssl(
        "x509", "-req", "-in", str(request), "-CA", str(by[0]), "-CAkey", str(by[1]), "-CAcreateserial", "-days", "2",
        "-extfile", str(names), "-out", str(made[0]),
    )  # fmt: skip
    return made


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def settings(ca: Path, files: tuple[Path, Path], **further: Any) -> dict[str, object]:
    return {"serve-cacert": str(ca), "serve-cert": str(files[0]), "serve-key": str(files[1]), **further}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fleet's authority and certificates, and a stranger's."""
    place = tmp_path_factory.mktemp("certificates")
    fleet, stranger = authority(place, "fleet"), authority(place, "stranger")
    for name in ("h1", "h2", "h3"):
        signed(place, name, fleet)
    signed(place, "mallory", stranger)
    return place


@pytest.fixture(scope="module")
def host(files: Path) -> Iterator[PrivateAgent]:
    """The agent that serves: to h2 and to nobody else, some MiB a second, four at a time."""
    served = settings(
        files / "fleet.crt", (files / "h1.crt", files / "h1.key"), serve=True, **{
            "serve-address": f"127.0.0.3:{PORT}", "serve-clients": ["h2"], "serve-rate": "4m", "serve-connections": 4,
        },
    )  # fmt: skip
    with PrivateAgent(served) as running:
        yield running


@pytest.fixture(scope="module")
def asker(host: PrivateAgent, files: Path) -> Iterator[PrivateAgent]:
    """A second agent, whose certificate says h2, with the first one's network."""
    own = settings(files / "fleet.crt", (files / "h2.crt", files / "h2.key"), bridge="none")
    with PrivateAgent(own, network_of=host) as running:
        yield running


def declare(agent: PrivateAgent, **options: Any) -> dict[str, Any]:
    body = {"resources": [{"kind": "registry_mirror", **options}]}
    done = agent.run(
        "curl", "-s", "--unix-socket", str(agent.socket), "-H", "Content-Type: application/json", "-d",
        json.dumps(body), "http://localhost/wherry/v1/apply",
    )  # fmt: skip
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def get(host: PrivateAgent, files: Path, who: str, path: str, *extra: str) -> tuple[int, bytes]:
    """What a client with this certificate gets; status 0 when it is not let in at all."""
    done = host.run(
        "curl", "-s", "--path-as-is", "--cacert", str(files / "fleet.crt"), "--cert", str(files / f"{who}.crt"),
        "--key", str(files / f"{who}.key"), "-w", "\n%{http_code}", *extra,
        f"https://127.0.0.3:{PORT}{path}", check=False,
    )  # fmt: skip
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status or 0), body


def layer_of(content: Content, tag: str = "1") -> str:
    manifest = json.loads(content.manifests[content.tags[tag]][1])
    found: str = manifest["layers"][0]["digest"]
    return found


def test_content_comes_from_a_peer_and_only_the_tag_from_the_origin(
    host: PrivateAgent, asker: PrivateAgent, faulty: FaultyRegistry
) -> None:
    faulty.content.add_image("1", [{"data": bytes(range(256)) * 4096}])
    faulty.serve()
    name = f"{ORIGIN}/team/app:1"
    host.out("pull", name)
    assert declare(asker, name=ORIGIN, peers=["127.0.0.3"])["changed"]
    faulty.forget()
    printed = asker.out("pull", name)
    assert f"Served by mirror 127.0.0.3:{PORT}: 1 config, 1 layer" in printed
    assert [seen["path"] for seen in faulty.requests()] == ["/v2/team/app/manifests/1"], "the origin sent content"
    assert not declare(asker, name=ORIGIN, peers=["127.0.0.3"])["changed"]
    asker.out("rmi", name)
    asker.out("pull", f"{ORIGIN}/team/app@{faulty.content.tags['1']}")
    assert len(faulty.requests()) == 1, "by digest nothing is left to ask the origin"
    asker.out("rmi", f"{ORIGIN}/team/app@{faulty.content.tags['1']}")
    host.out("rmi", name)
    again = asker.out("pull", name)
    assert f"Served by {ORIGIN}: 1 manifest, 1 config, 1 layer" in again, "a peer without the image is no obstacle"
    asker.out("rmi", name)


def test_only_peers_that_are_named_read_and_only_what_has_a_name(
    host: PrivateAgent, files: Path, faulty: FaultyRegistry
) -> None:
    faulty.content.add_image("1", [{"a": b"0123456789" * 100}])
    faulty.serve()
    host.out("pull", f"{ORIGIN}/team/app:1")
    layer, manifest = layer_of(faulty.content), faulty.content.tags["1"]
    base = f"/v2/{ORIGIN}/team/app"
    assert get(host, files, "h2", "/v2/")[0] == 200
    assert get(host, files, "h2", f"{base}/manifests/{manifest}") == (200, faulty.content.manifests[manifest][1])
    assert get(host, files, "h2", f"/v2/team/app/manifests/1?ns={ORIGIN}")[0] == 200
    assert get(host, files, "h2", f"{base}/blobs/{layer}") == (200, faulty.content.blobs[layer])
    assert get(host, files, "h2", f"{base}/blobs/{layer}", "-r", "5-") == (206, faulty.content.blobs[layer][5:])
    assert get(host, files, "h2", f"{base}/blobs/{layer}", "-r", "99999-")[0] == 416
    assert json.loads(get(host, files, "h2", f"{base}/tags/list")[1])["tags"] == ["1"]
    assert get(host, files, "h2", f"{base}/manifests/1", "-I")[0] == 200
    for path in (f"/v2/{ORIGIN}/other/blobs/{layer}", f"{base}/blobs/sha256:{'0' * 64}", f"{base}/manifests/2",
                 "/v1.43/containers/json", "/containers/json", "/wherry/v1/kernel", "/", "/v2/_catalog"):  # fmt: skip
        assert get(host, files, "h2", path)[0] == 404, path
    for path in (f"{base}/blobs/../../../../etc/passwd", f"{base}/blobs/..%2f..%2fetc%2fpasswd", "/v2/../x/manifests/1",
                 f"{base}/blobs/sha256:{'A' * 64}", f"{base}/blobs/sha256:../../{'0' * 58}", "/v2/A/B/manifests/1",
                 f"{base}/manifests/..", "/v2/a%00b/manifests/1", f"/v2/x/tags/list?ns=../{ORIGIN}"):  # fmt: skip
        assert get(host, files, "h2", path)[0] in (400, 404), path
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert get(host, files, "h2", f"{base}/manifests/1", "-X", method)[0] == 405
    assert get(host, files, "h3", f"{base}/manifests/1")[0] == 403, "of the fleet, but not on the list"
    assert get(host, files, "mallory", f"{base}/manifests/1")[0] == 0
    no_certificate = host.run(
        "curl", "-s", "--cacert", str(files / "fleet.crt"), f"https://127.0.0.3:{PORT}/v2/", check=False
    )
    assert no_certificate.returncode != 0
    host.out("rmi", f"{ORIGIN}/team/app:1")


def test_peer_that_lies_or_is_an_impostor_spoils_nothing(
    host: PrivateAgent, asker: PrivateAgent, files: Path, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    """An impostor's certificate is signed by another authority, even one that the machine trusts."""
    faulty.content.add_image("1", [{"a": b"true" * 1000}])
    faulty.serve()
    declare(asker, name=ORIGIN, peers=["127.0.0.2:5443"])
    script = (
        "import ssl,sys,http.server as h\n"
        "class H(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.send_response(200); self.send_header('Content-Length','4'); self.end_headers()\n"
        "        self.wfile.write(b'lies')\n"
        "s=h.ThreadingHTTPServer(('127.0.0.2',5443),H)\n"
        "c=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH); c.load_cert_chain(sys.argv[1],sys.argv[2])\n"
        "s.socket=c.wrap_socket(s.socket,server_side=True)\n"
        "print('ready',flush=True)\n"
        "s.serve_forever()\n"
    )
    for who, reason in (("h3", "is 4 bytes long; its manifest says"), ("mallory", "failed to verify certificate")):
        asker.extra_environment["SSL_CERT_FILE"] = str(files / "stranger.crt")
        asker.restart()
        command = ["python3", "-c", script, str(files / f"{who}.crt"), str(files / f"{who}.key")]
        with subprocess.Popen(host.enter(command), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as liar:
            assert liar.stdout is not None and liar.stdout.readline() == b"ready\n"
            printed = asker.out("pull", f"{ORIGIN}/team/app:1")
            liar.kill()
        assert f"Served by {ORIGIN}: 1 manifest, 1 config, 1 layer" in printed
        assert reason in printed, printed
        asker.out("rmi", f"{ORIGIN}/team/app:1")


def test_connections_and_bytes_of_peers_are_bounded(host: PrivateAgent, files: Path, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("1", [{"noise": os.urandom(6 * 1024 * 1024)}])
    faulty.serve()
    host.out("pull", f"{ORIGIN}/team/app:1")
    started = time.monotonic()
    status, body = get(host, files, "h2", f"/v2/{ORIGIN}/team/app/blobs/{layer_of(faulty.content)}")
    assert status == 200 and len(body) > 6 * 1024 * 1024
    assert time.monotonic() - started > 1, "6 MiB at 4 MiB a second"
    script = (
        "import socket,ssl,sys\n"
        "c=ssl.create_default_context(cafile=sys.argv[1]); c.load_cert_chain(sys.argv[2],sys.argv[3])\n"
        "open_ones=[]; refused=0\n"
        "for _ in range(12):\n"
        "    try:\n"
        "        s=c.wrap_socket(socket.create_connection(('127.0.0.3',5055)),server_hostname='127.0.0.3')\n"
        "        s.settimeout(20); s.sendall(b'GET /v2/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "        assert s.recv(100); open_ones.append(s)\n"
        "    except (OSError, AssertionError): refused+=1\n"
        "print(len(open_ones), refused)\n"
    )
    arguments = [str(files / name) for name in ("fleet.crt", "h2.crt", "h2.key")]
    counted = host.run("python3", "-c", script, *arguments).stdout.decode().split()
    assert counted == ["4", "8"]
    host.out("rmi", f"{ORIGIN}/team/app:1")


def test_peers_without_certificates_are_refused_by_option() -> None:
    with PrivateAgent() as agent:
        answer = declare(agent, name="r.test", peers=["h1"])
        assert answer["message"].startswith("peers: the agent has no certificate to show to peers")
