"""events: what a container uses, in the shape that callers of runtimes parse, and that it ran out of memory."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import CGROUPS, SECONDS, Bundle, Runtime, wait_until, whole_disk

pytestmark = pytest.mark.skipif(not (CGROUPS / "memory").exists(), reason="no cgroup v1 here")

LIMIT = 64 << 20


def _statistics(runtime: Runtime) -> dict[str, Any]:
    event = json.loads(runtime("events", "--stats", "kept").stdout)
    assert (event["type"], event["id"]) == ("stats", "kept")
    data: dict[str, Any] = event["data"]
    return data


@contextmanager
def _stream(runtime: Runtime, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = ["timeout", str(SECONDS), *runtime.command("events", *options, "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_numbers_are_those_of_the_containers_groups(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    bundle.linux["resources"] = {
        "memory": {"limit": LIMIT},
        "pids": {"limit": 20},
        "cpu": {"cpus": "0", "quota": 50000, "period": 100000},
    }
    runtime.start("dd if=/dev/zero of=/dev/null bs=1M count=500 2>/dev/null; echo done; sleep 1000 & wait")
    wait_until(lambda: "done" in runtime.text(), "the work is not done")
    data = _statistics(runtime)
    usage = data["cpu"]["usage"]
    assert 0 < usage["total"] < 60e9
    assert sum(usage["percpu"]) <= usage["total"] == int(_value("cpuacct", cgroup, "cpuacct.usage"))
    assert len(usage["percpu"]) == len(usage["percpu_user"]) == len(usage["percpu_kernel"]) == os.cpu_count()
    assert data["cpu"]["throttling"]["periods"] >= data["cpu"]["throttling"]["throttledPeriods"]
    assert data["cpuset"]["cpus"] == [0]
    assert data["memory"]["usage"]["limit"] == LIMIT
    assert data["memory"]["usage"]["usage"] > 0
    assert data["memory"]["usage"]["max"] >= data["memory"]["usage"]["usage"]
    assert data["memory"]["raw"]["hierarchical_memory_limit"] == LIMIT
    assert data["pids"] == {"current": 2, "limit": 20}
    assert data["intel_rdt"] == {}


def _value(controller: str, group: str, file: str) -> str:
    return (CGROUPS / controller / group.lstrip("/") / file).read_text().strip()


def test_throttling_is_counted(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {"cpu": {"quota": 5000, "period": 20000}}
    runtime.start("while :; do :; done")

    def throttled() -> bool:
        found = _statistics(runtime)["cpu"]["throttling"]
        return 0 < found["throttledPeriods"] <= found["periods"] and found["throttledTime"] > 0

    wait_until(throttled, "nothing is throttled")


def test_block_devices_are_counted_by_device_and_operation(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    # Newer kernels count for a device once it has a throttle.
    bundle.linux["resources"] = {"blockIO": {"throttleWriteBpsDevice": [{**whole_disk(tmp_path), "rate": 1 << 32}]}}
    (tmp_path / "data").mkdir()
    bundle.mount("/root", str(tmp_path / "data"), "rw")
    runtime.start("dd if=/dev/zero of=/root/file bs=64k count=16 oflag=direct 2>/dev/null && echo done; sleep 1000")
    wait_until(lambda: "done" in runtime.text(), "the work is not done")
    written = [one for one in _statistics(runtime)["blkio"]["ioServiceBytesRecursive"] if one["op"] == "Write"]
    assert sum(one["value"] for one in written) >= 1 << 20
    assert all(one["major"] > 0 for one in written)


def test_interfaces_of_a_network_of_its_own_are_counted(runtime: Runtime, bundle: Bundle) -> None:
    pid = runtime.start()
    ip = ["nsenter", "--net", "--target", str(pid), "ip"]
    subprocess.run([*ip, "link", "add", "one", "type", "veth", "peer", "name", "two"], check=True)
    subprocess.run([*ip, "addr", "add", "10.0.0.1/24", "dev", "one"], check=True)
    subprocess.run([*ip, "link", "set", "one", "up"], check=True)
    subprocess.run([*ip, "link", "set", "two", "up"], check=True)

    def counted() -> bool:
        found = {one["Name"]: one for one in _statistics(runtime)["network_interfaces"]}
        assert sorted(found) == ["one", "two"]
        # Each announces itself on the wire between them.
        return 0 < found["one"]["TxPackets"] <= found["two"]["RxPackets"] and found["two"]["RxBytes"] > 0

    wait_until(counted, "no packet is counted")


def test_without_a_network_of_its_own_there_are_no_interfaces(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "network"]
    runtime.start()
    assert _statistics(runtime)["network_interfaces"] is None


def test_the_stream_tells_again_after_every_interval_and_ends_with_the_container(runtime: Runtime) -> None:
    runtime.start()
    with _stream(runtime, "--interval", "50ms") as stream:
        assert stream.stdout is not None
        assert [json.loads(stream.stdout.readline())["type"] for _ in range(3)] == ["stats"] * 3
        runtime("kill", "kept", "KILL")
        assert {json.loads(line)["type"] for line in stream.stdout} <= {"stats"}
        assert stream.wait(10) == 0


def _listens(pid: int) -> bool:
    """Whether the one child of a process waits for something to happen, with its watch in place."""
    child = Path(f"/proc/{pid}/task/{pid}/children").read_text().strip()
    return bool(child) and "poll" in Path(f"/proc/{child}/wchan").read_text()


def test_a_kill_for_want_of_memory_is_told(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["resources"] = {"memory": {"limit": 16 << 20, "swap": 16 << 20}}
    runtime.start("while [ ! -e /tmp/go ]; do sleep 0.02; done; tail /dev/zero; echo survived; sleep 1000")
    with _stream(runtime, "--interval", "1h") as stream:
        assert stream.stdout is not None
        wait_until(lambda: _listens(stream.pid), "events does not listen")
        (bundle.rootfs / "tmp" / "go").touch()
        assert json.loads(stream.stdout.readline()) == {"type": "oom", "id": "kept"}
    wait_until(lambda: "survived" in runtime.text(), "the container ended with it")


def test_a_container_that_has_ended_has_no_events(runtime: Runtime) -> None:
    runtime.start("true")
    wait_until(lambda: runtime.state()["status"] == "stopped", "the container does not stop")
    assert "is not running" in runtime("events", "--stats", "kept", check=False).stderr


@pytest.mark.parametrize("interval", ["0", "0s", "-1s", "5", "s", "1d", "1e3s", "1..5s", "9999999999h", ""])
def test_an_interval_that_is_no_duration_is_refused(runtime: Runtime, interval: str) -> None:
    done = runtime("events", "--interval", interval, "kept", check=False)
    assert done.returncode == 1
    assert "--interval" in done.stderr


@pytest.mark.parametrize("interval", ["1ms", "1h2m3.5s", ".5s", "100us", "100µs"])
def test_an_interval_is_a_duration_with_units(runtime: Runtime, interval: str) -> None:
    assert "does not exist" in runtime("events", "--interval", interval, "nobody", check=False).stderr
