"""Attaching by WebSocket, with the library that docker-py uses for it."""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from urllib.parse import urlencode

import pytest
import websocket

from tests.integration.containers.conftest import state_of
from tests.integration.support.private_agent import PrivateAgent

Attach = Callable[..., websocket.WebSocket]


@pytest.fixture
def attach(agent: PrivateAgent, name: str) -> Attach:
    """A WebSocket to the container of this test."""

    def open_it(version: str = "v1.51", **query: object) -> websocket.WebSocket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(30)
        connection.connect(str(agent.socket))
        url = f"ws://localhost/{version}/containers/{name}/attach/ws?{urlencode(query)}"
        return websocket.create_connection(url, socket=connection, timeout=30)

    return open_it


def test_output_before_and_after_the_start_comes_as_binary_messages(
    agent: PrivateAgent, busybox: str, name: str, attach: Attach
) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "echo out; echo err >&2; echo again")
    connection = attach(stream=1, stdout=1, logs=1)
    agent.docker("start", name)
    pieces = b""
    while data := connection.recv():
        assert isinstance(data, bytes)
        pieces += data
    assert pieces == b"out\nagain\n"
    assert not connection.connected
    history = attach(logs=1, stdout=1, stderr=1)
    assert sorted(b"".join(iter(history.recv, "")).split()) == [b"again", b"err", b"out"]


def test_input_is_carried_and_leaving_lets_the_container_run(
    agent: PrivateAgent, busybox: str, name: str, attach: Attach
) -> None:
    agent.docker("run", "--detach", "--interactive", "--tty", "--name", name, busybox, "cat")
    connection = attach(stream=1, stdin=1, stdout=1)
    connection.ping("there?")
    connection.send_binary(b"hello\r")
    received = b""
    while b"hello\r\nhello\r\n" not in received:
        received += connection.recv()
    connection.close()
    assert state_of(agent, name)["Running"]
    again = attach(stream=1, stdin=1, stdout=1)
    again.send("\x10\x11")  # the detach keys
    while again.recv():
        pass
    assert not again.connected
    assert state_of(agent, name)["Running"]


def test_old_versions_get_all_streams_as_text(agent: PrivateAgent, busybox: str, name: str, attach: Attach) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "echo err >&2")
    connection = attach("v1.27", stream=1)
    agent.docker("start", name)
    assert connection.recv() == "err\n"
    connection.close()


def _handshake(agent: PrivateAgent, name: str, *headers: str) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(agent.socket))
        key = base64.b64encode(bytes(16)).decode()
        lines = [f"GET /containers/{name}/attach/ws?logs=1&stdout=1 HTTP/1.1", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", *headers]  # fmt: skip
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        return connection.recv(4096).partition(b"\r\n")[0]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (("Host: localhost:2375", "Origin: http://localhost:2375"), b"101"),
        (("Host: localhost:2375",), b"101"),
        (("Host: localhost:2375", "Origin: http://localhost:3000"), b"403"),
        (("Host: localhost:2375", "Origin: http://evil.example"), b"403"),
        (("Host: localhost", "Origin: null"), b"403"),
        (("Host: evil.example", "Origin: http://evil.example"), b"403"),
        (("Host: localhost", "Sec-WebSocket-Version: 8"), b"400"),
        (("Host: localhost", "Upgrade: tcp"), b"400"),
    ],
)  # fmt: skip
def test_pages_of_browsers_are_kept_out(
    agent: PrivateAgent, busybox: str, name: str, headers: tuple[str, ...], status: bytes
) -> None:
    agent.docker("create", "--name", name, busybox, "true")
    usual = ("Upgrade: websocket", "Sec-WebSocket-Version: 13")
    given = {line.partition(":")[0] for line in headers}
    sent = [*headers, *(line for line in usual if line.partition(":")[0] not in given)]
    assert _handshake(agent, name, *sent).split()[1] == status
