"""What the tests of containers share: a container name of their own, removed afterwards, and waiting for facts."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.support.private_agent import PrivateAgent

Run = Callable[..., str]
DEADLINE_SECONDS = 10.0


@pytest.fixture
def name(request: pytest.FixtureRequest, agent: PrivateAgent) -> Iterator[str]:
    """A container name for this test; whatever has it at the end is removed."""
    chosen = f"t-{abs(hash(request.node.nodeid)) % 10**10}"
    yield chosen
    agent.docker("rm", "--force", "--volumes", chosen, check=False)


@pytest.fixture
def run(agent: PrivateAgent, busybox: str) -> Run:
    """Runs a command line in a container of its own (``options`` for ``docker run``) and returns what it printed."""

    def run_it(script: str, *options: str) -> str:
        return agent.out("run", "--rm", *options, busybox, "sh", "-c", script)

    return run_it


def state_of(agent: PrivateAgent, name: str) -> dict[str, Any]:
    """``State`` of an inspect."""
    state: dict[str, Any] = json.loads(agent.out("inspect", "--format", "{{json .State}}", name))
    return state


def eventually(fact: Callable[[], bool], what: str = "it") -> None:
    """Waits until a fact holds; fails when it does not in time."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not fact():
        assert time.monotonic() < deadline, f"{what} did not come about in {DEADLINE_SECONDS:.0f} s"
        time.sleep(0.05)


def ask(agent: PrivateAgent, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """One request of the Engine API; status and document."""
    connection = http.client.HTTPConnection("agent")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(agent.socket))
    content = None if body is None else json.dumps(body)
    connection.request(method, f"/v1.51{path}", content, {"Content-Type": "application/json"} if content else {})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text) if text.strip() else None
