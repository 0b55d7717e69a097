"""Clients that do nothing, or do it slowly, keep nobody else from being served."""

from __future__ import annotations

import resource
import socket
import time

from tests.integration.support.private_agent import PrivateAgent

CLIENTS = 2000


def _ping(agent: PrivateAgent) -> float:
    begun = time.monotonic()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(agent.socket))
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
    return time.monotonic() - begun


def test_agent_answers_beside_thousands_of_idle_and_unfinished_requests(own_agent: PrivateAgent) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, CLIENTS + 500)), hard))
    clients = []
    try:
        for number in range(CLIENTS):
            client = socket.socket(socket.AF_UNIX)
            client.connect(str(own_agent.socket))
            if number % 2:
                client.sendall(b"GET /info HTTP/1.1\r\nHost: lo")
            clients.append(client)
        assert min(_ping(own_agent) for _ in range(10)) < 0.1
    finally:
        for client in clients:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert _ping(own_agent) < 1
