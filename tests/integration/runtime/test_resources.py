"""Every field of linux.resources on cgroup v1: written, or refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, cgroup_directories, whole_disk

pytestmark = pytest.mark.skipif(not (CGROUPS / "memory").exists(), reason="no cgroup v1 here")

SIZE = 64 << 20


def _value(controller: str, group: str, file: str) -> str:
    return (CGROUPS / controller / group.lstrip("/") / file).read_text().strip()


@pytest.mark.parametrize(
    ("resources", "file", "value"),
    [
        ({"memory": {"limit": SIZE}}, "memory/memory.limit_in_bytes", str(SIZE)),
        ({"memory": {"reservation": SIZE}}, "memory/memory.soft_limit_in_bytes", str(SIZE)),
        ({"memory": {"limit": SIZE, "swap": SIZE}}, "memory/memory.memsw.limit_in_bytes", str(SIZE)),
        ({"memory": {"limit": SIZE, "swap": -1}}, "memory/memory.memsw.limit_in_bytes", "9223372036854771712"),
        ({"memory": {"kernelTCP": SIZE}}, "memory/memory.kmem.tcp.limit_in_bytes", str(SIZE)),
        ({"memory": {"swappiness": 0}}, "memory/memory.swappiness", "0"),
        ({"memory": {"swappiness": 77}}, "memory/memory.swappiness", "77"),
        ({"memory": {"disableOOMKiller": True}}, "memory/memory.oom_control",
         "oom_kill_disable 1\nunder_oom 0\noom_kill 0"),
        ({"memory": {"useHierarchy": True}}, "memory/memory.use_hierarchy", "1"),
        ({"cpu": {"shares": 2}}, "cpu/cpu.shares", "2"),
        ({"cpu": {"shares": 262144}}, "cpu/cpu.shares", "262144"),
        ({"cpu": {"quota": 5000, "period": 10000}}, "cpu/cpu.cfs_quota_us", "5000"),
        ({"cpu": {"period": 250000}}, "cpu/cpu.cfs_period_us", "250000"),
        ({"cpu": {"quota": 50000, "burst": 20000}}, "cpu/cpu.cfs_burst_us", "20000"),
        ({"cpu": {"realtimePeriod": 500000}}, "cpu/cpu.rt_period_us", "500000"),
        ({"cpu": {"idle": 1}}, "cpu/cpu.idle", "1"),
        ({"cpu": {"cpus": "0", "mems": "0"}}, "cpuset/cpuset.cpus", "0"),
        ({"pids": {"limit": 33}}, "pids/pids.max", "33"),
        ({"pids": {"limit": -1}}, "pids/pids.max", "max"),
    ],
)  # fmt: skip
def test_a_field_is_written_to_its_file(
    runtime: Runtime, bundle: Bundle, cgroup: str, resources: dict[str, Any], file: str, value: str
) -> None:
    controller, name = file.split("/")
    if not (CGROUPS / controller / name).exists() and name != "memory.use_hierarchy" and controller != "pids":
        pytest.skip(f"this kernel has no {name}")
    bundle.linux["resources"] = resources
    runtime.create()
    assert _value(controller, cgroup, name) == value


def test_block_devices_are_throttled_by_device(runtime: Runtime, bundle: Bundle, cgroup: str, tmp_path: Path) -> None:
    disk = whole_disk(tmp_path)
    name = f"{disk['major']}:{disk['minor']}"
    bundle.linux["resources"] = {
        "blockIO": {
            "throttleReadBpsDevice": [{**disk, "rate": 1000001}],
            "throttleWriteBpsDevice": [{**disk, "rate": 1000002}],
            "throttleReadIOPSDevice": [{**disk, "rate": 1003}],
            "throttleWriteIOPSDevice": [{**disk, "rate": 1004}],
        }
    }
    runtime.create()
    assert _value("blkio", cgroup, "blkio.throttle.read_bps_device") == f"{name} 1000001"
    assert _value("blkio", cgroup, "blkio.throttle.write_bps_device") == f"{name} 1000002"
    assert _value("blkio", cgroup, "blkio.throttle.read_iops_device") == f"{name} 1003"
    assert _value("blkio", cgroup, "blkio.throttle.write_iops_device") == f"{name} 1004"


def test_a_weight_goes_to_the_scheduler_that_has_them(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    bundle.linux["resources"] = {"blockIO": {"weight": 321}}
    runtime.create()
    group = CGROUPS / "blkio" / cgroup.lstrip("/")
    found = [group / name for name in ("blkio.weight", "blkio.bfq.weight") if (group / name).exists()]
    assert found
    assert [path.read_text().split() for path in found] == [["321"]] * len(found)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"memory": {"limit": -2}}, "memory.limit"),
        ({"memory": {"swap": SIZE}}, "memory.swap"),
        ({"memory": {"swappiness": 201}}, "memory.swappiness"),
        ({"memory": {"useHierarchy": False}}, "memory.useHierarchy"),
        ({"cpu": {"shares": 1}}, "cpu.shares: 1: must be from 2 to 262144"),
        ({"cpu": {"shares": 262145}}, "cpu.shares: 262145"),
        ({"cpu": {"quota": 100}}, "cpu.quota"),
        ({"cpu": {"period": 10}}, "cpu.period"),
        ({"cpu": {"burst": 1 << 60}}, "cpu.burst"),
        ({"cpu": {"realtimeRuntime": 999999999}}, "cpu.realtimeRuntime"),
        ({"cpu": {"idle": 2}}, "cpu.idle"),
        ({"cpu": {"cpus": "4096"}}, "cpu.cpus"),
        ({"cpu": {"cpus": "zero"}}, "cpu.cpus"),
        ({"cpu": {"mems": "99"}}, "cpu.mems"),
        ({"blockIO": {"leafWeight": 100}}, "blockIO.leafWeight"),
        ({"blockIO": {"weight": 1001}}, "blockIO.weight"),
        ({"blockIO": {"weightDevice": [{"weight": 100}]}}, "blockIO.weightDevice[0]: must have major and minor"),
        ({"blockIO": {"weightDevice": [{"major": 4094, "minor": 1, "weight": 100}]}}, "blockIO.weightDevice"),
        ({"blockIO": {"throttleReadIOPSDevice": [{"major": 4094, "minor": 1, "rate": 1}]}}, "throttleReadIOPSDevice"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "hugepageLimits"),
        ({"hugepageLimits": [{"pageSize": "../x", "limit": 0}]}, "hugepageLimits[0].pageSize"),
        ({"hugepageLimits": [{"pageSize": "2MB"}]}, "hugepageLimits[0].limit: must be given"),
        ({"rdma": {"nothing": {"hcaHandles": 1}}}, "rdma"),
        ({"rdma": {"nothing": {}}}, "rdma"),
        ({"unified": {"memory.high": "1"}}, "unified: invalid configuration: this host's limits are carried by"),
        ({"devices": [{"type": "c"}]}, "devices[0].allow: must be given"),
        ({"devices": [{"allow": True, "type": "x"}]}, "devices[0].type"),
        ({"devices": [{"allow": True, "access": "rx"}]}, "devices[0].access"),
        ({"devices": [{"allow": False}, {"allow": True, "type": "c", "access": "r"},
                      {"allow": False, "type": "c", "major": 1, "minor": 3, "access": "r"}]}, "devices[2]"),
    ],
)  # fmt: skip
def test_what_the_kernel_cannot_do_is_refused_by_name(
    runtime: Runtime, bundle: Bundle, cgroup: str, resources: dict[str, Any], message: str
) -> None:
    bundle.linux["resources"] = resources
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert f"linux.resources.{message}" in done.stderr or message in done.stderr
    assert "linux.resources" in done.stderr
    assert cgroup_directories(cgroup) == []


@pytest.mark.parametrize(
    ("controller", "resources", "field"),
    [
        ("net_cls", {"network": {"classID": 7}}, "network.classID"),
        ("net_prio", {"network": {"priorities": [{"name": "lo", "priority": 1}]}}, "network.priorities"),
        ("hugetlb", {"hugepageLimits": [{"pageSize": "2MB", "limit": 0}]}, "hugepageLimits"),
    ],
)
def test_a_controller_that_is_not_mounted_is_named(
    runtime: Runtime, bundle: Bundle, controller: str, resources: dict[str, Any], field: str
) -> None:
    if (CGROUPS / controller).exists():
        pytest.skip(f"{controller} is mounted here")
    bundle.linux["resources"] = resources
    stderr = runtime.create(check=False).stderr
    assert f"linux.resources.{field}: the {controller} controller is not mounted on this host" in stderr


def test_what_asks_for_no_limit_needs_no_controller(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {
        "memory": {"limit": -1, "swap": -1, "reservation": 0, "kernel": -1},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "pids": {"limit": 0},
        "blockIO": {"weight": 0, "leafWeight": 0},
        "network": {"classID": 0, "priorities": []},
        "hugepageLimits": [],
        "rdma": {},
        "unified": {},
    }
    runtime.create()
