"""Bad input: one clear sentence, a failed task, in check mode as well, and a host on which nothing has changed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from tests.integration.ansible.conftest import REPOSITORY, Play, Task
from tests.integration.support.private_agent import PrivateAgent

Docker = Callable[..., CompletedProcess[bytes]]
WEB = {"name": "bad-web", "image": "busybox:test"}

CASES: list[tuple[str, dict[str, Any], str]] = yaml.safe_load(Path(__file__).with_name("bad_input.yml").read_text())


def state_of(docker: Docker) -> list[bytes]:
    """All that the agent has, as a client sees it."""
    commands = (["ps", "-aq", "--no-trunc"], ["image", "ls", "-q"], ["network", "ls", "-q"], ["volume", "ls", "-q"])
    return [docker(*command).stdout for command in commands]


def test_bad_input_is_named_and_changes_nothing(play: Play, docker: Docker, busybox: str) -> None:
    del busybox
    before = state_of(docker)
    for check in (False, True):
        results = play([Task(module, arguments, check=check) for module, arguments, _ in CASES])
        assert [result.get("msg") for result in results] == [message for _, _, message in CASES]
        assert all(result["failed"] for result in results)
    assert state_of(docker) == before


def test_field_value_and_what_is_allowed_are_results_of_their_own(play: Play) -> None:
    (result,) = play([Task("container", {**WEB, "state": "started", "memory": "12x"})])
    assert (result["field"], result["value"]) == ("memory", "12x")
    assert result["allowed"].startswith("a number with B, K, M")


def test_an_unreachable_registry_is_named(play: Play, docker: Docker) -> None:
    before = state_of(docker)
    name = "127.0.0.1:9/team/app:1"
    for check in (True, False):
        (result,) = play([Task("image", {"name": name, "source": "pull"}, check=check)])
        assert result["failed"]
        assert result["msg"].startswith(f'name: "{name}": cannot be pulled: ')
        assert "127.0.0.1:9" in result["msg"]
    assert state_of(docker) == before


def test_an_unknown_option_is_refused_by_name(play: Play) -> None:
    (result,) = play([Task("container", {**WEB, "colour": "red"})])
    assert result["failed"]
    assert "Unsupported parameters" in result["msg"]
    assert "colour" in result["msg"]


def test_an_image_in_use_stays(play: Play, docker: Docker, busybox: str) -> None:
    docker("run", "-d", "--name", "bad-user", busybox, "sleep", "1000")
    try:
        (result,) = play([Task("image", {"name": busybox, "state": "absent"})])
    finally:
        docker("rm", "-f", "bad-user")
    assert result["msg"] == 'name: "busybox:test": the image is used by bad-user; force_absent untags it'


def test_an_agent_that_is_down_is_named_with_the_way_to_start_it(ansible_environment: dict[str, str]) -> None:
    done = _ad_hoc(ansible_environment, "name=web image=busybox", "unix:///nonexistent/wherry.sock")
    assert done.returncode != 0
    assert (
        "no Wherry agent listens at unix:///nonexistent/wherry.sock (No such file or directory); start it (systemctl "
        "start wherry, or wherryd), or say where it is with the option agent or the variable WHERRY_HOST"
    ) in done.stdout


def test_the_short_name_works_ad_hoc(agent: PrivateAgent, busybox: str, ansible_environment: dict[str, str]) -> None:
    done = _ad_hoc(ansible_environment, f"name=ad-hoc image={busybox} state=present", agent.host)
    agent.docker("rm", "ad-hoc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout.partition("=>")[2])["container"]["Name"] == "/ad-hoc"


def _ad_hoc(environment: dict[str, str], arguments: str, host: str) -> CompletedProcess[str]:
    command = ["ansible", "localhost", "-m", "container", "-a", arguments]
    extra = {"WHERRY_HOST": host, "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    return subprocess.run(command, env={**environment, **extra}, cwd=REPOSITORY, capture_output=True, text=True)
