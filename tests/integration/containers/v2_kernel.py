"""The whole agent inside a kernel of the lab with cgroup v2 alone, driven by docker-py."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.lab import uml

REPOSITORY = Path(__file__).resolve().parents[3]
_MARK = "-- findings: "

# Runs inside: an agent, docker-py, and what the kernel says. overlayfs is a module of that kernel.
_SCRIPT = """
mkdir -p /tmp/modules/lib/modules /tmp/w /tmp/disk
ln -s /usr/lib/uml/modules/* /tmp/modules/lib/modules/
modprobe -d /tmp/modules overlay
{disk}
echo {settings} >/tmp/w/wherryd.yml
PYTHONPATH={agent} {python} -m wherry.cli.daemon --data-root /tmp/w/data --exec-root /tmp/w/run \\
    --config-file /tmp/w/wherryd.yml --pidfile /tmp/w/run/wherryd.pid -H unix:///tmp/w/api.sock >/tmp/w/log 2>&1 &
PYTHONPATH={agent} {python} {driver} {rootfs} || tail -n 20 /tmp/w/log
"""

# The agent leaves 256 MiB of a disk free.
MEMORY_DISK = "mount -t tmpfs -o size=480m tmpfs /tmp/w"
QUOTA_DISK = """modprobe -d /tmp/modules quota_v2; modprobe -d /tmp/modules loop
mount -t tmpfs -o size=480m tmpfs /tmp/disk
truncate -s 400M /tmp/disk/image
mkfs.ext4 -q -O quota,project -E quotatype=prjquota -m 0 /tmp/disk/image
mount -o loop,prjquota /tmp/disk/image /tmp/w"""
"""An ext4 with project quotas."""
GRANTED_IDS = """for file in subuid subgid; do
echo mapped:300000:65536 >/tmp/$file; mount --bind /tmp/$file /etc/$file
done"""

_DRIVER = """
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
"""


def run_agent(
    place: Path, cases: str, settings: Mapping[str, Any], *, systemd: bool = False, disk: str = MEMORY_DISK
) -> Mapping[str, Any]:
    """What the Python code ``cases`` put into ``found``; it has ``api``, ``start``, ``group`` and ``value`` at hand.

    ``place`` is a directory for the files that the kernel is given; ``settings`` the agent's configuration, ``disk``
    the commands that mount /tmp/w, where the agent keeps its data.
    """
    subprocess.run([REPOSITORY / "scripts" / "busybox-rootfs", place / "rootfs.tar"], check=True)
    (place / "driver.py").write_text(f'{_DRIVER}{cases}\nprint("{_MARK}" + json.dumps(found))\n')
    words = {"agent": REPOSITORY / "agent", "python": sys.executable, "driver": "/run/lab/here/driver.py"}
    words |= {"rootfs": "/run/lab/here/rootfs.tar", "settings": json.dumps({"bridge": "none", **settings})}
    script = _SCRIPT.format(disk="{disk}", **{name: shlex.quote(str(word)) for name, word in words.items()})
    script = script.replace("{disk}", disk)
    output = uml.run(script, {"here": place}, systemd=systemd, seconds=300).output
    assert _MARK in output, output
    findings: dict[str, Any] = json.loads(output.partition(_MARK)[2].splitlines()[0])
    return findings
