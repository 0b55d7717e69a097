"""What the role wherry.node.registry writes, rendered by Ansible itself."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
from pathlib import Path

import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
ROLE = REPOSITORY / "roles" / "registry"
NAMES = ("config.yml", "wherry-registry.service", "wherry-registry.init", "wherry-registry-collect",
         "wherry-registry-collect.timer", "wherry-registry.cron")  # fmt: skip


def render(tmp_path: Path, **variables: object) -> dict[str, str]:
    """Every template, with these variables, in one run of Ansible."""
    values = {"ansible_facts": {"fqdn": "r.test"}, "wherry_registry_runner": "systemd", **variables}
    tasks = [
        {"ansible.builtin.template": {"src": str(ROLE / "templates" / f"{name}.j2"), "dest": str(tmp_path / name)}}
        for name in NAMES
    ]
    files = [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")]
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars_files": files, "tasks": tasks}
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    (tmp_path / "ansible.cfg").touch()
    program = REPOSITORY / ".venv" / "bin" / "ansible-playbook"
    interpreter = f"ansible_python_interpreter={REPOSITORY}/.venv/bin/python"
    done = subprocess.run(
        [program, "-i", "localhost,", "play.yml", "-e", json.dumps(values), "-e", interpreter],
        capture_output=True, text=True, cwd=tmp_path, check=False,
        env={**os.environ, "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg")},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: (tmp_path / name).read_text() for name in NAMES}


def test_origin_with_users_and_certificate(tmp_path: Path) -> None:
    written = render(
        tmp_path, wherry_registry_users=[{"name": "a", "password": "b"}],
        wherry_registry_config={"http": {"secret": "s"}, "log": {"level": "debug"}},
    )  # fmt: skip
    config = yaml.safe_load(written["config.yml"])
    assert config["http"] == {
        "addr": "0.0.0.0:5000", "secret": "s", "headers": {"X-Content-Type-Options": ["nosniff"]},
        "tls": {"certificate": "/etc/wherry-registry/registry.crt", "key": "/etc/wherry-registry/registry.key"},
    }  # fmt: skip
    assert config["auth"] == {"htpasswd": {"realm": "r.test", "path": "/etc/wherry-registry/htpasswd"}}
    assert config["storage"]["delete"] == {"enabled": True} and "proxy" not in config
    assert config["log"] == {"level": "debug", "accesslog": {"disabled": False}}
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(written["wherry-registry.service"])
    assert unit["Service"]["ExecStart"] == "/usr/bin/docker-registry serve /etc/wherry-registry/config.yml"
    assert unit["Service"]["User"] == "wherry-registry" and "AmbientCapabilities" not in unit["Service"]
    assert (
        "systemctl" in written["wherry-registry-collect"] and "--delete-untagged" in written["wherry-registry-collect"]
    )
    assert "OnCalendar=Sun" in written["wherry-registry-collect.timer"]
    for name in ("wherry-registry.init", "wherry-registry-collect"):
        subprocess.run(["sh", "-n", tmp_path / name], check=True)


def test_open_cache_on_a_low_port_without_certificate(tmp_path: Path) -> None:
    written = render(
        tmp_path, wherry_registry_cache_of="https://registry-1.docker.io", wherry_registry_cache_username="u",
        wherry_registry_cache_password="p", wherry_registry_tls="none", wherry_registry_port=80,
        wherry_registry_runner="pidfile", wherry_registry_collect_untagged=False,
    )  # fmt: skip
    config = yaml.safe_load(written["config.yml"])
    assert config["proxy"] == {"remoteurl": "https://registry-1.docker.io", "username": "u", "password": "p"}
    assert "tls" not in config["http"] and "auth" not in config
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in written["wherry-registry.service"]
    assert "--ambient-caps=+net_bind_service" in written["wherry-registry.init"]
    assert "--delete-untagged" not in written["wherry-registry-collect"]
    assert "/etc/init.d/wherry-registry" in written["wherry-registry-collect"]
    for name in ("wherry-registry.init", "wherry-registry-collect"):
        subprocess.run(["sh", "-n", tmp_path / name], check=True)
