"""playbooks/site.yml over real ssh on three bare namespace hosts."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fleet.conftest import BIN, REPOSITORY, Run, fetch_command, run_controller
from tests.lab.fleet import Fleet, fleet

HOSTS = ("h1", "h2", "h3")
DOCKER = ("docker", "-H", "unix:///run/wherry/wherry.sock")


@pytest.fixture(scope="module")
def bundle_cache(place: Path) -> Path:
    """The agent's bundle, made where the package index can be reached; the lab's controller has no network."""
    cache = place / "bundles"
    version = subprocess.run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        text=True, capture_output=True, check=True,
    ).stdout.strip()  # fmt: skip
    subprocess.run([REPOSITORY / "scripts" / "agent-bundle", version, cache], check=True, cwd=REPOSITORY)
    return cache


@pytest.fixture(scope="module")
def hosts(place: Path) -> Iterator[Fleet]:
    """Three hosts that do not see the checkout: what they need comes over ssh."""
    with fleet(place / "fleet", len(HOSTS), hide=[str(REPOSITORY)]) as made:
        yield made


def site(hosts: Fleet, rootfs: Path, bundle_cache: Path, *arguments: str) -> Run:
    command = [BIN / "ansible-playbook", "-i", hosts.inventory, "playbooks/site.yml", "-e", f"rootfs={rootfs}"]
    command += ["-e", f"wherry_agent_bundle_cache={bundle_cache}", *arguments]
    return run_controller(hosts, command)


@pytest.fixture(scope="module")
def first(hosts: Fleet, rootfs: Path, bundle_cache: Path) -> Run:
    run = site(hosts, rootfs, bundle_cache)
    assert run.returncode == 0, run.output
    return run


def test_bare_hosts_become_members_and_reach_each_other_over_macvlan(hosts: Fleet, first: Run) -> None:
    assert set(first.recap) == set(HOSTS)
    for number, name in enumerate(HOSTS):
        neighbour = HOSTS[(number + 1) % len(HOSTS)]
        for _ in range(50):
            logged = hosts.run(name, *DOCKER, "logs", "reader").stdout
            if neighbour in logged.split():
                break
            time.sleep(0.2)
        else:
            pytest.fail(f"the reader on {name} logged {logged!r}")


def test_containers_are_reached_from_the_lan_itself(hosts: Fleet, first: Run) -> None:
    for number, name in enumerate(HOSTS, start=1):
        run = run_controller(hosts, fetch_command(f"http://10.99.200.{number}/"))
        assert run.output.strip() == name


def test_second_run_changes_nothing(hosts: Fleet, rootfs: Path, bundle_cache: Path, first: Run) -> None:
    run = site(hosts, rootfs, bundle_cache)
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0, run.output


def test_ad_hoc_by_short_name_from_the_repository(hosts: Fleet, first: Run) -> None:
    arguments = "name=adhoc image=site/busybox:latest command='sleep 1000' state=started"
    command = [BIN / "ansible", "-i", hosts.inventory, "all", "-m", "container", "-a", arguments]
    run = run_controller(hosts, command)
    assert run.returncode == 0, run.output
    assert run.output.count("CHANGED") == len(HOSTS)
    again = run_controller(hosts, command)
    assert again.output.count("SUCCESS") == len(HOSTS), again.output


def test_ad_hoc_by_full_name_where_the_collection_is_installed(
    hosts: Fleet, place: Path, first: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    built, installed = place / "dist", place / "collections"
    galaxy = BIN / "ansible-galaxy"
    subprocess.run([galaxy, "collection", "build", "--output-path", built], cwd=REPOSITORY, check=True)
    archive = next(built.glob("wherry-node-*.tar.gz"))
    subprocess.run([galaxy, "collection", "install", "--offline", archive, "-p", installed], cwd=place, check=True)
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(installed))
    (place / "ansible.cfg").touch()
    monkeypatch.setenv("ANSIBLE_CONFIG", str(place / "ansible.cfg"))
    command = [BIN / "ansible", "-i", hosts.inventory, "all", "-m", "wherry.node.container", "-a"]
    run = run_controller(hosts, [*command, "name=web image=site/busybox:latest state=present"])
    assert run.returncode == 0, run.output
    assert run.output.count("SUCCESS") == len(HOSTS), run.output


def test_containers_outlive_the_restart_of_their_agent(hosts: Fleet, first: Run) -> None:
    before = hosts.run("h1", *DOCKER, "inspect", "-f", "{{.State.Pid}}", "web").stdout
    restarted = hosts.run("h1", "/etc/init.d/wherry", "restart")
    assert restarted.stdout.split() == ["stopped", "started"]
    assert hosts.run("h1", *DOCKER, "inspect", "-f", "{{.State.Pid}}", "web").stdout == before
    assert run_controller(hosts, fetch_command("http://10.99.200.1/")).output.strip() == "h1"


def test_a_missing_kernel_feature_fails_the_play_by_name(
    hosts: Fleet, rootfs: Path, bundle_cache: Path, first: Run
) -> None:
    run = site(hosts, rootfs, bundle_cache, "-e", '{"wherry_agent_kernel_required": ["CONFIG_NO_SUCH_THING"]}')
    assert run.returncode != 0
    assert "CONFIG_NO_SUCH_THING" in run.output
