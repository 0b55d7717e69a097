"""How much a container may write (``--storage-opt size``): project quotas, in a kernel of the lab that has them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers import v2_kernel
from tests.integration.support.private_agent import PrivateAgent

FULL = "Disk quota exceeded"

_CASES = """
def limited(name, size, command):
    config = low.create_host_config(network_mode="none", storage_opt={"size": size})
    low.create_container("busybox", command, name=name, host_config=config, environment=environment)
    low.start(name)
    found[name] = [low.wait(name)["StatusCode"], low.logs(name).decode()]
    return low.inspect_container(name)

# Blocks go to the disk when they are flushed: a bound that counts only then would let all of it through.
write = "dd if=/dev/zero of=/big bs=1M count=%d conv=fsync 2>&1; df -m / | tail -n 1"
shown = limited("over", "20m", ["sh", "-c", write % 40])
found["shown"] = shown["HostConfig"]["StorageOpt"]
limited("under", "60M", ["sh", "-c", write % 40])
# The bound is the container's own, and goes with it.
low.start("over")
low.wait("over")
found["again"] = low.logs("over").decode()
for name in ("over", "under"):
    low.remove_container(name)
found["left"] = os.listdir("/tmp/w/data/containers")
start("free", ["sh", "-c", write % 70]).wait()
found["free"] = low.logs("free").decode()
"""


@pytest.mark.skipif(shutil.which("linux.uml") is None, reason="user-mode-linux is not installed")
def test_a_container_writes_no_more_than_its_size(tmp_path: Path) -> None:
    found: Mapping[str, Any] = v2_kernel.run_agent(tmp_path, _CASES, {}, disk=v2_kernel.QUOTA_DISK)
    assert found["shown"] == {"size": "20m"}
    status, output = found["over"]
    assert status == 0
    assert FULL in output
    assert output.splitlines()[-1].split()[1] == "20"  # df shows the bound
    assert FULL in found["again"]
    status, output = found["under"]
    assert FULL not in output
    assert output.splitlines()[-1].split()[1:3] == ["60", "40"]
    assert found["left"] == []
    assert FULL not in found["free"]


def test_where_the_disk_cannot_bound_it_says_so(agent: PrivateAgent, busybox: str, name: str) -> None:
    options = ("create", "--name", name, "--storage-opt")
    before = agent.out("ps", "-aq")
    done = agent.docker(*options, "size=1g", busybox, "true", check=False)
    if done.returncode:  # the disk of this machine may have project quotas
        assert b"supported only where the data root is on xfs or ext4 with project quotas" in done.stderr
        assert agent.out("ps", "-aq") == before
    for option, words in (("size=x", b"invalid size: 'x'"), ("inodes=5", b"Unknown option inodes")):
        done = agent.docker(*options, option, busybox, "true", check=False)
        assert words in done.stderr
