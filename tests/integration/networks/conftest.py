"""Fixtures of the network tests: a host with ``Networks``, and a neighbour on its segment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.integration.networks.topology import Host, Namespaces, cable


@pytest.fixture
def make_host() -> Iterator[Callable[..., Host]]:
    """Makes hosts; ``settings`` are fields of the agent's configuration."""
    hosts: list[Host] = []

    def make(**settings: Any) -> Host:
        hosts.append(Host(settings))
        hosts[-1].start()
        return hosts[-1]

    yield make
    for host in hosts:
        host.end()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    """One host."""
    return make_host()


@pytest.fixture
def neighbour(host: Host) -> Iterator[Namespaces]:
    """Another machine on the host's segment: the host is 192.0.2.1 there, the neighbour 192.0.2.2."""
    node = Namespaces()
    cable(host, node)
    yield node
    node.end()
