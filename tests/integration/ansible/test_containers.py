"""The module ``container``: what a user declares is what the kernel and a real client see."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task

Docker = Callable[..., CompletedProcess[bytes]]
BASE: dict[str, Any] = {"name": "play-one", "image": "busybox:test", "command": "sleep 1000", "stop_timeout": 1}


@pytest.fixture(autouse=True)
def clean(docker: Docker, busybox: str) -> Iterator[None]:
    """Takes away what the tests make."""
    del busybox
    yield
    docker("rm", "-f", "-v", "play-one", "play-two", check=False)
    docker("network", "rm", "play-a", "play-b", check=False)
    docker("image", "rm", "busybox:other-name", check=False)


def inspect(docker: Docker, name: str = "play-one") -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", name).stdout)
    assert isinstance(found, dict)
    return found


def task(**options: Any) -> Task:
    return Task("container", {**BASE, **options})


def changes(results: list[dict[str, Any]]) -> list[bool]:
    assert [result["msg"] for result in results if result.get("failed")] == []
    return [result["changed"] for result in results]


def test_states_lead_from_one_to_the_other(play: Play, docker: Docker) -> None:
    order = ["present", "stopped", "started", "present", "stopped", "stopped", "started", "absent", "absent"]
    results = play([task(state=state) for state in order])
    assert changes(results) == [True, False, True, False, True, False, True, True, False]
    assert results[0]["container"]["State"]["Status"] == "created"
    assert results[2]["container"]["State"]["Running"]
    assert not results[4]["container"]["State"]["Running"]
    assert results[-1]["container"] == {}
    assert docker("ps", "-aq", "--filter", "name=play-one").stdout == b""


def test_limits_change_in_the_running_container(play: Play, docker: Docker) -> None:
    first, second, third = play([
        task(memory="64M", pids_limit=50),
        task(memory="96M", pids_limit=60, cpu_shares=512, restart_policy="always"),
        task(memory="96M", pids_limit=60, cpu_shares=512, restart_policy="always"),
    ])  # fmt: skip
    assert changes([first, second, third]) == [True, True, False]
    assert second["container"]["Id"] == first["container"]["Id"]
    assert second["container"]["State"]["Pid"] == first["container"]["State"]["Pid"]
    assert inspect(docker)["HostConfig"]["Memory"] == 96 << 20
    assert inspect(docker)["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert second["diff"]["before"]["memory"] == 64 << 20


def test_a_limit_that_is_lifted_makes_it_anew(play: Play, docker: Docker) -> None:
    first, second = play([task(memory="64M"), task(memory="0")])
    assert changes([first, second]) == [True, True]
    assert second["container"]["Id"] != first["container"]["Id"]
    assert inspect(docker)["HostConfig"]["Memory"] == 0


def test_another_name_of_the_same_image_is_no_change(play: Play, docker: Docker) -> None:
    docker("tag", "busybox:test", "busybox:other-name")
    results = play([task(), task(image="busybox:other-name"), task(image="docker.io/library/busybox:test")])
    assert changes(results) == [True, False, False]
    (recreated,) = play([task(image="busybox:other-name", image_name_mismatch="recreate")])
    assert recreated["changed"]


def test_networks_are_plugged_in_and_out_while_it_runs(play: Play, docker: Docker) -> None:
    networks = [
        Task("network", {"name": "play-a", "ipam_config": [{"subnet": "10.142.0.0/24"}]}),
        Task("network", {"name": "play-b", "ipam_config": [{"subnet": "10.142.1.0/24"}]}),
    ]
    one, both = [{"name": "play-a"}], [{"name": "play-a"}, {"name": "play-b", "ipv4_address": "10.142.1.77"}]
    results = play([
        *networks,
        task(networks=one),
        task(networks=both),
        task(networks=both),
        task(networks=one),
        task(networks=one, purge_networks=True),
        task(networks=one, purge_networks=True),
    ])  # fmt: skip
    assert changes(results) == [True, True, True, True, False, False, True, False]
    assert len({result["container"]["State"]["Pid"] for result in results[2:]}) == 1
    plugged = results[3]["container"]["NetworkSettings"]["Networks"]
    assert plugged["play-b"]["IPAddress"] == "10.142.1.77"
    assert list(inspect(docker)["NetworkSettings"]["Networks"]) == ["play-a"]


def test_a_network_made_anew_keeps_its_containers(play: Play, docker: Docker) -> None:
    def network(subnet: str) -> Task:
        return Task("network", {"name": "play-a", "ipam_config": [{"subnet": subnet}]})

    results = play([network("10.142.0.0/24"), task(networks=[{"name": "play-a"}]), network("10.142.8.0/24")])
    assert changes(results) == [True, True, True]
    (same,) = play([task(networks=[{"name": "play-a"}])])
    assert not same["changed"]
    found = inspect(docker)
    assert found["NetworkSettings"]["Networks"]["play-a"]["IPAddress"].startswith("10.142.8.")
    assert found["State"]["Pid"] == results[1]["container"]["State"]["Pid"]
    docker("restart", "-t", "0", "play-one")
    assert list(inspect(docker)["NetworkSettings"]["Networks"]) == ["play-a"]


def test_a_task_waits_for_a_job_and_tells_how_it_ended(play: Play, docker: Docker) -> None:
    good, bad, clean = play([
        task(command=["sh", "-c", "echo all well"], detach=False),
        task(command=["sh", "-c", "echo broken >&2; exit 3"], detach=False),
        task(name="play-two", command="echo gone", detach=False, cleanup=True),
    ])  # fmt: skip
    assert (good["status"], good["container"]["Output"]) == (0, "all well\n")
    assert bad["failed"]
    assert bad["msg"] == "the container ended with exit code 3: broken"
    assert clean["container"]["Output"] == "gone\n"
    assert docker("ps", "-aq", "--filter", "name=play-two").stdout == b""


def test_a_container_that_cannot_start_is_not_left_behind(play: Play, docker: Docker) -> None:
    (result,) = play([task(command=["/no/such/program"])])
    assert result["failed"]
    assert "/no/such/program" in result["msg"]
    assert docker("ps", "-aq", "--filter", "name=play-one").stdout == b""


def test_it_is_paused_restarted_and_made_anew_on_request(play: Play) -> None:
    results = play([
        task(), task(paused=True), task(paused=True), task(paused=False), task(restart=True), task(recreate=True),
    ])  # fmt: skip
    assert changes(results) == [True, True, False, True, True, True]
    assert results[1]["container"]["State"]["Paused"]
    assert results[4]["container"]["Id"] == results[0]["container"]["Id"]
    assert results[4]["container"]["State"]["Pid"] != results[0]["container"]["State"]["Pid"]
    assert results[5]["container"]["Id"] != results[0]["container"]["Id"]


def test_anonymous_volumes_go_only_when_told(play: Play, docker: Docker) -> None:
    kept, _, gone, _ = play([
        task(volumes=["/data"]),
        task(state="absent"),
        task(volumes=["/data"]),
        task(state="absent", keep_volumes=False),
    ])  # fmt: skip
    volumes = docker("volume", "ls", "-q").stdout.decode().split()
    assert kept["container"]["Mounts"][0]["Name"] in volumes
    assert gone["container"]["Mounts"][0]["Name"] not in volumes
    docker("volume", "rm", kept["container"]["Mounts"][0]["Name"])
