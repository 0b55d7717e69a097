"""A host with the v2 tree alone, as the runtime sees it in a mount namespace without the v1 hierarchies.

The v2 tree of this machine need not carry any controller: the tests are of what works without one.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, wait_until

UNIFIED = next((path for path in (CGROUPS / "unified", CGROUPS) if (path / "cgroup.controllers").exists()), None)

pytestmark = pytest.mark.skipif(UNIFIED is None, reason="no cgroup v2 here")


@pytest.fixture
def runtime(runtime: Runtime) -> Iterator[Runtime]:
    """The runtime in a mount namespace where only the v2 tree is mounted."""
    script = "umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup && echo ready && exec sleep 1000"
    holder = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    runtime.prefix = ["nsenter", "--mount", "--target", str(holder.pid), "--"]
    yield runtime
    runtime.clean()
    runtime.prefix = []
    holder.kill()
    holder.wait()


def _group(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line for line in lines if line.startswith("0::"))[3:]


def _directory(cgroup: str) -> Path:
    assert UNIFIED is not None
    return UNIFIED / cgroup.lstrip("/")


def test_the_process_is_born_in_its_group(runtime: Runtime, cgroup: str) -> None:
    pid = runtime.start()
    assert _group(pid) == cgroup
    assert runtime("exec", "kept", "sh", "-c", "grep ^0:: /proc/self/cgroup").stdout == "0::/\n"
    runtime("exec", "--detach", "kept", "sleep", "1000", stdout=subprocess.DEVNULL)
    assert len((_directory(cgroup) / "cgroup.procs").read_text().split()) == 2
    runtime("delete", "--force", "kept")
    assert not _directory(cgroup).exists()


def test_exec_joins_the_first_process_where_the_container_has_groups_of_its_own(
    runtime: Runtime, bundle: Bundle, cgroup: str
) -> None:
    controllers = (_directory("/") / "cgroup.controllers").read_text().split()
    if not controllers:
        pytest.skip("the v2 tree has no controller to hand down")
    bundle.mount("/sys/fs/cgroup", "cgroup", "rw", "nosuid", "nodev", "noexec", kind="cgroup")
    inside = "cd /sys/fs/cgroup; mkdir own other; echo 0 > own/cgroup.procs"
    runtime.start(f"{inside}; echo +{controllers[0]} > cgroup.subtree_control && echo ready; sleep 1000")
    wait_until(lambda: "ready" in runtime.text(), "the container does not hand its controllers down")
    assert runtime("exec", "kept", "sh", "-c", "grep ^0:: /proc/self/cgroup").stdout == "0::/own\n"
    runtime("exec", "--detach", "kept", "sleep", "1000", stdout=subprocess.DEVNULL)
    assert len((_directory(cgroup) / "own" / "cgroup.procs").read_text().split()) == 2
    runtime("delete", "--force", "kept")
    assert not _directory(cgroup).exists()


@pytest.mark.parametrize("above", [False, True], ids=["its own group", "the group above"])
def test_a_group_that_is_frozen_already_is_refused(runtime: Runtime, bundle: Bundle, cgroup: str, above: bool) -> None:
    inner = _directory(cgroup) / "inner"
    inner.mkdir(parents=True)
    frozen = inner.parent if above else inner
    bundle.linux["cgroupsPath"] = f"{cgroup}/inner"
    bundle.write()
    try:
        (frozen / "cgroup.freeze").write_text("1")
        done = runtime("run", "--bundle", str(bundle.path), "kept", check=False)
        assert done.returncode == 1
        assert "container's cgroup unexpectedly frozen" in done.stderr
    finally:
        (frozen / "cgroup.freeze").write_text("0")
        if inner.exists():
            inner.rmdir()
        inner.parent.rmdir()


def test_it_is_frozen_and_thawed(runtime: Runtime, cgroup: str) -> None:
    runtime.start()
    runtime("pause", "kept")
    assert runtime.state()["status"] == "paused"
    assert "frozen 1" in (_directory(cgroup) / "cgroup.events").read_text()
    runtime("resume", "kept")
    assert runtime.state()["status"] == "running"


def test_a_device_that_is_not_allowed_cannot_be_opened(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {
        "devices": [
            {"allow": False, "access": "rwm"},
            {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"},
            {"allow": True, "type": "c", "access": "m"},
            {"allow": True, "type": "b", "access": "m"},
        ]
    }
    script = "mknod /tmp/disk b 254 0; head -c 1 /tmp/disk; head -c 1 /dev/null && echo null"
    done = runtime.run(script, check=False)
    assert "/tmp/disk: Operation not permitted" in done.stderr
    assert done.stdout == "null\n"


@pytest.mark.parametrize("private", [True, False])
def test_the_container_is_shown_its_own_group_only(runtime: Runtime, bundle: Bundle, private: bool) -> None:
    if not private:
        bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "cgroup"]
    bundle.mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec", kind="cgroup")
    done = runtime.run("cat /sys/fs/cgroup/cgroup.procs; mkdir /sys/fs/cgroup/x", check=False)
    assert done.stdout.split()[0] == "1"
    assert "Read-only file system" in done.stderr
