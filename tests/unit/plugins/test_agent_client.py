"""The client on a managed host: what a user reads when the agent is not as expected."""

from __future__ import annotations

import importlib
import socket
import threading
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def client_module() -> Any:
    return importlib.import_module("ansible_collections.wherry.node.plugins.module_utils.agent_client")


def sentence(client_module: Any, agent: str) -> str:
    with pytest.raises(client_module.AgentError) as caught:
        client_module.AgentClient(agent).request("GET", "/version")
    return str(caught.value)


def serve_once(path: Path, answer: bytes) -> None:
    """Answers one request on a unix socket."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer_one() -> None:
        connection, _ = listener.accept()
        with listener, connection:
            connection.recv(65536)
            connection.sendall(answer)

    threading.Thread(target=answer_one, daemon=True).start()


def test_an_agent_that_is_not_there_is_named_with_the_way_to_start_it(client_module: Any, tmp_path: Path) -> None:
    message = sentence(client_module, f"unix://{tmp_path}/none.sock")
    assert message == (
        f"no Wherry agent listens at unix://{tmp_path}/none.sock (No such file or directory); start it (systemctl "
        "start wherry, or wherryd), or say where it is with the option agent or the variable WHERRY_HOST"
    )


def test_a_socket_that_nobody_listens_at_is_an_agent_that_is_down(client_module: Any, tmp_path: Path) -> None:
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale.sock"))
    stale.close()
    message = sentence(client_module, f"unix://{tmp_path}/stale.sock")
    assert "Connection refused" in message
    assert "start it" in message


def test_another_address_than_a_unix_socket_is_refused_by_name(client_module: Any) -> None:
    with pytest.raises(
        client_module.AgentError, match=r'agent: "tcp://127.0.0.1:2375": is not the address of an agent'
    ):
        client_module.AgentClient("tcp://127.0.0.1:2375")


def test_the_environment_says_where_the_agent_is(client_module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERRY_HOST", "unix:///elsewhere.sock")
    assert client_module.AgentClient().agent == "unix:///elsewhere.sock"
    monkeypatch.delenv("WHERRY_HOST")
    assert client_module.AgentClient().agent == "unix:///run/wherry/wherry.sock"


def test_a_server_of_another_kind_is_told_from_an_agent(client_module: Any, tmp_path: Path) -> None:
    body = b'{"message":"page not found"}'
    head = f"HTTP/1.1 404 Not Found\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    serve_once(tmp_path / "docker.sock", head + body)
    assert "is not a Wherry agent" in sentence(client_module, f"unix://{tmp_path}/docker.sock")


def test_an_answer_that_is_no_http_is_reported(client_module: Any, tmp_path: Path) -> None:
    serve_once(tmp_path / "odd.sock", b"SSH-2.0-OpenSSH_9.2\r\n")
    assert "does not answer as an agent does" in sentence(client_module, f"unix://{tmp_path}/odd.sock")


def test_an_agent_that_breaks_off_is_reported(client_module: Any, tmp_path: Path) -> None:
    serve_once(tmp_path / "dies.sock", b"")
    assert str(tmp_path) in sentence(client_module, f"unix://{tmp_path}/dies.sock")


def test_a_user_who_may_not_use_the_socket_is_told_what_to_do(client_module: Any, tmp_path: Path) -> None:
    error = client_module.AgentClient("unix:///x")._no_answer(PermissionError(13, "Permission denied"))
    assert "use become" in str(error)
