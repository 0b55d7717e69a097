"""Health checks, waiting for them, and the way back from a replacement that does not become what it shall be."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task

Docker = Callable[..., CompletedProcess[bytes]]
NAME = "healthy-one"
BASE: dict[str, Any] = {"name": NAME, "image": "busybox:test", "command": "sleep 1000", "stop_timeout": 0}
READY = {"test": ["CMD", "test", "-e", "/ready"], "interval": "100ms", "timeout": "20s", "retries": 2}


@pytest.fixture(autouse=True)
def clean(docker: Docker, busybox: str) -> Iterator[None]:
    """Takes away what the tests make."""
    del busybox
    yield
    docker("rm", "-f", "-v", NAME, f"{NAME}.wherry-replaced", "linked-one", check=False)
    docker("network", "rm", "healthy-net", check=False)


def task(**options: Any) -> Task:
    return Task("container", {**BASE, **options})


def inspect(docker: Docker, name: str = NAME) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", name).stdout)
    assert isinstance(found, dict)
    return found


def test_health_is_waited_for(play: Play, docker: Docker) -> None:
    options = {"command": "sh -c 'sleep 1; touch /ready; sleep 1000'", "healthcheck": READY, "state": "healthy"}
    check, run, again = play([Task("container", {**BASE, **options}, check=True), task(**options), task(**options)])
    assert [step["changed"] for step in (check, run, again)] == [True, True, False]
    assert [action["action"] for action in check["actions"]] == [action["action"] for action in run["actions"]]
    assert run["container"]["State"]["Health"]["Status"] == "healthy"
    assert inspect(docker)["Config"]["Healthcheck"]["Interval"] == 100_000_000


def test_a_container_that_stays_unhealthy_fails_with_what_the_check_said(play: Play) -> None:
    never = {"test": "echo no database; exit 1", "interval": "100ms", "retries": 1}
    sick, ended, unchecked = play([
        task(healthcheck=never, state="healthy", healthy_wait_timeout=1.5),
        task(command="false", healthcheck=READY, state="healthy"),
        task(healthcheck={}, state="healthy"),
    ])  # fmt: skip
    assert "did not become healthy within 1.5 s" in sick["msg"]
    assert "no database" in sick["msg"]
    assert "ended with exit code 1 before it was healthy" in ended["msg"]
    assert unchecked["changed"]


def test_a_check_is_compared_part_by_part(play: Play, docker: Docker) -> None:
    results = play([
        task(healthcheck=READY),
        task(healthcheck={"test": READY["test"], "interval": "100000us"}),
        task(healthcheck={**READY, "retries": 5}),
        task(healthcheck={"test": ["NONE"]}),
        task(healthcheck={"interval": "5s"}),
        task(healthcheck={"test": "true", "interval": "soon"}),
        task(healthcheck={"test": ["RUN", "true"]}),
    ])  # fmt: skip
    assert [step["changed"] for step in results[:5]] == [True, False, True, True, False]
    assert results[2]["diff"]["before"]["healthcheck"] == {"retries": 2}
    assert results[2]["diff"]["after"]["healthcheck"] == {"retries": 5}
    assert 'healthcheck.interval: "soon": is not a duration' in results[5]["msg"]
    assert "healthcheck.test" in results[6]["msg"]
    assert inspect(docker)["Config"]["Healthcheck"]["Test"] == ["NONE"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"command": "/no/such/program"}, "/no/such/program"),
        (
            {"healthcheck": {**READY, "retries": 1}, "state": "healthy", "healthy_wait_timeout": 1},
            "did not become healthy",
        ),
    ],
    ids=["does not start", "stays unhealthy"],
)
def test_a_replacement_that_fails_leaves_the_old_one_running(
    play: Play, docker: Docker, change: dict[str, Any], said: str
) -> None:
    docker("network", "create", "--subnet", "10.146.0.0/24", "healthy-net")
    options = {
        "networks": [{"name": "healthy-net", "ipv4_address": "10.146.0.9"}],
        "published_ports": ["127.0.0.1:18146:80"],
        "env": {"VERSION": "1"},
    }
    first, failed, same, replaced = play([
        task(**options),
        task(**{**options, "env": {"VERSION": "2"}, **change}),
        task(**options),
        task(**{**options, "env": {"VERSION": "2"}}),
    ])  # fmt: skip
    assert failed["failed"]
    assert said in failed["msg"]
    assert failed["msg"].endswith("the container as it was before is back")
    assert (same["changed"], same["container"]["Id"]) == (False, first["container"]["Id"])
    assert same["container"]["NetworkSettings"]["Networks"]["healthy-net"]["IPAddress"] == "10.146.0.9"
    assert same["container"]["State"]["Running"]
    assert replaced["changed"]
    assert replaced["container"]["Id"] != first["container"]["Id"]
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout.decode().split() == [NAME]


def test_what_a_broken_off_replacement_left_is_cleaned_up(play: Play, docker: Docker, busybox: str) -> None:
    docker("create", "--name", f"{NAME}.wherry-replaced", busybox, "true")
    check, run, again = play([Task("container", BASE, check=True), task(), task()])
    assert [step["changed"] for step in (check, run, again)] == [True, True, False]
    assert [action["action"] for action in run["actions"]][-1] == "clean"
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout.decode().split() == [NAME]


def test_links_are_declared_and_compared(play: Play, docker: Docker, busybox: str) -> None:
    docker("run", "--detach", "--name", "linked-one", busybox, "sleep", "1000")
    results = play([
        task(links=["linked-one:database"]),
        task(links=["linked-one:database"]),
        task(links=["linked-one"]),
        task(links=["nobody:database"]),
        task(links=["linked-one:"]),
    ])  # fmt: skip
    assert [step["changed"] for step in results[:3]] == [True, False, True]
    assert "no such container" in results[3]["msg"]
    assert 'links[0]: "linked-one:": is not a link' in results[4]["msg"]
    hosts = docker("exec", NAME, "cat", "/etc/hosts").stdout
    assert b"linked-one" in hosts


def test_options_of_former_days_mean_what_they_meant(play: Play, docker: Docker) -> None:
    results = play([
        task(tty=True, command=["sleep", "1000"]),
        task(command=["sleep", "1000"], container_default_behavior="compatibility"),
        task(command=["sleep 1000"], entrypoint=[], command_handling="compatibility"),
        task(image="busybox:other", ignore_image=True, pull="never"),
        task(kernel_memory="64M"),
        task(device_requests=[{"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}]),
    ])  # fmt: skip
    assert [step["changed"] for step in results[:3]] == [True, True, False]
    assert "no such image" in results[3]["msg"]
    assert 'kernel_memory: "64M": is not supported' in results[4]["msg"]
    assert results[5]["failed"]
    assert inspect(docker)["Config"]["Tty"] is False
