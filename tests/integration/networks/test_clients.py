"""Networks and volumes as Docker's own clients see them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator

import docker as docker_py
import pytest

from tests.integration.support.private_agent import PrivateAgent

Docker = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def network(docker: Docker) -> Iterator[str]:
    docker("network", "create", "--subnet", "10.55.0.0/24", "--label", "made=here", "front")
    yield "front"
    for container in docker("ps", "-aq", "--filter", "network=front").stdout.decode().split():
        docker("rm", "-f", container)
    docker("network", "rm", "front", check=False)


def complaint(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode != 0
    return done.stderr.decode()


def test_a_network_is_shown_with_its_containers(docker: Docker, busybox: str, network: str) -> None:
    docker("run", "-d", "--name", "shown", "--network", network, "--ip", "10.55.0.7", busybox, "sleep", "60")

    shown = json.loads(docker("network", "inspect", network).stdout)[0]

    assert shown["IPAM"]["Config"] == [{"Subnet": "10.55.0.0/24", "Gateway": "10.55.0.1"}]
    assert shown["Labels"] == {"made": "here"}
    (plugged,) = shown["Containers"].values()
    assert (plugged["Name"], plugged["IPv4Address"]) == ("shown", "10.55.0.7/24")
    assert 'active endpoints (name:"shown"' in complaint(docker("network", "rm", network, check=False))


def test_a_container_is_connected_and_disconnected(docker: Docker, busybox: str, network: str) -> None:
    docker("run", "-d", "--name", "moved", busybox, "sleep", "60")
    docker("network", "connect", "--ip", "10.55.0.9", network, "moved")
    assert "10.55.0.9/24" in docker("exec", "moved", "ip", "address", "show", "eth1").stdout.decode()
    assert "already exists in network front" in complaint(docker("network", "connect", network, "moved", check=False))

    docker("network", "disconnect", network, "moved")

    assert docker("exec", "moved", "ip", "link", "show", "eth1", check=False).returncode != 0
    docker("rm", "-f", "moved")


def test_refusals_keep_dockers_words(docker: Docker, network: str) -> None:
    def refused(*arguments: str) -> str:
        return complaint(docker("network", *arguments, check=False))

    assert "network nothing not found" in refused("inspect", "nothing")
    assert "network with name front already exists" in refused("create", network)
    assert "Pool overlaps with other one" in refused("create", "--subnet", "10.55.0.0/16", "other")
    assert "bridge is a pre-defined network and cannot be removed" in refused("rm", "bridge")
    assert "not supported: driver=overlay" in refused("create", "-d", "overlay", "other")


def test_docker_py_lists_filters_and_prunes_networks(api: docker_py.DockerClient, network: str) -> None:
    assert [one.name for one in api.networks.list(filters={"label": "made=here"})] == [network]
    assert {"bridge", "host", "none"} <= {one.name for one in api.networks.list(filters={"type": "builtin"})}

    assert api.networks.prune(filters={"label": "made=here"})["NetworksDeleted"] == [network]
    assert api.networks.prune(filters={"label": "made=here"})["NetworksDeleted"] in (None, [])


def test_a_volume_outlives_its_containers_and_is_kept_while_one_refers_to_it(docker: Docker, busybox: str) -> None:
    docker("run", "--name", "writer", "-v", "kept:/data", busybox, "sh", "-c", "echo alive >/data/file")
    assert "volume is in use" in complaint(docker("volume", "rm", "kept", check=False))
    docker("rm", "writer")

    assert docker("run", "--rm", "-v", "kept:/data", busybox, "cat", "/data/file").stdout == b"alive\n"
    docker("volume", "rm", "kept")
    assert "get kept: no such volume" in complaint(docker("volume", "inspect", "kept", check=False))


def test_a_tmpfs_volume_is_mounted_while_a_container_runs(docker: Docker, busybox: str, agent: PrivateAgent) -> None:
    docker("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "fast")

    printed = docker("run", "--rm", "-v", "fast:/data", busybox, "df", "-k", "/data").stdout.decode()

    assert " 1024 " in printed
    assert "/fast/_data" not in agent.run("cat", "/proc/self/mountinfo").stdout.decode()
    docker("volume", "rm", "fast")


def test_prune_leaves_named_volumes_alone(api: docker_py.DockerClient) -> None:
    named, anonymous = api.volumes.create("named"), api.volumes.create()

    assert api.volumes.prune()["VolumesDeleted"] == [anonymous.name]
    assert named.name in api.volumes.prune(filters={"all": True})["VolumesDeleted"]


def test_an_ipv6_subnet_asks_for_ipv6(api: docker_py.DockerClient) -> None:
    pool = docker_py.types.IPAMPool(subnet="fd00:55::/64", gateway="fd00:55::1")
    made = api.api.create_network("six", ipam=docker_py.types.IPAMConfig(pool_configs=[pool]))
    try:
        assert api.api.inspect_network(made["Id"])["EnableIPv6"] is True
    finally:
        api.api.remove_network(made["Id"])


def test_names_may_hold_spaces_within(docker: Docker) -> None:
    docker("network", "create", "two words")
    assert "two words" in docker("network", "ls", "--format", "{{.Name}}").stdout.decode().splitlines()
    docker("network", "rm", "two words")
    assert "invalid network name" in complaint(docker("network", "create", "ends in space ", check=False))


def test_options_of_other_drivers_are_passed_over_and_unknown_ones_of_ours_refused(
    docker: Docker, busybox: str, network: str
) -> None:
    def run(option: str) -> subprocess.CompletedProcess[bytes]:
        return docker("run", "--rm", "--network", f"name={network},driver-opt={option}", busybox, "true", check=False)

    assert run("com.example.color=blue").returncode == 0
    assert "com.docker.network.endpoint.nonsense" in complaint(run("com.docker.network.endpoint.nonsense=1"))


def test_forcing_does_not_disconnect_what_is_not_connected(docker: Docker, busybox: str, network: str) -> None:
    docker("run", "-d", "--name", "elsewhere", busybox, "sleep", "60")
    try:
        said = complaint(docker("network", "disconnect", "--force", network, "elsewhere", check=False))
        assert "is not connected to network front" in said
    finally:
        docker("rm", "-f", "elsewhere")


def test_an_address_is_free_as_soon_as_its_container_has_ended(
    docker: Docker, api: docker_py.DockerClient, busybox: str, network: str
) -> None:
    containers = []
    for number in range(5):
        name = f"quick-{number}"
        docker("create", "--network", network, "--ip", "10.55.0.9", "--name", name, busybox, "sleep", "100")
        containers.append(api.containers.get(name))
    for container in containers:
        container.start()
        container.kill()
        container.wait()


def test_ports_go_with_the_last_network_and_come_back_with_the_next(
    docker: Docker, api: docker_py.DockerClient, busybox: str, network: str
) -> None:
    docker("run", "-d", "--name", "moving", "--network", network, "-p", "18055:80", busybox, "sleep", "100")
    container = api.containers.get("moving")
    mapped = container.ports
    api.networks.get(network).disconnect(container)
    container.reload()
    assert container.ports == {"80/tcp": None}
    docker("run", "-d", "--name", "other", "--network", network, "-p", "18055:80", busybox, "sleep", "100")
    docker("rm", "-f", "other")
    api.networks.get(network).connect(container)
    container.reload()
    assert container.ports == mapped
    docker("rm", "-f", "moving")
