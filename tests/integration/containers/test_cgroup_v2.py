"""The whole agent on a host with cgroup v2 alone: one kernel of the lab runs all, each test looks at one finding."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.lab import uml

REASON = uml.unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

REPOSITORY = Path(__file__).resolve().parents[3]
MARK = "-- findings: "

# Runs inside: an agent, docker-py, and what the kernel says. overlayfs is a module of that kernel.
SCRIPT = """
mkdir -p /tmp/modules/lib/modules /tmp/w
ln -s /usr/lib/uml/modules/* /tmp/modules/lib/modules/
modprobe -d /tmp/modules overlay
mount -t tmpfs -o size=480m tmpfs /tmp/w # the agent leaves 256 MiB of a disk free
echo '{{"bridge": "none"}}' >/tmp/w/wherryd.yml
PYTHONPATH={agent} {python} -m wherry.cli.daemon --data-root /tmp/w/data --exec-root /tmp/w/run \\
    --config-file /tmp/w/wherryd.yml --pidfile /tmp/w/run/wherryd.pid -H unix:///tmp/w/api.sock >/tmp/w/log 2>&1 &
PYTHONPATH={agent} {python} {driver} {rootfs} || tail -n 20 /tmp/w/log
"""

DRIVER = """
import io, json, os, time
import docker

for _ in range(200):
    if os.path.exists("/tmp/w/api.sock"):
        break
    time.sleep(0.1)
api = docker.DockerClient(base_url="unix:///tmp/w/api.sock", timeout=60)
low = api.api
image = low.import_image_from_file(__import__("sys").argv[1], repository="busybox")
environment = {key: value for key, value in os.environ.items() if key == "GLIBC_TUNABLES"} | {"PATH": "/bin"}
found = {}

def start(name, command, **options):
    return api.containers.run("busybox", command, name=name, detach=True, network_mode="none",
                              environment=environment, **options)

def group(container):
    path = open(f"/proc/{container.attrs['State']['Pid']}/cgroup").read().strip().partition("::")[2]
    return "/sys/fs/cgroup" + path

def value(directory, name):
    return open(f"{directory}/{name}").read().split()

limited = start("limited", ["sleep", "1000"], mem_limit="64m", nano_cpus=500_000_000, pids_limit=20, cpu_shares=512)
limited.reload()
place = group(limited)
found["limits"] = {name: value(place, name) for name in ("memory.max", "cpu.max", "pids.max", "cpu.weight")}
limited.update(mem_limit="80m", memswap_limit="160m")
found["updated"] = value(place, "memory.max")
limited.pause()
found["paused"] = value(place, "cgroup.freeze")
limited.unpause()
found["thawed"] = value(place, "cgroup.freeze")
found["exec"] = [limited.exec_run(["sh", "-c", "echo inside; exit 3"])[0], os.path.isdir(place)]
limited.remove(force=True)
found["left"] = os.path.exists(place)

hog = start("hog", ["awk", "BEGIN { while (1) text = text \\"xxxxxxxxxxxxxxxx\\" text }"], mem_limit="16m")
found["memory"] = hog.wait()["StatusCode"]
hog.reload()
found["oom_killed"] = hog.attrs["State"]["OOMKilled"]

parent = start("parent", ["sh", "-c", "awk 'BEGIN { while (1) text = text \\"xxxxxxxxxxxxxxxx\\" text }'; sleep 1000"],
               mem_limit="16m")
for _ in range(100):
    parent.reload()
    if parent.attrs["State"]["OOMKilled"]:
        break
    time.sleep(0.1)
found["child_oom"] = [parent.attrs["State"]["OOMKilled"], parent.status]
parent.remove(force=True)

forks = start("forks", ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do sleep 2 & done; wait"], pids_limit=5)
forks.wait()
found["forks"] = forks.logs().decode()

device = start("device", ["sh", "-c", "mknod /disk b 98 0; head -c 1 /disk; head -c 1 /dev/zero | wc -c"])
device.wait()
found["device"] = device.logs().decode()
print("MARK" + json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the cases found, by case."""
    place = tmp_path_factory.mktemp("v2")
    subprocess.run([REPOSITORY / "scripts" / "busybox-rootfs", place / "rootfs.tar"], check=True)
    (place / "driver.py").write_text(DRIVER.replace("MARK", MARK))
    words = {"agent": REPOSITORY / "agent", "python": sys.executable, "driver": "/run/lab/here/driver.py"}
    words["rootfs"] = "/run/lab/here/rootfs.tar"
    script = SCRIPT.format(**{name: shlex.quote(str(word)) for name, word in words.items()})
    output = uml.run(script, {"here": place}).output
    assert MARK in output, output
    findings: dict[str, Any] = json.loads(output.partition(MARK)[2].splitlines()[0])
    return findings


def test_limits_are_the_kernels(found: Mapping[str, Any]) -> None:
    limits = found["limits"]
    assert limits["memory.max"] == [str(64 << 20)]
    assert limits["cpu.max"] == ["50000", "100000"]
    assert limits["pids.max"] == ["20"]
    assert 1 < int(limits["cpu.weight"][0]) < 100


def test_a_running_container_takes_a_new_limit(found: Mapping[str, Any]) -> None:
    assert found["updated"] == [str(80 << 20)]


def test_pause_freezes_the_group(found: Mapping[str, Any]) -> None:
    assert (found["paused"], found["thawed"]) == (["1"], ["0"])


def test_exec_joins_the_group(found: Mapping[str, Any]) -> None:
    assert found["exec"] == [3, True]


def test_removal_leaves_no_group(found: Mapping[str, Any]) -> None:
    assert found["left"] is False


def test_memory_hog_is_killed_and_it_is_told(found: Mapping[str, Any]) -> None:
    assert (found["memory"], found["oom_killed"]) == (137, True)


def test_child_that_is_killed_for_memory_is_told_while_the_container_runs(found: Mapping[str, Any]) -> None:
    assert found["child_oom"] == [True, "running"]


def test_fork_bomb_meets_its_bound(found: Mapping[str, Any]) -> None:
    assert "can't fork" in found["forks"] or "Resource temporarily unavailable" in found["forks"]


def test_devices_are_denied_but_for_the_standard_ones(found: Mapping[str, Any]) -> None:
    assert "Operation not permitted" in found["device"]
    assert found["device"].split()[-1] == "1"
