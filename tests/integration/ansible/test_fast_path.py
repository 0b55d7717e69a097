"""Tasks that reach the agent without a shipped module: the same results, and the module where it must be shipped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from tests.integration.ansible.conftest import REPOSITORY
from tests.integration.support.private_agent import PrivateAgent

Docker = Callable[..., CompletedProcess[bytes]]
Run = Callable[..., tuple[list[dict[str, Any]], list[bool]]]
CONTAINER = {"name": "fast-one", "image": "busybox:test", "command": "sleep 1000", "stop_timeout": 0}


@pytest.fixture
def run(agent: PrivateAgent, tmp_path: Path, ansible_environment: dict[str, str]) -> Run:
    """Runs tasks and returns their results, and of each call of the host's Python whether it was the courier's."""
    log = tmp_path / "calls"
    python = tmp_path / "python3"
    python.write_text(f'#!/bin/sh\necho "$1" >>{log}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)

    def play(*tasks: dict[str, Any], **variables: Any) -> tuple[list[dict[str, Any]], list[bool]]:
        log.write_text("")
        results = tmp_path / "results.json"
        steps: list[dict[str, Any]] = [
            {**task, "register": f"step_{number}", "ignore_errors": True, "diff": True}
            for number, task in enumerate(tasks)
        ]
        names = ", ".join(f"step_{number}" for number in range(len(tasks)))
        content = f"{{{{ [{names}] | to_json }}}}"
        steps.append({
            "ansible.builtin.copy": {"content": content, "dest": str(results)},
            "vars": {"ansible_python_interpreter": sys.executable},
        })  # fmt: skip
        book = {
            "hosts": "localhost", "gather_facts": False, "tasks": steps,
            "vars": {"ansible_python_interpreter": str(python), **variables},
            "module_defaults": {"group/wherry.node.agent": {"agent": agent.host}},
        }  # fmt: skip
        path = tmp_path / "book.yml"
        path.write_text(yaml.safe_dump([book]))
        command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(path)]
        done = subprocess.run(command, env=ansible_environment, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(results.read_text()), [line == "-IS" for line in log.read_text().splitlines()]

    return play


@pytest.fixture(autouse=True)
def clean(docker: Docker, busybox: str) -> Iterator[None]:
    del busybox
    yield
    docker("rm", "-f", "-v", "fast-one", check=False)
    docker("network", "rm", "fast-net", check=False)


def comparable(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what differs from run to run."""
    text = json.dumps(
        {name: value for name, value in result.items() if name not in {"container", "network", "objects"}}
    )
    return json.loads(text)  # type: ignore[no-any-return]


def tasks() -> list[dict[str, Any]]:
    """Of every kind of outcome one: change, check mode, none, failures of the agent, of a container, of arguments."""
    password = {"url": "http://127.0.0.1:5998", "username": "u", "password": "fast-secret"}
    mirror = {"registry": "fast.example.com", "mirrors": [password]}
    return [
        {"wherry.node.network": {"name": "fast-net"}},
        {"wherry.node.container": CONTAINER, "check_mode": True},
        {"wherry.node.container": CONTAINER},
        {"wherry.node.container": CONTAINER},
        {"wherry.node.container": {**CONTAINER, "pids_limit": "33"}},
        {"wherry.node.container": {**CONTAINER, "memory": "lots"}},
        {"wherry.node.container": {**CONTAINER, "command": "sh -c 'echo out; exit 3'", "detach": False}},
        {"wherry.node.container": {"name": "fast-one", "state": "absent"}},
        {"wherry.node.node": {"containers": [{**CONTAINER, "memory": "lots"}]}},
        {"wherry.node.registry_mirror": mirror},
        {"wherry.node.registry_mirror": {"registry": "fast.example.com", "state": "absent"}},
        {"wherry.node.volume": {"name": "fast-volume", "state": "absent"}},
        {"wherry.node.image": {"name": "fast/none", "state": "absent"}},
        {"wherry.node.network": {"name": "fast-net", "state": "absent"}},
    ]


def test_results_are_those_of_the_shipped_module(run: Run) -> None:
    fast, direct = run(*tasks())
    shipped, other = run(*tasks(), wherry_fast_path=False)
    assert direct == [True] * len(tasks())
    assert other == [False] * len(tasks())
    for number, (one, two) in enumerate(zip(fast, shipped, strict=True)):
        assert comparable(one) == comparable(two), f"task {number}"
    assert "fast-secret" not in str(fast)
    assert fast[6]["status"] == 3


def test_what_only_the_host_can_do_is_shipped(run: Run, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("FROM=file\n")
    bad = {"name": "fast-one", "no_such_option": 1}
    results, direct = run(
        {"wherry.node.container": {**CONTAINER, "volumes": ["~/pages:/pages"]}, "check_mode": True},
        {"wherry.node.container": {**CONTAINER, "env_file": "relative"}},
        {"wherry.node.container": bad},
        {"wherry.node.container": {**CONTAINER, "agent": "unix:///nowhere.sock"}},
        {"wherry.node.container": {"name": "fast-two", "state": "absent"}, "async": 30, "poll": 0},
        {"wherry.node.node": {"containers": [{**CONTAINER, "mounts": [
            {"type": "bind", "source": "../here", "target": "/x"}]}]}, "check_mode": True},
        {"wherry.node.container": {**CONTAINER, "env_file": str(tmp_path / "env")}},
    )  # fmt: skip
    assert "Unsupported parameters" in results[2]["msg"]
    assert "no Wherry agent listens at unix:///nowhere.sock" in results[3]["msg"]
    assert results[4]["started"]
    assert direct[-1] is True
    assert direct.count(True) == 2  # the one that found no agent before its module was shipped, and the last


def test_the_environment_of_a_task_says_where_the_agent_is(run: Run, agent: PrivateAgent) -> None:
    task = {"wherry.node.volume": {"name": "fast-volume", "state": "absent", "agent": None}}
    (result,), direct = run({**task, "environment": {"WHERRY_HOST": agent.host}})
    assert (result["changed"], direct) == (False, [True])
