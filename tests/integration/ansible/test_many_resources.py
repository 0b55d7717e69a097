"""Many resources in one request: settled in an order that works, gone in an order that works, one at a time each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.support.private_agent import PrivateAgent
from wherry.cli.client import Client
from wherry.errors import WherryError

Docker = Callable[..., CompletedProcess[bytes]]

MAIN = {
    "kind": "container",
    "name": "many-main",
    "image": "busybox:test",
    "command": "sleep 1000",
    "networks": [{"name": "many-net"}],
    "volumes": ["many-volume:/data"],
    "stop_timeout": 0,
}
SIDE = {
    "kind": "container",
    "name": "many-side",
    "image": "busybox:test",
    "command": "sleep 1000",
    "network_mode": "container:many-main",
    "volumes_from": ["many-main"],
    "stop_timeout": 0,
}
NETWORK = {"kind": "network", "name": "many-net", "ipam_config": [{"subnet": "10.143.0.0/24"}]}
VOLUME = {"kind": "volume", "name": "many-volume"}
ALL = [SIDE, MAIN, VOLUME, NETWORK]


@pytest.fixture
def apply(agent: PrivateAgent, docker: Docker, busybox: str) -> Iterator[Callable[..., dict[str, Any]]]:
    """Sends resources to the agent; afterwards takes away what the tests make."""
    del busybox

    def send(*resources: dict[str, Any], check: bool = False) -> dict[str, Any]:
        path = "/wherry/v1/plan" if check else "/wherry/v1/apply"
        answer: dict[str, Any] = Client(agent.host).request("POST", path, body={"resources": list(resources)})
        return answer

    yield send
    docker("rm", "-f", "many-side", "many-main", check=False)
    docker("network", "rm", "many-net", check=False)
    docker("volume", "rm", "many-volume", check=False)


def done(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(action["name"], action["action"]) for action in answer["actions"] if action["changed"]]


def test_they_come_and_go_in_whatever_order_they_are_declared(apply: Callable[..., dict[str, Any]]) -> None:
    told, made, again = apply(*ALL, check=True), apply(*ALL), apply(*ALL)
    assert done(told) == done(made)
    assert [name for name, action in done(made) if action == "create"] == [
        "many-net", "many-volume", "many-main", "many-side",
    ]  # fmt: skip
    assert not again["changed"]
    gone = apply(*({"kind": one["kind"], "name": one["name"], "state": "absent"} for one in reversed(ALL)))
    assert {action for _, action in done(gone)} == {"remove"}
    assert [entry["object"] for entry in gone["objects"]] == [None] * 4


def test_a_plan_that_cannot_be_carried_out_changes_nothing(
    apply: Callable[..., dict[str, Any]], docker: Docker
) -> None:
    with pytest.raises(WherryError, match="no such network"):
        apply(VOLUME, {**MAIN, "networks": [{"name": "many-other"}]})
    assert b"many-volume" not in docker("volume", "ls", "-q").stdout


def test_two_requests_at_once_make_one_container(apply: Callable[..., dict[str, Any]], docker: Docker) -> None:
    apply(NETWORK, VOLUME)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: apply(MAIN), range(4)))
    assert sorted(answer["changed"] for answer in answers) == [False, False, False, True]
    assert len(docker("ps", "-q", "--filter", "name=many-main").stdout.split()) == 1
