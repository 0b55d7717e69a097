"""Clients that speak older versions of the Engine API find what those versions had."""

from __future__ import annotations

from collections.abc import Iterator

import docker
import pytest

from tests.integration.support.private_agent import PrivateAgent


@pytest.fixture
def client(agent: PrivateAgent, request: pytest.FixtureRequest) -> Iterator[docker.APIClient]:
    """docker-py's lower half, in the version that the test names."""
    made = docker.APIClient(base_url=agent.host, version=request.param, timeout=60)
    yield made
    made.close()


def of_version(version: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("client", [version], indirect=True, ids=[version])


@of_version("1.44")
def test_an_image_tells_its_container(client: docker.APIClient, busybox: str) -> None:
    made = client.create_container(busybox, "true")["Id"]
    image = client.commit(made, changes=["VOLUME /data"])["Id"]
    try:
        shown = client.inspect_image(image)
        assert shown["Container"] == made
    finally:
        client.remove_container(made)
        client.remove_image(image)


@of_version("1.45")
def test_an_image_no_longer_tells_its_container(client: docker.APIClient, busybox: str) -> None:
    shown = client.inspect_image(busybox)
    assert "Container" not in shown
    assert shown["ContainerConfig"]["Volumes"] is None  # docker-compose 1.29 looks there, whatever it speaks


@pytest.mark.parametrize(
    ("client", "mode"), [("1.39", "shareable"), ("1.40", "private")], indirect=["client"], ids=["1.39", "1.40"]
)
def test_others_may_join_the_ipc_namespace_by_default(client: docker.APIClient, busybox: str, mode: str) -> None:
    made = client.create_container(busybox, "true")["Id"]
    assert client.inspect_container(made)["HostConfig"]["IpcMode"] == mode
    client.remove_container(made)


@of_version("1.24")
def test_the_client_removes_its_container(client: docker.APIClient, busybox: str) -> None:
    made = client.create_container(busybox, "true", host_config={"AutoRemove": True})["Id"]
    assert client.inspect_container(made)["HostConfig"]["AutoRemove"] is False
    client.remove_container(made)


@pytest.mark.parametrize(
    ("client", "listed"), [("1.44", True), ("1.45", False)], indirect=["client"], ids=["1.44", "1.45"]
)
def test_a_containers_short_id_is_an_alias(client: docker.APIClient, busybox: str, listed: bool) -> None:
    network = client.create_network("aliases")["Id"]
    made = client.create_container(busybox, "true", host_config={"NetworkMode": "aliases"})["Id"]
    try:
        aliases = client.inspect_container(made)["NetworkSettings"]["Networks"]["aliases"]["Aliases"] or []
        assert (made[:12] in aliases) is listed
    finally:
        client.remove_container(made)
        client.remove_network(network)


@of_version("1.43")
def test_a_container_begins_in_one_network(client: docker.APIClient, busybox: str) -> None:
    both = {"EndpointsConfig": {"one": {}, "two": {}}}
    with pytest.raises(docker.errors.APIError, match="Container cannot be connected to network endpoints: one, two"):
        client.create_container(busybox, "true", networking_config=both)
