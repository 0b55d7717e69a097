"""Tasks of real ansible-playbook runs, on this machine, against a real agent.

``play`` runs tasks and returns their results; one run takes about a second, so a test puts all its steps into one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.support.private_agent import PrivateAgent

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Task:
    """One task: a module of the collection with its arguments."""

    module: str
    arguments: dict[str, Any]
    check: bool = False


Play = Callable[[Sequence[Task]], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def ansible_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of Ansible's commands: this checkout's configuration, and nothing in the user's home."""
    subprocess.run([str(REPOSITORY / "scripts/link-collection")], check=True)
    return {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "LC_ALL": "C.UTF-8",
    }


@pytest.fixture
def play(agent: PrivateAgent, tmp_path: Path, ansible_environment: dict[str, str]) -> Play:
    """Runs tasks one after the other, whether they fail or not, and returns the result of each."""

    def run(tasks: Sequence[Task]) -> list[dict[str, Any]]:
        results = tmp_path / "results.json"
        names = [f"step_{number}" for number in range(len(tasks))]
        playbook = tmp_path / "playbook.yml"
        playbook.write_text(yaml.safe_dump([_play_of(tasks, names, results, agent.host)]))
        command = ["ansible-playbook", "-i", "localhost,", "-c", "local", str(playbook)]
        done = subprocess.run(command, env=ansible_environment, cwd=REPOSITORY, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        found: list[dict[str, Any]] = json.loads(results.read_text())
        return found

    return run


def _play_of(tasks: Sequence[Task], names: Sequence[str], results: Path, host: str) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {
            f"wherry.node.{task.module}": task.arguments,
            "check_mode": task.check,
            "diff": True,
            "register": name,
            "ignore_errors": True,
        }
        for task, name in zip(tasks, names, strict=True)
    ]
    content = f"{{{{ [{', '.join(names)}] | to_json }}}}"
    steps.append({"ansible.builtin.copy": {"content": content, "dest": str(results), "mode": "0600"}})
    return {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {"group/wherry.node.agent": {"agent": host}},
        "tasks": steps,
    }
