"""A hybrid host whose v1 side has no freezer and no device rules: the v2 tree beside it has, and is used for them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime

UNIFIED = CGROUPS / "unified"
OWN = ("freezer", "devices")

pytestmark = pytest.mark.skipif(
    not (UNIFIED / "cgroup.controllers").exists() or not all((CGROUPS / name).exists() for name in OWN),
    reason="no hybrid cgroup layout here",
)


@pytest.fixture
def runtime(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime in a mount namespace without these two hierarchies of v1."""
    script = "".join(f"umount {CGROUPS / name} && " for name in OWN) + "echo ready && exec sleep 1000"
    holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    runtime.prefix = ["nsenter", "--mount", "--target", str(holder.pid), "--"]
    yield runtime
    runtime.clean()
    runtime.prefix = []
    holder.kill()
    holder.wait()


def _groups(pid: int) -> dict[str, str]:
    """By controller, and "" for the v2 tree."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return {line.split(":", 2)[1]: line.split(":", 2)[2] for line in lines}


def test_the_first_process_and_further_ones_are_in_the_groups_of_both(
    runtime: Runtime, cgroup: str, tmp_path: Path
) -> None:
    first = _groups(runtime.start())
    assert (first["memory"], first[""], first["freezer"]) == (cgroup, cgroup, "/")
    runtime("exec", "--detach", "--pid-file", str(tmp_path / "pid"), "kept", "sleep", "9", stdout=subprocess.DEVNULL)
    assert _groups(int((tmp_path / "pid").read_text())) == first
    assert len(runtime("ps", "--format", "json", "kept").stdout.split(",")) == 2
    runtime("delete", "--force", "kept")
    assert not (UNIFIED / cgroup.lstrip("/")).exists()


def test_it_is_frozen_and_thawed_by_the_v2_tree(runtime: Runtime, cgroup: str) -> None:
    runtime.start()
    runtime("pause", "kept")
    assert runtime.state()["status"] == "paused"
    assert "frozen 1" in (UNIFIED / cgroup.lstrip("/") / "cgroup.events").read_text()
    assert "paused container" in runtime("exec", "kept", "true", check=False).stderr
    runtime("resume", "kept")
    assert runtime.state()["status"] == "running"
    assert runtime("exec", "kept", "echo", "awake").stdout == "awake\n"


def test_device_rules_hold_for_further_processes_too(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"},
            {"allow": True, "type": "b", "access": "m"},
        ]
    }
    runtime.start()
    script = "mknod /tmp/disk b 254 0; head -c 1 /tmp/disk; head -c 1 /dev/null && echo null"
    done = runtime("exec", "kept", "sh", "-c", script, check=False)
    assert "/tmp/disk: Operation not permitted" in done.stderr
    assert done.stdout == "null\n"
