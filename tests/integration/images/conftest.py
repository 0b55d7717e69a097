"""Fixtures of the image tests: an agent with registries, real and faulty, on loopback in its own namespace."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.private_agent import REPOSITORY, PrivateAgent
from tests.lab.image_content import Content
from tests.lab.registry import Registry

PLAIN_PORT, PRIVATE_PORT = 5000, 5001
USER, PASSWORD = "alice", "correct horse"


class FaultyRegistry:
    """``tests.lab.faulty_registry`` in the agent's namespace."""

    def __init__(self, agent: PrivateAgent, host: str, port: int) -> None:
        self.content = Content()
        self.address = f"{host}:{port}"
        self.folder = Path(tempfile.mkdtemp(prefix="wt-faulty-", dir="/var/tmp"))
        self._agent = agent
        command = [sys.executable, "-m", "tests.lab.faulty_registry", host, str(port), str(self.folder)]
        self._process = subprocess.Popen(
            agent.enter(command), env={**agent.environment(), "PYTHONPATH": str(REPOSITORY)}
        )
        deadline = time.monotonic() + 10
        url = f"http://{self.address}/v2/"
        while agent.run("curl", "-s", "--max-time", "1", url, check=False).returncode != 0:
            assert time.monotonic() < deadline, "the faulty registry did not start"
            time.sleep(0.05)
        self.forget()

    def serve(self, **faults: Any) -> None:
        """Serves the content from now on, with these faults, and forgets old requests."""
        self.content.write(self.folder)
        (self.folder / "faults.json").write_text(json.dumps(faults))
        self.forget()

    def forget(self) -> None:
        """Drops the record of requests."""
        (self.folder / "requests.jsonl").write_text("")

    def requests(self) -> list[dict[str, Any]]:
        """The requests seen: method, path, headers."""
        return [json.loads(line) for line in (self.folder / "requests.jsonl").read_text().splitlines()]

    def saw(self, header: str) -> list[str]:
        """The values of a header in all requests."""
        return [value for seen in self.requests() for name, value in seen["headers"].items() if name.lower() == header]

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateAgent]:
    """The agent of a module's tests."""
    with PrivateAgent() as running:
        yield running


@pytest.fixture(scope="module")
def registry(host: PrivateAgent) -> Iterator[Registry]:
    """A registry that anybody may use."""
    with Registry(host.enter, PLAIN_PORT) as running:
        yield running


@pytest.fixture(scope="module")
def private_registry(host: PrivateAgent) -> Iterator[Registry]:
    """A registry that wants a password."""
    with Registry(host.enter, PRIVATE_PORT, users={USER: PASSWORD}) as running:
        yield running


@pytest.fixture
def faulty(host: PrivateAgent) -> Iterator[FaultyRegistry]:
    """A registry that misbehaves."""
    made = FaultyRegistry(host, "127.0.0.1", 5002)
    yield made
    made.close()


@pytest.fixture
def other(host: PrivateAgent) -> Iterator[FaultyRegistry]:
    """Another one, on another address."""
    made = FaultyRegistry(host, "127.0.0.2", 5003)
    yield made
    made.close()


def push_layout(host: PrivateAgent, content: Content, tag: str, target: str, *options: str) -> None:
    """Pushes an image of ``content`` with skopeo, as a third party would."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        place = Path(folder)
        blobs = place / "blobs/sha256"
        blobs.mkdir(parents=True)
        for digest, data in content.blobs.items():
            (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        for digest, (_, data) in content.manifests.items():
            (blobs / digest.removeprefix("sha256:")).write_bytes(data)
        media_type, data = content.manifests[content.tags[tag]]
        entry = {
            "mediaType": media_type,
            "digest": content.tags[tag],
            "size": len(data),
            "annotations": {"org.opencontainers.image.ref.name": tag},
        }
        (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        policy = '{"default":[{"type":"insecureAcceptAnything"}]}'
        (place / "policy.json").write_text(policy)
        host.run(
            "skopeo", "--policy", str(place / "policy.json"), "copy", "--quiet", "--dest-tls-verify=false",
            *options, f"oci:{place}:{tag}", f"docker://{target}",
        )  # fmt: skip
