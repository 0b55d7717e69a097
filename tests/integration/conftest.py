"""Fixtures of the integration tests.

``agent``      one wherryd for the whole session; tests use names of their own and remove what they make
``own_agent``  one for a single test, which may stop, kill and restart it
``docker``     Docker's command line against ``agent``: ``docker("ps", "-q")`` returns the finished process
``api``        docker-py against ``agent``
``busybox``    the name of an image in ``agent``, made of the machine's busybox
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker as docker_py
import pytest

from tests.integration.support.private_agent import PrivateAgent
from tests.integration.support.rootfs import busybox_archive

IMAGE = "busybox:test"


@pytest.fixture(scope="session")
def agent() -> Iterator[PrivateAgent]:
    """The agent that the tests of a session share."""
    with PrivateAgent() as running:
        yield running


@pytest.fixture
def own_agent() -> Iterator[PrivateAgent]:
    """An agent for this test alone."""
    with PrivateAgent() as running:
        yield running


@pytest.fixture
def docker(agent: PrivateAgent) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Docker's command line."""
    return agent.docker


@pytest.fixture
def api(agent: PrivateAgent) -> Iterator[docker_py.DockerClient]:
    """docker-py."""
    client = agent.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def rootfs_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tar archive of a busybox root file system, for ``docker import``."""
    return busybox_archive(tmp_path_factory.mktemp("rootfs") / "busybox.tar")


@pytest.fixture(scope="session")
def busybox(agent: PrivateAgent, rootfs_archive: Path) -> str:
    """An image of busybox in the shared agent."""
    agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), IMAGE)
    return IMAGE


@pytest.fixture
def own_busybox(own_agent: PrivateAgent, rootfs_archive: Path) -> str:
    """An image of busybox in this test's own agent."""
    own_agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), IMAGE)
    return IMAGE
