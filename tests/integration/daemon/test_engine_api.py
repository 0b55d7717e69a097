"""docs/engine-api.md against a running agent: each endpoint is asked, its answer held against the specification.

The walk is one container's life, so that each endpoint has something to answer.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.support.private_agent import PrivateAgent
from tests.integration.support.schema import REPOSITORY, check_response, specification_path

ROWS = re.findall(
    r"^\| `([A-Z]+) (/[^`]*)` \| (served|\d{3}) \| (.*) \|$",
    (REPOSITORY / "docs" / "engine-api.md").read_text(),
    re.MULTILINE,
)
REFUSED = [(method, path, int(status), text) for method, path, status, text in ROWS if status != "served"]
SERVED = {f"{method} {path}" for method, path, status, _ in ROWS if status == "served"}
NAME = "walked"


class Walker:
    """Asks the agent, notes which endpoints were asked, and checks each answer."""

    def __init__(self, agent: PrivateAgent) -> None:
        self._agent = agent
        self.asked: set[str] = set()
        self.faults: list[str] = []

    def __call__(
        self, method: str, path: str, body: Any = None, *, query: str = "", data: bytes | None = None, **names: str
    ) -> Any:
        """``path`` is the specification's own; ``names`` are what stands in its braces."""
        status, content, answer = self.request(method, path.format(**names) + query, body, data)
        self.asked.add(f"{method} {path}")
        assert status < 400, (method, path, status, content)
        document: Any = content.decode("latin-1")
        if answer == "application/json":
            lines = [json.loads(line) for line in content.splitlines() if line.strip()]
            document = lines[0] if len(lines) == 1 else lines
        if specification_path() is not None and not path.startswith(("/wherry", "/exec/{id}/start")):
            try:
                # A stream of JSON is described as one piece of it.
                for piece in document if _is_stream(method, path) and isinstance(document, list) else [document]:
                    check_response(method, path, status, piece)
            except AssertionError as error:
                self.faults.append(str(error))
        return document

    def request(self, method: str, path: str, body: Any = None, data: bytes | None = None) -> tuple[int, bytes, str]:
        """Status, body and kind of content."""
        connection = http.client.HTTPConnection("agent")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(30)
        connection.sock.connect(str(self._agent.socket))
        headers = {"Content-Type": "application/x-tar" if data is not None else "application/json"}
        content = data if data is not None else json.dumps({} if body is None else body).encode()
        connection.request(method, path, None if method in ("GET", "HEAD") else content, headers)
        answer = connection.getresponse()
        received = answer.read()
        connection.close()
        return answer.status, received, answer.headers.get_content_type()


def _is_stream(method: str, path: str) -> bool:
    return (method, path) in {
        ("POST", "/images/create"), ("POST", "/images/load"), ("POST", "/images/{name}/push"), ("GET", "/events"),
    }  # fmt: skip


@pytest.fixture
def walker(agent: PrivateAgent, busybox: str) -> Iterator[Walker]:
    yield Walker(agent)
    for name in (NAME, f"{NAME}-2"):
        agent.docker("rm", "-f", "-v", name, check=False)
    for kind in ("volume", "network"):
        agent.docker(kind, "rm", "-f", NAME, check=False)


def test_every_refusal_is_as_documented(walker: Walker, agent: PrivateAgent, busybox: str) -> None:
    agent.docker("create", "--name", NAME, busybox, "true")
    agent.docker("volume", "create", NAME)
    wrong = []
    for method, path, status, text in REFUSED:
        message = re.findall(r"`([^`]+)`", text)[-1]
        name = NAME if path.startswith(("/containers", "/volumes")) else "x"
        got, content, _ = walker.request(method, re.sub(r"\{\w+\}", name, path), {})
        told = json.loads(content)["message"] if content else ""
        if got != status or not told.startswith(message):
            wrong.append(f"{method} {path}: {got} {told}")
    assert wrong == []
    assert len(REFUSED) > 40


def _create(walker: Walker, image: str, name: str, command: list[str], **host: Any) -> str:
    body = {
        "Image": image, "Cmd": command, "Labels": {"walked": "yes"}, "ExposedPorts": {"80/tcp": {}},
        "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9},
        "HostConfig": {"Binds": [f"{NAME}:/v"], "Memory": 64 << 20, "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
                       "PortBindings": {"80/tcp": [{"HostPort": ""}]}, "RestartPolicy": {"Name": "no"}, **host},
    }  # fmt: skip
    created = walker("POST", "/containers/create", body, query=f"?name={name}")
    return str(created["Id"])


def _walk_containers(walker: Walker, image: str) -> None:
    _create(walker, image, NAME, ["sh", "-c", "echo out; echo x > /made; exec sleep 300"], Mounts=[
        {"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 448}}])  # fmt: skip
    walker("POST", "/containers/{id}/start", id=NAME)
    walker("GET", "/containers/json", query="?all=1&size=1")
    walker("GET", "/containers/{id}/json", query="?size=1", id=NAME)
    walker("GET", "/containers/{id}/top", id=NAME)
    walker("GET", "/containers/{id}/logs", query="?stdout=1", id=NAME)
    walker("GET", "/containers/{id}/changes", id=NAME)
    walker("GET", "/containers/{id}/stats", query="?stream=0", id=NAME)
    walker("POST", "/containers/{id}/update", {"Memory": 65 << 20, "MemorySwap": 130 << 20}, id=NAME)
    walker("POST", "/containers/{id}/pause", id=NAME)
    walker("POST", "/containers/{id}/unpause", id=NAME)
    walker("POST", "/containers/{id}/kill", query="?signal=WINCH", id=NAME)
    archive = walker.request("GET", f"/containers/{NAME}/archive?path=/etc/passwd")
    assert archive[0] == 200
    walker("HEAD", "/containers/{id}/archive", query="?path=/etc/passwd", id=NAME)
    walker("GET", "/containers/{id}/archive", query="?path=/etc/passwd", id=NAME)
    walker("PUT", "/containers/{id}/archive", query="?path=/v", data=archive[1], id=NAME)
    created = walker("POST", "/containers/{id}/exec", {"Cmd": ["sh", "-c", "exit 3"], "Tty": True}, id=NAME)
    walker("POST", "/exec/{id}/start", {"Detach": True}, id=created["Id"])
    walker("GET", "/exec/{id}/json", id=created["Id"])
    lasting = walker("POST", "/containers/{id}/exec", {"Cmd": ["sleep", "60"], "Tty": True}, id=NAME)
    walker("POST", "/exec/{id}/start", {"Detach": True, "Tty": True}, id=lasting["Id"])
    walker("POST", "/exec/{id}/resize", query="?h=5&w=5", id=lasting["Id"])
    walker("GET", "/system/df")
    walker("POST", "/networks/{id}/connect", {"Container": NAME}, id=NAME)
    walker("GET", "/networks/{id}", id=NAME)
    walker("GET", "/containers/{id}/json", id=NAME)
    walker("POST", "/networks/{id}/disconnect", {"Container": NAME}, id=NAME)
    walker("POST", "/containers/{id}/rename", query=f"?name={NAME}-2", id=NAME)
    walker("POST", "/containers/{id}/rename", query=f"?name={NAME}", id=f"{NAME}-2")
    walker("POST", "/containers/{id}/restart", query="?t=0", id=NAME)
    walker("POST", "/containers/{id}/stop", query="?t=0", id=NAME)
    walker("POST", "/containers/{id}/wait", id=NAME)
    walker("POST", "/containers/{id}/attach", query="?logs=1&stdout=1", id=NAME)
    walker("GET", "/containers/{id}/export", id=NAME)
    walker("GET", "/containers/{id}/json", id=NAME)
    walker("GET", "/containers/json", query="?all=1")
    walker("POST", "/commit", {}, query=f"?container={NAME}&repo={NAME}&tag=1&comment=c")
    walker("DELETE", "/containers/{id}", query="?v=1", id=NAME)


def _walk_terminal(walker: Walker, image: str) -> None:
    created = walker("POST", "/containers/create", {"Image": image, "Tty": True, "OpenStdin": True, "Cmd": ["sh"]})
    walker("POST", "/containers/{id}/start", id=created["Id"])
    walker("POST", "/containers/{id}/resize", query="?h=20&w=30", id=created["Id"])
    walker("DELETE", "/containers/{id}", query="?force=1", id=created["Id"])


def _walk_images(walker: Walker, image: str) -> None:
    walker("GET", "/images/json", query="?all=1&digests=1&shared-size=1")
    walker("GET", "/images/{name}/json", name=image)
    walker("GET", "/images/{name}/history", name=f"{NAME}:1")
    walker("POST", "/images/{name}/tag", query=f"?repo={NAME}&tag=2", name=f"{NAME}:1")
    saved = walker.request("GET", f"/images/{NAME}:1/get")
    walker("GET", "/images/{name}/get", name=f"{NAME}:1")
    walker("GET", "/images/get", query=f"?names={NAME}:1")
    walker("POST", "/images/load", data=saved[1])
    walker("DELETE", "/images/{name}", name=f"{NAME}:2")
    walker("DELETE", "/images/{name}", name=f"{NAME}:1")
    walker("POST", "/images/prune")
    layer = walker.request("GET", f"/images/{image}/get")  # any archive makes an image by import
    walker("POST", "/images/create", query=f"?fromSrc=-&repo={NAME}&tag=3", data=layer[1])
    walker("DELETE", "/images/{name}", name=f"{NAME}:3")


NEEDS_A_REGISTRY = {
    "POST /images/{name}/push", "POST /auth", "GET /distribution/{name}/json", "GET /images/search",
}  # fmt: skip
"""tests/integration/images and registries answer for these."""
WEB_SOCKET = {"GET /containers/{id}/attach/ws"}


def test_every_served_endpoint_answers_as_the_specification_has_it(walker: Walker, busybox: str) -> None:
    walker("POST", "/volumes/create", {"Name": NAME, "Labels": {"a": "b"}})
    walker("GET", "/volumes")
    walker("GET", "/volumes/{name}", name=NAME)
    walker("POST", "/networks/create", {"Name": NAME, "Labels": {"a": "b"}})
    walker("GET", "/networks")
    _walk_containers(walker, busybox)
    _walk_terminal(walker, busybox)
    _walk_images(walker, busybox)
    walker("POST", "/containers/prune", query='?filters={"label":["walked=no"]}')
    walker("DELETE", "/networks/{id}", id=NAME)
    walker("POST", "/networks/prune", query='?filters={"label":["walked=no"]}')
    walker("DELETE", "/volumes/{name}", name=NAME)
    walker("POST", "/volumes/prune", query='?filters={"label":["walked=no"]}')
    for path in (
        "/info",
        "/version",
        "/_ping",
        "/system/df",
        "/plugins",
        "/wherry/v1/kernel",
        "/wherry/v1/images/unused",
    ):
        walker("GET", path)
    walker("HEAD", "/_ping")
    walker("GET", "/events", query="?since=1&until=2")
    walker("POST", "/build/prune")
    for verb in ("plan", "apply"):
        walker("POST", f"/wherry/v1/{verb}", {"resources": [{"kind": "volume", "name": NAME, "state": "absent"}]})
    walker("GET", "/wherry/v1/registry_mirrors")
    assert not walker.faults, "\n".join(walker.faults)
    mirror = {"GET /wherry/v1/registry_mirrors/{registry}"}
    assert SERVED - walker.asked - NEEDS_A_REGISTRY - WEB_SOCKET - mirror == set()


def test_the_docker_command_handles_what_is_not_there(agent: PrivateAgent, busybox: str) -> None:
    for arguments, words in (
        (("service", "ls"), b"This node is not a swarm manager"),
        (("node", "ls"), b"This node is not a swarm manager"),
        (("swarm", "init"), b"not supported: swarm mode"),
        (("stack", "ls"), b"This node is not a swarm manager"),
        (("plugin", "install", "x"), b"not supported: plugins"),
    ):
        done = agent.docker(*arguments, check=False)
        assert done.returncode == 1, arguments
        assert words in done.stderr, (arguments, done.stderr)
    assert agent.out("plugin", "ls").startswith("ID")
    assert "Swarm: inactive" in agent.out("info")
    context = agent.place / "context"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(f"FROM {busybox}\n")
    for builder in ("0", "1"):
        done = agent.run("env", f"DOCKER_BUILDKIT={builder}", "docker", "build", str(context), check=False)
        assert done.returncode != 0
        assert b"not supported: " in done.stderr or b"buildx" in done.stderr, done.stderr
