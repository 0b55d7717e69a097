"""The module ``node``: everything of a host in one task, and only what it owns is ever purged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task

Docker = Callable[..., CompletedProcess[bytes]]


def container(name: str, **options: Any) -> dict[str, Any]:
    return {"name": name, "image": "busybox:test", "command": "sleep 1000", "stop_timeout": 0, **options}


HOST: dict[str, Any] = {
    "networks": [{"name": "node-net", "ipam_config": [{"subnet": "10.148.0.0/24"}]}],
    "volumes": [{"name": "node-data"}],
    "containers": [
        container("node-web", networks=[{"name": "node-net"}], volumes=["node-data:/data"], pids_limit="64"),
        container("node-db", networks=[{"name": "node-net"}], labels={"role": "db"}),
    ],
}
PURGE = ["containers", "networks", "volumes"]


@pytest.fixture(autouse=True)
def clean(docker: Docker, busybox: str) -> Iterator[None]:
    """Takes away what the tests make."""
    del busybox
    yield
    docker("rm", "-f", "-v", "node-web", "node-db", "by-hand", "by-module", check=False)
    docker("network", "rm", "node-net", "by-hand", check=False)
    docker("volume", "rm", "node-data", "by-hand", check=False)


def node(check: bool = False, **options: Any) -> Task:
    return Task("node", options, check=check)


def told(step: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(action["kind"], action["name"], action["action"]) for action in step["actions"]]


def test_a_host_is_declared_checked_and_changed_in_one_task(play: Play, docker: Docker) -> None:
    changed = {**HOST, "containers": [HOST["containers"][0], container("node-db", env={"A": "1"})]}
    check, run, again, check_change, change = play([
        node(check=True, **HOST), node(**HOST), node(**HOST), node(check=True, **changed), node(**changed),
    ])  # fmt: skip
    assert [step["changed"] for step in (check, run, again, check_change, change)] == [True, True, False, True, True]
    assert told(check) == told(run)
    assert told(check_change) == told(change)
    assert [action["action"] for action in change["actions"] if action["changed"]] == ["recreate", "start"]
    assert [entry["name"] for entry in run["objects"]] == ["node-net", "node-data", "node-web", "node-db"]
    assert [diff["before_header"] for diff in change["diff"]] == [
        "container node-db (recreate)",
        "container node-db (start)",
    ]
    shown = docker("inspect", "--format", '{{index .Config.Labels "io.wherry.owner"}}', "node-web", "node-db").stdout
    assert shown.decode().split() == ["node", "node"]


def test_what_is_no_longer_declared_goes_and_nothing_else(play: Play, docker: Docker, busybox: str) -> None:
    docker("run", "-d", "--name", "by-hand", busybox, "sleep", "1000")
    docker("network", "create", "by-hand")
    docker("volume", "create", "by-hand")
    less = {**HOST, "containers": HOST["containers"][1:], "volumes": []}
    _, other, kept, check, run, again, nothing = play([
        node(**HOST),
        node(owner="other", purge=PURGE),
        node(**less),
        node(check=True, **less, purge=PURGE),
        node(**less, purge=PURGE),
        node(**less, purge=PURGE),
        node(purge=PURGE),
    ])  # fmt: skip
    assert [step["changed"] for step in (other, kept, check, run, again, nothing)] == [
        False, False, True, True, False, True,
    ]  # fmt: skip
    assert told(check) == told(run)
    assert ("container", "node-web", "remove") in told(run)
    assert ("volume", "node-data", "remove") in told(run)
    assert {name for _, name, action in told(nothing) if action == "remove"} == {"node-db", "node-net"}
    assert docker("ps", "--format", "{{.Names}}").stdout == b"by-hand\n"
    assert b"by-hand" in docker("network", "ls").stdout
    assert b"by-hand" in docker("volume", "ls").stdout


def test_an_object_stays_its_owners_when_another_module_makes_it_anew(play: Play) -> None:
    _, alone, strict, run = play([
        node(**HOST),
        Task("container", container("node-db", env={"B": "2"}, networks=[{"name": "node-net"}])),
        Task("container", container("node-db", env={"B": "2"}, labels={}, comparisons={"labels": "strict"})),
        node(networks=HOST["networks"], purge=["containers"]),
    ])  # fmt: skip
    assert (alone["changed"], strict["changed"]) == (True, False)
    assert {name for _, name, action in told(run) if action == "remove"} == {"node-db", "node-web"}


def test_bad_entries_are_named_by_their_place_and_change_nothing(play: Play, docker: Docker) -> None:
    steps = play([
        node(**{**HOST, "containers": [*HOST["containers"], container("node-x", memory="lots")]}),
        node(containers=[container("node-x", memory="lots")]),
        node(containers=[container("node-x", no_such_option=1)]),
        node(networks=[{"name": "node-net", "labels": "x"}]),
        node(containers=[{"image": "busybox"}]),
        node(containers=[container("node-x", labels={"io.wherry.owner": "me"})]),
        node(owner="", purge=["containers"]),
        node(purge=["images"]),
    ])  # fmt: skip
    assert [step.get("failed") for step in steps] == [True] * len(steps)
    for step, said in zip(
        steps,
        [
            'containers[2].memory: "lots"', 'containers[0].memory: "lots"', "containers[0]: no_such_option",
            "networks[0]:", "containers[0]: missing required arguments: name",
            "containers[0].labels.io.wherry.owner: is a label", "owner: must not be empty", "purge",
        ],
        strict=True,
    ):  # fmt: skip
        assert said in step["msg"]
    assert docker("ps", "-aq").stdout == b""
    assert b"node-net" not in docker("network", "ls").stdout


def test_a_password_within_an_entry_is_not_shown(play: Play) -> None:
    mirror = {"registry": "node.example.com", "mirrors": [{"url": "http://127.0.0.1:5998", "username": "u"}]}
    mirror["mirrors"][0]["password"] = "node-secret"  # type: ignore[index]
    run, gone = play([
        node(registry_mirrors=[mirror]), node(registry_mirrors=[{"registry": "node.example.com", "state": "absent"}]),
    ])  # fmt: skip
    assert (run["changed"], gone["changed"]) == (True, True)
    assert "node-secret" not in str(run)
