"""The control groups that a container is put into, their limits, and exec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, cgroup_directories

MEMORY = CGROUPS / "memory"

pytestmark = pytest.mark.skipif(not (MEMORY / "memory.limit_in_bytes").exists(), reason="no cgroup v1 here")


def _value(controller: str, group: str, file: str) -> str:
    return (CGROUPS / controller / group.lstrip("/") / file).read_text().strip()


def test_the_process_is_in_its_group_of_every_hierarchy(runtime: Runtime, cgroup: str) -> None:
    pid = runtime.start()
    groups = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    assert {path for _, controllers, path in groups if controllers} == {cgroup}


def test_limits_are_written(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    bundle.linux["resources"] = {
        "memory": {"limit": 64 << 20},
        "pids": {"limit": 50},
        "cpu": {"shares": 512, "quota": 20000, "period": 100000},
    }
    runtime.start()
    assert _value("memory", cgroup, "memory.limit_in_bytes") == str(64 << 20)
    assert _value("pids", cgroup, "pids.max") == "50"
    assert _value("cpu", cgroup, "cpu.shares") == "512"
    assert _value("cpu", cgroup, "cpu.cfs_quota_us") == "20000"


def test_the_limit_of_processes_holds(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {"pids": {"limit": 5}}
    done = runtime.run("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait", check=False)
    assert "can't fork" in done.stderr


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
    bundle.process["noNewPrivileges"] = False
    done = runtime.run(script, check=False)
    assert "/tmp/disk: Operation not permitted" in done.stderr
    assert done.stdout == "null\n"


def test_limits_are_changed_while_it_runs(runtime: Runtime, cgroup: str, tmp_path: Path) -> None:
    runtime.start()
    (tmp_path / "resources.json").write_text(json.dumps({"memory": {"limit": 32 << 20}}))
    runtime("update", "--resources", str(tmp_path / "resources.json"), "kept")
    assert _value("memory", cgroup, "memory.limit_in_bytes") == str(32 << 20)


def test_exec_enters_the_containers_groups(runtime: Runtime, cgroup: str) -> None:
    runtime.start()
    runtime("exec", "--detach", "kept", "sleep", "1000", stdout=-3)
    assert len(_value("memory", cgroup, "cgroup.procs").split()) == 2


def test_ps_lists_the_processes(runtime: Runtime) -> None:
    pid = runtime.start()
    assert pid in json.loads(runtime("ps", "--format", "json", "kept").stdout)


@pytest.mark.parametrize("path", ["/a/../../b", "system.slice:wherry:x"])
def test_a_path_that_leaves_its_place_is_refused(runtime: Runtime, bundle: Bundle, path: str) -> None:
    bundle.linux["cgroupsPath"] = path
    assert "linux.cgroupsPath" in runtime.run(check=False).stderr


def test_a_limit_that_is_refused_leaves_no_group(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    bundle.linux["resources"] = {"memory": {"limit": 1}, "cpu": {"cpus": "4096"}}
    assert runtime.create(check=False).returncode == 1
    assert cgroup_directories(cgroup) == []


@pytest.mark.parametrize("above", [False, True], ids=["its own group", "the group above"])
@pytest.mark.parametrize("verb", ["run", "create"])
def test_a_group_that_is_frozen_already_is_refused(
    runtime: Runtime, bundle: Bundle, cgroup: str, above: bool, verb: str
) -> None:
    freezer = CGROUPS / "freezer"
    if not freezer.exists():
        pytest.skip("no freezer hierarchy of v1 here")
    inner = freezer / cgroup.lstrip("/") / "inner"
    inner.mkdir(parents=True)
    frozen = inner.parent if above else inner
    bundle.linux["cgroupsPath"] = f"{cgroup}/inner"
    bundle.write()
    try:
        (frozen / "freezer.state").write_text("FROZEN")
        done = runtime(verb, "--bundle", str(bundle.path), "kept", check=False)
        assert done.returncode == 1
        assert "container's cgroup unexpectedly frozen" in done.stderr
        assert not (runtime.root / "kept").exists()
    finally:
        (frozen / "freezer.state").write_text("THAWED")
        for directory in cgroup_directories(f"{cgroup}/inner") + cgroup_directories(cgroup):
            directory.rmdir()


def test_a_group_in_which_others_live_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    runtime.start()
    done = runtime.create("second", check=False)
    assert "container's cgroup is not empty: process " in done.stderr
    assert runtime("exec", "kept", "echo", "unharmed").stdout == "unharmed\n"
