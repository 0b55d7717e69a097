"""The time namespace: its clocks, seen by every process of the container, and by nobody else."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of, wait_until

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/time").exists(), reason="the kernel has no time namespaces")

DAY = 86400


def _boottime(text: str) -> float:
    """The first number of a container's /proc/uptime."""
    return float(text.split(maxsplit=1)[0])


def test_a_container_has_a_time_namespace_of_its_own_with_its_clocks(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {
        "boottime": {"secs": 10 * DAY, "nanosecs": 500},
        "monotonic": {"secs": 7 * DAY, "nanosecs": 999999999},
    }
    pid = runtime.start("cat /proc/uptime; sleep 1000")
    wait_until(runtime.text, "the program does not run")
    own = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert 10 * DAY - 10 < _boottime(runtime.text()) - own < 10 * DAY + 10
    assert namespace_of(pid, "time") != namespace_of("self", "time")
    offsets = [line.split() for line in Path(f"/proc/{pid}/timens_offsets").read_text().splitlines()]
    assert offsets == [["monotonic", str(7 * DAY), "999999999"], ["boottime", str(10 * DAY), "500"]]


def test_a_further_process_is_in_it_too(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 10 * DAY}}
    pid = runtime.start()
    done = runtime("exec", "kept", "sh", "-c", "readlink /proc/self/ns/time; cat /proc/uptime")
    namespace, uptime = done.stdout.splitlines()
    assert namespace == namespace_of(pid, "time")
    assert _boottime(uptime) > 10 * DAY


def test_without_offsets_the_clocks_are_the_hosts(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    namespace, uptime = runtime.output("readlink /proc/self/ns/time; cat /proc/uptime").splitlines()
    assert namespace != namespace_of("self", "time")
    assert abs(_boottime(uptime) - time.clock_gettime(time.CLOCK_BOOTTIME)) < 10


def test_it_goes_with_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 10 * DAY}}
    runtime.start("cat /proc/uptime; sleep 1000")
    wait_until(runtime.text, "the program does not run")
    assert _boottime(runtime.text()) > 10 * DAY
    assert _boottime(runtime("exec", "kept", "cat", "/proc/uptime").stdout) > 10 * DAY


def test_a_time_namespace_is_joined_by_its_path(runtime: Runtime, bundle: Bundle) -> None:
    holder = subprocess.Popen(
        ["unshare", "--time", "--boottime", str(3 * DAY), "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        path = f"/proc/{holder.pid}/ns/time_for_children"
        bundle.namespace("time", path)
        namespace, uptime = runtime.output("readlink /proc/self/ns/time; cat /proc/uptime").splitlines()
        assert namespace == str(Path(path).readlink()).replace("time_for_children", "time")
        assert _boottime(uptime) > 3 * DAY
    finally:
        holder.kill()
        holder.wait()


def test_offsets_for_a_joined_namespace_are_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time", "/proc/self/ns/time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1}}
    assert "linux.timeOffsets: only for a new time namespace" in runtime.create(check=False).stderr


def test_offsets_that_no_clock_can_have_are_told_and_leave_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": -(2**62)}}
    done = runtime.create(check=False)
    assert "linux.timeOffsets: write" in done.stderr
    assert "Numerical result out of range" in done.stderr
    assert not (runtime.root / "kept").exists()


def test_a_path_that_is_another_namespace_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("time", "/proc/self/ns/uts")
    assert "join time namespace /proc/self/ns/uts: Invalid argument" in runtime.create(check=False).stderr
