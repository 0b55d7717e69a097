"""update: limits of a running container from a document or from options, all of them or none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, wait_until, whole_disk

pytestmark = pytest.mark.skipif(not (CGROUPS / "memory").exists(), reason="no cgroup v1 here")

LIMIT = 64 << 20
RESOURCES: dict[str, Any] = {
    "memory": {"limit": LIMIT, "swap": LIMIT * 2, "reservation": LIMIT // 2, "swappiness": 10},
    "cpu": {"shares": 512, "quota": 20000, "period": 100000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 50},
}
FILES = {
    "memory/memory.limit_in_bytes": str(LIMIT),
    "memory/memory.memsw.limit_in_bytes": str(LIMIT * 2),
    "memory/memory.soft_limit_in_bytes": str(LIMIT // 2),
    "memory/memory.swappiness": "10",
    "cpu/cpu.shares": "512",
    "cpu/cpu.cfs_quota_us": "20000",
    "cpu/cpu.cfs_period_us": "100000",
    "cpuset/cpuset.cpus": "0",
    "cpuset/cpuset.mems": "0",
    "pids/pids.max": "50",
}
"""What RESOURCES comes to."""


class Limited:
    """A running container with RESOURCES, and the files of its groups."""

    def __init__(self, runtime: Runtime, cgroup: str) -> None:
        self.runtime = runtime
        self.cgroup = cgroup.lstrip("/")
        runtime.bundle.linux["resources"] = RESOURCES
        self.pid = runtime.start()

    def value(self, name: str) -> str:
        """What ``controller/file`` says."""
        controller, file = name.split("/")
        return (CGROUPS / controller / self.cgroup / file).read_text().strip()

    def update(self, resources: dict[str, Any], **keywords: Any) -> subprocess.CompletedProcess[str]:
        """Applies a document, by standard input."""
        keywords.setdefault("input", json.dumps(resources))
        return self.runtime("update", "--resources", "-", "kept", stdin=None, **keywords)

    def check(self, **changed: str) -> None:
        """All limits are as RESOURCES has them, but for ``changed`` (by the name of the file)."""
        wanted = {name: changed.get(name.split("/")[1].replace(".", "_"), value) for name, value in FILES.items()}
        assert {name: self.value(name) for name in FILES} == wanted


@pytest.fixture
def limited(runtime: Runtime, cgroup: str) -> Limited:
    """A running container with limits."""
    return Limited(runtime, cgroup)


@pytest.mark.parametrize(
    ("resources", "changed"),
    [
        ({"memory": {"limit": LIMIT // 2}}, {"memory_limit_in_bytes": str(LIMIT // 2)}),
        # Beyond the old limit of memory and swap, and below the old limit of memory: whichever is written first.
        ({"memory": {"limit": LIMIT * 4, "swap": LIMIT * 8}},
         {"memory_limit_in_bytes": str(LIMIT * 4), "memory_memsw_limit_in_bytes": str(LIMIT * 8)}),
        ({"memory": {"limit": LIMIT // 4, "swap": LIMIT // 4}},
         {"memory_limit_in_bytes": str(LIMIT // 4), "memory_memsw_limit_in_bytes": str(LIMIT // 4)}),
        ({"memory": {"limit": -1}},
         {"memory_limit_in_bytes": "9223372036854771712", "memory_memsw_limit_in_bytes": "9223372036854771712"}),
        ({"cpu": {"quota": -1}}, {"cpu_cfs_quota_us": "-1"}),
        ({"cpu": {"period": 50000}}, {"cpu_cfs_period_us": "50000"}),
        ({"cpu": {"shares": 2}}, {"cpu_shares": "2"}),
        ({"pids": {"limit": -1}}, {"pids_max": "max"}),
        ({"pids": {"limit": 7}, "cpu": {"shares": 1024}}, {"pids_max": "7", "cpu_shares": "1024"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_what_is_named_changes_and_nothing_else(
    limited: Limited, resources: dict[str, Any], changed: dict[str, str]
) -> None:
    limited.update(resources)
    limited.check(**changed)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cpu": {"cpus": "4096"}}, "cpu.cpus"),
        ({"cpu": {"mems": "4096"}}, "cpu.mems"),
        ({"cpu": {"burst": 90000}}, "cpu.burst"),
        ({"cpu": {"period": 1}}, "cpu.period"),
        ({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}, "hugepageLimits"),
        ({"blockIO": {"throttleReadBpsDevice": [{"major": 4094, "minor": 1, "rate": 1}]}}, "blockIO.throttleReadBps"),
        ({"network": {"classID": 7}}, "network.classID"),
        ({"rdma": {"mlx5_1": {"hcaHandles": 3}}}, "rdma"),
    ],
)
def test_an_update_that_fails_half_way_leaves_the_old_values(
    limited: Limited, wrong: dict[str, Any], field: str
) -> None:
    good: dict[str, Any] = {
        "memory": {"limit": LIMIT // 2, "swap": LIMIT, "reservation": 1 << 20, "swappiness": 50},
        "cpu": {"shares": 100, "quota": 30000},
        "pids": {"limit": 9},
    }
    merged = {**good, **wrong, "cpu": {**good["cpu"], **wrong.get("cpu", {})}}
    done = limited.update(merged, check=False)
    assert done.returncode == 1
    assert f"linux.resources.{field}" in done.stderr
    limited.check()


def test_throttles_and_weights_of_devices_go_back_to_what_they_were(limited: Limited, tmp_path: Path) -> None:
    disk = whole_disk(tmp_path)
    name = f"{disk['major']}:{disk['minor']}"
    reads, writes = "blkio/blkio.throttle.read_bps_device", "blkio/blkio.throttle.write_iops_device"
    limited.update({"blockIO": {"throttleReadBpsDevice": [{**disk, "rate": 1 << 30}]}})
    assert limited.value(reads) == f"{name} {1 << 30}"
    wrong = {
        "blockIO": {
            "weight": 500,
            "weightDevice": [{**disk, "weight": 300}],
            "throttleReadBpsDevice": [{**disk, "rate": 1 << 20}],
            "throttleWriteIOPSDevice": [{**disk, "rate": 100}, {"major": 4094, "minor": 1, "rate": 1}],
        }
    }
    assert limited.update(wrong, check=False).returncode == 1
    assert limited.value(reads) == f"{name} {1 << 30}"
    assert limited.value(writes) == ""
    weight = next((CGROUPS / "blkio" / limited.cgroup / one for one in ("blkio.bfq.weight", "blkio.weight")
                   if (CGROUPS / "blkio" / limited.cgroup / one).exists()), None)  # fmt: skip
    assert weight is None or weight.read_text().split() == ["100"]
    limited.update({"blockIO": {"throttleReadBpsDevice": [{**disk, "rate": 0}]}})
    assert limited.value(reads) == ""


def test_device_rules_are_changed_by_what_is_different(limited: Limited) -> None:
    rules = [{"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}]
    before = set(limited.value("devices/devices.list").splitlines())
    limited.update({"devices": rules})
    assert set(limited.value("devices/devices.list").splitlines()) == before | {"c 10:200 rw"}
    limited.update({"devices": [*rules, {"allow": False, "type": "c", "major": 10, "minor": 200, "access": "w"}]})
    assert set(limited.value("devices/devices.list").splitlines()) == before | {"c 10:200 r"}
    failed = {"devices": [{"allow": False}, {"allow": True, "type": "b", "major": 7, "access": "rw"}],
              "network": {"classID": 1}}  # fmt: skip
    assert limited.update(failed, check=False).returncode == 1
    assert set(limited.value("devices/devices.list").splitlines()) == before | {"c 10:200 r"}
    limited.update({"devices": [{"allow": True}]})
    assert limited.value("devices/devices.list") == "a *:* rwm"
    limited.update({"devices": [{"allow": False}]})
    assert set(limited.value("devices/devices.list").splitlines()) == before


def test_a_device_that_is_allowed_before_and_after_is_never_denied(runtime: Runtime, cgroup: str) -> None:
    runtime.start("while :; do : </dev/null || echo denied; done")
    rule = {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}
    for _ in range(20):
        for rules in ([{"allow": False}, rule], [{"allow": False}]):
            runtime("update", "--resources", "-", "kept", stdin=None, input=json.dumps({"devices": rules}))
    assert runtime.text() == ""


def test_single_options_stand_for_fields(limited: Limited) -> None:
    limited.runtime(
        "update", "--memory", "32m", "--memory-swap", "64MiB", "--memory-reservation", "1048576",
        "--cpu-quota", "30000",
        "--cpu-period", "60000", "--cpu-share", "256", "--cpuset-cpus", "0", "--cpuset-mems", "0", "--pids-limit", "9",
        "kept",
    )  # fmt: skip
    limited.check(
        memory_limit_in_bytes=str(32 << 20), memory_memsw_limit_in_bytes=str(64 << 20),
        memory_soft_limit_in_bytes=str(1 << 20), cpu_cfs_quota_us="30000", cpu_cfs_period_us="60000", cpu_shares="256",
        pids_max="9",
    )  # fmt: skip
    limited.runtime("update", "--memory", "-1", "--cpu-idle", "1", "kept")
    assert limited.value("memory/memory.limit_in_bytes") == "9223372036854771712"
    assert limited.value("cpu/cpu.idle") == "1"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--memory", "much"], '--memory: "much"'),
        (["--memory", "-2"], '--memory: "-2"'),
        (["--memory", "99999999999g"], "--memory"),
        (["--memory", "64q"], "--memory"),
        (["--pids-limit", "9x"], '--pids-limit: "9x"'),
        (["--pids-limit", ""], "--pids-limit"),
        (["--l3-cache-schema", "L3:0=f"], "--l3-cache-schema: not supported"),
        (["--mem-bw-schema", "MB:0=1"], "--mem-bw-schema: not supported"),
        (["--resources", "-", "--memory", "1m"], "exclude each other"),
        (["--cpu-share", "1"], "linux.resources.cpu.shares: 1: must be from 2 to 262144"),
        (["--blkio-weight", "9"], "linux.resources.blockIO.weight: 9"),
        ([], "--resources, or options like --memory, must be given"),
    ],
)
def test_options_that_mean_nothing_are_refused(limited: Limited, options: list[str], message: str) -> None:
    done = limited.runtime("update", *options, "kept", check=False)
    assert done.returncode == 1
    assert message in done.stderr
    limited.check()


@pytest.mark.parametrize(
    ("document", "message"),
    [("", "standard input"), ("[]", "standard input"), ('{"memory": 1}', "linux.resources.memory"),
     ('{"memory": {"limit": "1g"}}', "linux.resources.memory.limit"), ("{}" + " " * (1 << 20), "standard input")],
)  # fmt: skip
def test_documents_that_are_none_are_refused(limited: Limited, document: str, message: str) -> None:
    done = limited.update({}, input=document, check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_limit_below_what_is_used_is_refused_where_that_is_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/root", "tmpfs", "size=64m", kind="tmpfs")
    runtime.start("head -c 16m /dev/zero > /root/file; echo filled; sleep 1000")
    wait_until(lambda: "filled" in runtime.text(), "the file is not written")
    wrong = json.dumps({"memory": {"limit": 8 << 20, "checkBeforeUpdate": True}})
    done = runtime("update", "--resources", "-", "kept", stdin=None, input=wrong, check=False)
    assert "linux.resources.memory.limit" in done.stderr
    assert "in use already" in done.stderr


def test_a_limit_that_the_kernel_gave_up_is_told_to_the_log(limited: Limited) -> None:
    limited.runtime("update", "--kernel-memory", "64m", "kept")
    last = json.loads(limited.runtime.log.read_text().splitlines()[-1])
    assert last["level"] == "warning"
    assert "linux.resources.memory.kernel" in last["msg"]


def test_a_paused_container_can_be_updated_and_stays_paused(limited: Limited) -> None:
    limited.runtime("pause", "kept")
    limited.update({"pids": {"limit": 9}, "devices": [{"allow": True}]})
    assert limited.value("pids/pids.max") == "9"
    assert limited.runtime.state()["status"] == "paused"


def test_a_stopped_container_is_not_updated(runtime: Runtime) -> None:
    runtime.start("true")
    wait_until(lambda: runtime.state()["status"] == "stopped", "the container does not stop")
    assert "is stopped" in runtime("update", "--memory", "1g", "kept", check=False).stderr
