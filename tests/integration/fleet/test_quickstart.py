"""scripts/quickstart on a namespace host: from nothing to a served page, and away without a trace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet.conftest import BIN, REPOSITORY, Run, fetch_command
from tests.lab.fleet import Fleet, fleet

PLACE = "/var/lib/wherry/quickstart"
SOCKET = f"unix://{PLACE}/run/wherry.sock"

# What a container engine could leave behind in a host.
SNAPSHOT = """
ip -o link | sed 's/@.*//' ; ip -o addr | awk '{print $2, $4}'; ip route; nft list tables
cut -d' ' -f4- /proc/self/mountinfo | sed 's/master:[0-9]*//; s/shared:[0-9]*//' | sort
find /sys/fs/cgroup -type d | sort
sysctl net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.ipv6.conf.all.forwarding
ps -eo comm= | grep -vE '^(sh|sleep|ps|sort|grep|nsenter|sshd|host-init|find|cut|sed|sysctl)$' | sort
losetup -a
"""


@pytest.fixture(scope="module")
def host(place: Path) -> Iterator[Fleet]:
    with fleet(place / "fleet", 1) as made:
        yield made


def script(host: Fleet, name: str, *arguments: str, timeout: float = 300) -> Run:
    environment = f"WHERRY_QUICKSTART={PLACE}"
    command = ["env", "-C", str(REPOSITORY), environment, "WHERRY_SKIP_BUILD=1", "ANSIBLE_NOCOLOR=1"]
    command += [f"PATH={BIN}:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin", "HOME=/root", f"scripts/{name}", *arguments]
    return Run(host.run("h1", *command, check=False, timeout=timeout))


def page(host: Fleet) -> str:
    return host.run("h1", *fetch_command("http://127.0.0.1:8080/")).stdout


def snapshot(host: Fleet) -> str:
    return host.run("h1", "sh", "-c", SNAPSHOT).stdout


@pytest.fixture(scope="module")
def before(host: Fleet) -> str:
    return snapshot(host)


@pytest.fixture(scope="module")
def first(host: Fleet, before: str) -> Run:
    run = script(host, "quickstart")
    assert run.returncode == 0, run.output
    return run


def test_first_run_makes_everything_and_serves_the_page(host: Fleet, first: Run) -> None:
    assert first.total("changed") == 5, first.output
    assert "Hello from Wherry" in page(host)
    assert "quickstart-web" in first.output.partition("What now runs:")[2]


def test_docker_cli_lists_what_runs(host: Fleet, first: Run) -> None:
    shown = host.run("h1", "docker", "-H", SOCKET, "ps", "--format", "{{.Names}} {{.Ports}}").stdout
    assert "quickstart-web 0.0.0.0:8080->80/tcp" in shown
    assert "quickstart-client" in shown


def test_client_fetches_the_page_through_the_published_port(host: Fleet, first: Run) -> None:
    for _ in range(50):
        logged = host.run("h1", "docker", "-H", SOCKET, "logs", "quickstart-client").stdout
        if "Hello from Wherry" in logged:
            return
        subprocess.run(["sleep", "0.2"], check=True)
    pytest.fail(f"the client logged {logged!r}")


def test_limits_and_restart_policy_are_in_force(host: Fleet, first: Run) -> None:
    shown = host.run("h1", "docker", "-H", SOCKET, "inspect", "quickstart-web").stdout
    host_config = json.loads(shown)[0]["HostConfig"]
    assert host_config["Memory"] == 64 * 1024**2
    assert host_config["NanoCpus"] == 500_000_000
    assert host_config["RestartPolicy"]["Name"] == "unless-stopped"
    limit = host.run("h1", "sh", "-c", "cat /sys/fs/cgroup/memory/*/*/memory.limit_in_bytes || true").stdout.split()
    assert str(64 * 1024**2) in limit


def test_second_run_changes_nothing(host: Fleet, first: Run) -> None:
    run = script(host, "quickstart")
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0, run.output


def test_check_mode_shows_exactly_what_would_change_and_changes_nothing(host: Fleet, first: Run) -> None:
    shown = host.run("h1", "docker", "-H", SOCKET, "ps", "-q", "--no-trunc").stdout
    run = script(host, "quickstart", "--check", "--diff", "-e", "greeting=Changed")
    assert run.returncode == 0, run.output
    assert run.total("changed") == 1, run.output
    added = [line for line in run.output.splitlines() if line.startswith("+") and not line.startswith("+++")]
    assert any("Changed" in line for line in added), run.output
    assert "Hello from Wherry" in page(host)
    assert host.run("h1", "docker", "-H", SOCKET, "ps", "-q", "--no-trunc").stdout == shown


def test_changed_variable_recreates_only_the_web_server(host: Fleet, first: Run) -> None:
    client = host.run("h1", "docker", "-H", SOCKET, "inspect", "-f", "{{.Id}}", "quickstart-client").stdout
    run = script(host, "quickstart", "-e", "greeting=Changed")
    assert run.total("changed") == 1, run.output
    assert "Changed" in page(host)
    assert host.run("h1", "docker", "-H", SOCKET, "inspect", "-f", "{{.Id}}", "quickstart-client").stdout == client


def test_taking_it_down_leaves_nothing_behind(host: Fleet, first: Run, before: str) -> None:
    run = script(host, "clean-quickstart")
    assert run.returncode == 0, run.output
    assert snapshot(host) == before
    assert host.run("h1", "ls", "/var/lib/wherry").stdout == ""
    assert script(host, "clean-quickstart").returncode == 0
