"""What the role wherry.node.agent writes for each kind of service manager, rendered by Ansible itself."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
TEMPLATES = REPOSITORY / "roles" / "agent" / "templates"
DEFAULTS = REPOSITORY / "roles" / "agent" / "defaults" / "main.yml"


def render(tmp_path: Path, name: str, **variables: object) -> str:
    target = tmp_path / name
    values = {"ansible_managed": "managed by Ansible", **variables}
    command = [
        REPOSITORY / ".venv" / "bin" / "ansible", "localhost", "-c", "local", "-m", "ansible.builtin.template",
        "-a", f"src={TEMPLATES / name} dest={target}", "-e", f"@{DEFAULTS}", "-e", json.dumps(values),
        "-e", f"ansible_python_interpreter={REPOSITORY}/.venv/bin/python",
    ]  # fmt: skip
    (tmp_path / "ansible.cfg").touch()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")}
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tmp_path)
    return target.read_text()


def test_configuration_carries_the_roles_paths_and_the_users_keys(tmp_path: Path) -> None:
    text = render(tmp_path, "wherryd.yml.j2", wherry_agent_config={"log-level": "debug", "group": "ops"})
    assert yaml.safe_load(text) == {
        "hosts": ["unix:///run/wherry/wherry.sock"],
        "data-root": "/var/lib/wherry",
        "exec-root": "/run/wherry",
        "pidfile": "/run/wherry/wherryd.pid",
        "group": "ops",
        "log-level": "debug",
    }


def test_systemd_unit_leaves_containers_running_when_the_agent_stops(tmp_path: Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(render(tmp_path, "wherry.service.j2", wherry_agent_bin="/opt/bin"))
    service = unit["Service"]
    assert service["ExecStart"] == "/opt/bin/wherryd --config-file /etc/wherry/wherryd.yml"
    assert service["KillMode"] == "process"
    assert service["Delegate"] == "yes"
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    assert unit["Install"]["WantedBy"] == "multi-user.target"


@pytest.mark.parametrize("name", ["wherry.init.j2", "wherry.openrc.j2"])
def test_scripts_are_valid_shell(tmp_path: Path, name: str) -> None:
    render(tmp_path, name)
    subprocess.run(["sh", "-n", tmp_path / name], check=True)


def test_openrc_service_supervises_the_agent_and_spares_containers(tmp_path: Path) -> None:
    text = render(tmp_path, "wherry.openrc.j2")
    assert 'command="/usr/local/bin/wherryd"' in text
    assert 'command_args="--config-file /etc/wherry/wherryd.yml' in text
    assert 'rc_cgroup_cleanup="no"' in text
    assert "supervisor=supervise-daemon" in text


def test_init_script_refuses_an_unknown_verb(tmp_path: Path) -> None:
    render(tmp_path, "wherry.init.j2", wherry_agent_exec_root=str(tmp_path))
    outcome = subprocess.run(["sh", tmp_path / "wherry.init.j2", "sing"], capture_output=True, text=True, check=False)
    assert outcome.returncode == 2
    assert "start|stop|restart|reload|status" in outcome.stderr


def test_init_script_says_when_nothing_runs(tmp_path: Path) -> None:
    render(tmp_path, "wherry.init.j2", wherry_agent_exec_root=str(tmp_path))
    assert subprocess.run(["sh", tmp_path / "wherry.init.j2", "status"], check=False).returncode == 3
