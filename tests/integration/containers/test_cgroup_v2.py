"""The whole agent on a host with cgroup v2 alone: one kernel of the lab runs all, each test looks at one finding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.containers.v2_kernel import run_agent
from tests.lab import uml

REASON = uml.unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

CASES = """
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
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the cases found, by case."""
    return run_agent(tmp_path_factory.mktemp("v2"), CASES, {})


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
