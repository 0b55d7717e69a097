"""playbooks/registry.yml over real ssh: a registry on one host, two agents that use it, and an image that spreads."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.fleet.conftest import BIN, Run, run_controller
from tests.lab.fleet import Fleet, fleet
from tests.lab.registry import registry_program

HOSTS = ("h1", "h2")
DOCKER = ("docker", "-H", "unix:///run/wherry/wherry.sock")
REGISTRY = "10.99.0.11:5000"
NAME = f"{REGISTRY}/fleet/app:1"
USERS = [{"name": "deploy", "password": "correct: horse"}]
SPREAD = """
- hosts: fleet
  gather_facts: false
  tasks:
    - wherry.node.registry_mirror:
        registry: "{{ name.partition('/')[0] }}"
        peers: "{{ groups['fleet'] | difference([inventory_hostname]) }}"
    - wherry.node.image: {name: "{{ name }}", source: pull}
      when: inventory_hostname == groups['fleet'][0]
    - wherry.node.image: {name: "{{ name }}", source: pull}
"""


def certificates(place: Path) -> None:
    """An authority of the fleet, and a certificate for each host."""
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

    def openssl(*arguments: str | Path) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=place)

    openssl("req", "-x509", "-days", "2", "-subj", "/CN=fleet", *new, "-keyout", "ca.key", "-out", "ca.crt")
    for host in HOSTS:
        openssl("req", "-subj", f"/CN={host}", *new, "-keyout", f"{host}.key", "-out", f"{host}.csr")
        (place / "names").write_text(f"subjectAltName=DNS:{host}\n")
        openssl(
            "x509", "-req", "-in", f"{host}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", f"{host}.crt",
        )  # fmt: skip


@pytest.fixture(scope="module")
def hosts(place: Path) -> Iterator[Fleet]:
    """Three hosts with agents, which serve each other; the first is to run the registry."""
    files = place / "files"
    files.mkdir()
    certificates(files)
    program = registry_program()
    with fleet(place / "fleet", len(HOSTS)) as made:
        with made.inventory.open("a") as inventory:
            inventory.write("[registry]\nh1\n")
        for host in HOSTS:
            made.run(host, "mkdir", "-p", "/etc/wherry")
            for name in ("ca.crt", f"{host}.crt", f"{host}.key"):
                made.run(host, "cp", str(files / name), f"/etc/wherry/{name}")
            keys = {"serve": True, "serve-cacert": "/etc/wherry/ca.crt", "serve-cert": f"/etc/wherry/{host}.crt",
                    "serve-key": f"/etc/wherry/{host}.key"}  # fmt: skip
            config = yaml.safe_dump({"group": "root", **keys})
            made.run(host, "sh", "-c", f"cat >/etc/wherry/wherryd.yml <<'E'\n{config}E")
            start = f"HOME=/root PATH={BIN}:$PATH setsid {BIN}/wherryd >/run/wherryd.log 2>&1 &"
            made.run(host, "sh", "-c", start)
            wait = (
                "for n in $(seq 300); do [ -S /run/wherry/wherry.sock ] && exit; sleep 0.1; done; cat /run/wherryd.log"
            )
            assert made.run(host, "sh", "-c", wait).stdout == ""
        made.run("h1", "cp", str(program), "/usr/bin/docker-registry")
        yield made


def play(hosts: Fleet, *arguments: str, playbook: str = "playbooks/registry.yml", **further: Any) -> Run:
    variables = {"wherry_registry_install": "program", "wherry_registry_host": "10.99.0.11",
                 "wherry_registry_users": USERS, **further}  # fmt: skip
    command = [BIN / "ansible-playbook", "-i", hosts.inventory, playbook, "-e", json.dumps(variables), *arguments]
    return run_controller(hosts, [str(word) for word in command])


@pytest.fixture(scope="module")
def first(hosts: Fleet) -> Run:
    check = play(hosts, "--check")
    assert check.returncode == 0, check.output
    run = play(hosts)
    assert run.returncode == 0, run.output
    return run


def origin_log(hosts: Fleet) -> str:
    """What the registry has been asked for."""
    return hosts.run("h1", "cat", "/var/log/wherry-registry.log").stdout


def test_hosts_push_and_pull_with_certificate_and_password(hosts: Fleet, first: Run, rootfs: Path) -> None:
    hosts.run("h2", *DOCKER, "import", str(rootfs), NAME)
    anonymous = hosts.run("h1", "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", f"https://{REGISTRY}/v2/")
    assert anonymous.stdout == "401"
    hosts.run("h2", *DOCKER, "push", NAME)
    # The password that the host keeps is what docker's command line sends along too.
    key = hosts.run("h1", "stat", "-c", "%U %G %a", "/etc/wherry-registry/registry.key").stdout.split()
    assert key == ["root", "wherry-registry", "640"]
    owner = hosts.run("h1", "sh", "-c", "ps -o user:20= -C docker-registry").stdout.split()
    assert owner == ["wherry-registry"]
    assert "correct: horse" not in hosts.run("h1", "cat", "/etc/wherry-registry/htpasswd").stdout


def test_second_run_changes_nothing(hosts: Fleet, first: Run) -> None:
    run = play(hosts)
    assert run.returncode == 0, run.output
    assert run.total("changed") == 0, run.output


def test_one_host_pulls_from_the_registry_and_the_others_from_each_other(hosts: Fleet, first: Run, place: Path) -> None:
    hosts.run("h2", *DOCKER, "rmi", NAME)
    spread = place / "spread.yml"
    spread.write_text(SPREAD)
    before = len(origin_log(hosts).splitlines())
    run = play(hosts, playbook=str(spread), name=NAME)
    assert run.returncode == 0, run.output
    asked = [line for line in origin_log(hosts).splitlines()[before:] if "http.request.method=GET" in line]
    blobs = [line for line in asked if "/blobs/sha256:" in line and "http.response.status=200" in line]
    assert len(blobs) == 2, "one configuration and one layer, once for the whole fleet"
    identities = {hosts.run(host, *DOCKER, "image", "inspect", "-f", "{{.Id}}", NAME).stdout for host in HOSTS}
    assert len(identities) == 1


def test_check_mode_foretells_one_change_and_makes_none(hosts: Fleet, first: Run) -> None:
    users = hosts.run("h1", "cat", "/etc/wherry-registry/htpasswd").stdout
    further = [*USERS, {"name": "other", "password": "word"}]
    run = play(hosts, "--check", "--limit", "registry", wherry_registry_users=further)
    assert run.returncode == 0, run.output
    assert run.recap["h1"]["changed"] == 1, run.output
    assert hosts.run("h1", "cat", "/etc/wherry-registry/htpasswd").stdout == users


def test_collection_of_garbage_gives_back_what_was_deleted(hosts: Fleet, first: Run) -> None:
    digest = hosts.run("h1", *DOCKER, "image", "inspect", "-f", "{{index .RepoDigests 0}}", NAME).stdout.strip()
    removed = hosts.run(
        "h1", "curl", "-sk", "-u", "deploy:correct: horse", "-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}",
        f"https://{REGISTRY}/v2/fleet/app/manifests/{digest.partition('@')[2]}",
    )  # fmt: skip
    assert removed.stdout == "202"
    size = ("sh", "-c", "du -s /var/lib/wherry-registry | cut -f1")
    before = int(hosts.run("h1", *size).stdout)
    hosts.run("h1", "/usr/local/sbin/wherry-registry-collect")
    assert int(hosts.run("h1", *size).stdout) < before / 2
    assert hosts.run("h1", "/etc/init.d/wherry-registry", "status", check=False).returncode == 0
    assert "wherry-registry-collect" in hosts.run("h1", "cat", "/etc/cron.d/wherry-registry").stdout
