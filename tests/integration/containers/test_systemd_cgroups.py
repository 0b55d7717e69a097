"""The whole agent with native.cgroupdriver=systemd, under systemd in a kernel of the lab."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.integration.containers.v2_kernel import run_agent
from tests.lab import uml

REASON = uml.unavailable(systemd=True)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

CASES = """
import subprocess

def properties(unit, *names):
    words = [word for name in names for word in ("-p", name)]
    shown = subprocess.run(["systemctl", "show", unit, *words], capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in shown.splitlines())

found["driver"] = api.info()["CgroupDriver"]
one = start("one", ["sleep", "1000"], mem_limit="64m", pids_limit=20)
one.reload()
place = group(one)
unit = place.rsplit("/", 1)[1]
found["place"] = place.replace(one.id, "ID")
found["created"] = properties(unit, "MemoryMax", "TasksMax", "ActiveState", "Slice")
one.update(mem_limit="80m", memswap_limit="160m")
found["updated"] = [value(place, "memory.max"), properties(unit, "MemoryMax")]
found["exec"] = one.exec_run(["sh", "-c", "echo inside; exit 3"])[0]
found["usage"] = one.stats(stream=False)["memory_stats"]["limit"]
one.restart(timeout=0)
one.reload()
found["restarted"] = [group(one) == place, value(place, "memory.max")]
one.remove(force=True)
found["left"] = [os.path.exists(place), properties(unit, "LoadState")]
two = start("two", ["sleep", "1000"], cgroup_parent="fleet-web.slice")
two.reload()
found["parent"] = group(two).replace(two.id, "ID")
two.remove(force=True)
try:
    start("three", ["sleep", "1000"], cgroup_parent="/fleet")
except docker.errors.APIError as error:
    found["refused"] = [error.status_code, error.explanation]
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the cases found, by case."""
    settings = {"exec-opts": ["native.cgroupdriver=systemd"]}
    return run_agent(tmp_path_factory.mktemp("systemd"), CASES, settings, systemd=True)


def test_a_container_is_a_scope(found: Mapping[str, Any]) -> None:
    assert found["driver"] == "systemd"
    directory, _, scope = found["place"].rpartition("/")
    assert directory == "/sys/fs/cgroup/system.slice"
    assert scope.endswith("-ID.scope")
    expected = {"MemoryMax": str(64 << 20), "TasksMax": "20", "ActiveState": "active", "Slice": "system.slice"}
    assert found["created"] == expected


def test_an_update_is_known_to_systemd(found: Mapping[str, Any]) -> None:
    assert found["updated"] == [[str(80 << 20)], {"MemoryMax": str(80 << 20)}]


def test_exec_stats_and_restart_work_in_a_scope(found: Mapping[str, Any]) -> None:
    assert found["exec"] == 3
    assert found["usage"] == 80 << 20
    assert found["restarted"] == [True, [str(80 << 20)]]


def test_nothing_is_left_of_a_removed_container(found: Mapping[str, Any]) -> None:
    assert found["left"] == [False, {"LoadState": "not-found"}]


def test_a_parent_is_a_slice(found: Mapping[str, Any]) -> None:
    directory, _, scope = found["parent"].rpartition("/")
    assert directory == "/sys/fs/cgroup/fleet.slice/fleet-web.slice"
    assert scope.endswith("-ID.scope")
    status, message = found["refused"]
    assert status == 400
    assert 'should be a valid slice named as "xxx.slice"' in message
