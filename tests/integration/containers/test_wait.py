"""POST /containers/{id}/wait: conditions, and the head that comes at once."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.integration.support.private_agent import PrivateAgent


def begin_wait(agent: PrivateAgent, name: str, condition: str) -> socket.socket:
    """Asks, and returns when the head of the answer is there."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(agent.socket))
    connection.sendall(f"POST /v1.51/containers/{name}/wait?condition={condition} HTTP/1.0\r\nHost: x\r\n\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(1)
    assert b" 200 " in head.splitlines()[0]
    return connection


def answer(connection: socket.socket) -> dict[str, object]:
    content = b""
    while piece := connection.recv(4096):
        content += piece
    connection.close()
    document: dict[str, object] = json.loads(content)
    return document


def test_head_comes_before_the_condition_holds(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "exit 8")
    waiting = [begin_wait(agent, name, condition) for condition in ("next-exit", "removed")]
    agent.docker("start", name)
    assert answer(waiting[0]) == {"StatusCode": 8}
    waiting[1].settimeout(0.3)
    with pytest.raises(TimeoutError):
        waiting[1].recv(1)
    waiting[1].settimeout(10)
    agent.docker("rm", name)
    assert answer(waiting[1]) == {"StatusCode": 8}


def test_not_running_holds_at_once_for_what_does_not_run(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "sleep 0.3; exit 6")
    assert answer(begin_wait(agent, name, "not-running")) == {"StatusCode": 0}
    agent.docker("start", name)
    began = time.monotonic()
    assert answer(begin_wait(agent, name, "not-running")) == {"StatusCode": 6}
    assert time.monotonic() - began > 0.1


def test_removal_of_a_running_container_releases_those_who_wait(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1000")
    waiting = begin_wait(agent, name, "removed")
    agent.docker("rm", "--force", name)
    assert answer(waiting) == {"StatusCode": 137}


def test_an_unknown_condition_is_refused(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "true")
    with pytest.raises(AssertionError):
        begin_wait(agent, name, "sometime")
