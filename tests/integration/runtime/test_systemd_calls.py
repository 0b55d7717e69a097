"""What --systemd-cgroup asks of systemd, and what it makes of its answers: on this machine, with a bus of the lab."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime
from tests.lab.fake_systemd import FakeSystemd

pytestmark = pytest.mark.skipif(not (CGROUPS / "systemd").exists(), reason="no cgroup v1 with systemd's hierarchy here")

SLICE = f"wherrytest{os.getpid()}.slice"
UNIT = "lab-one.scope"


def _group(controller: str) -> Path:
    return CGROUPS / controller / SLICE / UNIT


@pytest.fixture
def bus(tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSystemd]:
    """A bus whose manager makes a unit's group as systemd does on v1: in its own hierarchy."""
    one = FakeSystemd(tmp_path / "bus")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", one.address)
    bundle.linux["cgroupsPath"] = f"{SLICE}:lab:one"

    def start(unit: str, properties: dict[str, Any]) -> None:
        _group("systemd").mkdir(parents=True, exist_ok=True)
        (_group("systemd") / "cgroup.procs").write_text(str(properties["PIDs"][0]))

    one.on_start = start
    yield one
    one.close()
    for hierarchy in CGROUPS.iterdir():
        if (hierarchy / SLICE).exists():
            assert list((hierarchy / SLICE).glob("*/")) == []
            (hierarchy / SLICE).rmdir()


@pytest.fixture
def runtime(bus: FakeSystemd, runtime: Runtime) -> Runtime:
    """The runtime with --systemd-cgroup."""
    plain = runtime.command
    runtime.command = lambda *arguments: plain("--systemd-cgroup", *arguments)  # type: ignore[method-assign]
    return runtime


def _properties(bus: FakeSystemd, member: str = "StartTransientUnit") -> dict[str, Any]:
    return dict(bus.last(member)[2])


def test_a_scope_is_asked_for_with_its_limits(runtime: Runtime, bundle: Bundle, bus: FakeSystemd) -> None:
    bundle.linux["resources"] = {
        "memory": {"limit": 64 << 20},
        "cpu": {"quota": 25000, "period": 50000, "shares": 512},
        "pids": {"limit": 20},
        "devices": [{"allow": False}, {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"},
                    {"allow": True, "type": "b", "access": "r"}],
    }  # fmt: skip
    bundle.config["annotations"] = {
        "org.systemd.property.After": "['a.service', \"b.service\"]",
        "org.systemd.property.TimeoutStopSec": "uint64 7",
        "org.systemd.property.CollectMode": "'inactive-or-failed'",
        "org.systemd.property.CPUWeight": "uint64 7",
        "org.systemd.property.SendSIGHUP": "true",
        "org.systemd.property.KillSignal": "10",
    }
    pid = runtime.start()
    unit, mode, _, auxiliary = bus.last("StartTransientUnit")
    assert (unit, mode, auxiliary) == (UNIT, "replace", [])
    found = _properties(bus)
    assert found.items() >= {
        "Slice": SLICE, "Delegate": 1, "DefaultDependencies": 0, "MemoryAccounting": 1, "CPUAccounting": 1,
        "BlockIOAccounting": 1, "TasksAccounting": 1, "MemoryLimit": 64 << 20, "CPUShares": 512, "TasksMax": 20,
        "CPUQuotaPeriodUSec": 50000, "CPUQuotaPerSecUSec": 500000, "DevicePolicy": "strict", "TimeoutStopUSec": 7000000,
        "CollectMode": "inactive-or-failed", "CPUWeight": 7, "SendSIGHUP": 1, "KillSignal": 10,
    }.items()  # fmt: skip
    assert found["After"] == ["a.service", "b.service"]
    assert {("/dev/char/10:200", "rw"), ("block-*", "r"), ("/dev/char/1:3", "rwm")} <= set(found["DeviceAllow"])
    # The keeper has left, the container's process is in every hierarchy.
    assert not Path(f"/proc/{found['PIDs'][0]}").exists()
    assert (_group("systemd") / "cgroup.procs").read_text() == f"{pid}\n"
    assert (_group("memory") / "memory.limit_in_bytes").read_text() == f"{64 << 20}\n"


def test_an_update_is_told_and_delete_stops_the_unit(runtime: Runtime, bus: FakeSystemd) -> None:
    runtime.start()
    runtime("update", "--cpu-quota", "33333", "--memory", "-1", "kept")
    unit, for_now, _ = bus.last("SetUnitProperties")
    assert (unit, for_now) == (UNIT, 1)
    # Rounded up to hundredths of a CPU; the period as it is.
    told = _properties(bus, "SetUnitProperties")
    assert (told["CPUQuotaPerSecUSec"], told["CPUQuotaPeriodUSec"]) == (340000, 100000)
    assert told["MemoryLimit"] == (1 << 64) - 1
    assert (_group("cpu") / "cpu.cfs_quota_us").read_text() == "33333\n"
    runtime("delete", "--force", "kept")
    assert runtime.log.read_text() == ""
    assert bus.last("StopUnit") == [UNIT, "replace"]
    assert bus.last("ResetFailedUnit") == [UNIT]
    assert bus.units == set()


def test_an_update_that_systemd_refuses_is_taken_back(runtime: Runtime, bus: FakeSystemd) -> None:
    runtime.start()
    before = (_group("pids") / "pids.max").read_text()
    bus.errors["SetUnitProperties"] = ("org.freedesktop.DBus.Error.AccessDenied", "Not today")
    done = runtime("update", "--pids-limit", "9", "kept", check=False)
    assert f"change {UNIT}: SetUnitProperties: Not today (org.freedesktop.DBus.Error.AccessDenied)" in done.stderr
    assert (_group("pids") / "pids.max").read_text() == before


@pytest.mark.parametrize("broken", ["login", "error", "job", "order", "length", "header", "short"])
def test_a_creation_that_systemd_fails_leaves_nothing(runtime: Runtime, bus: FakeSystemd, broken: str) -> None:
    replies = {
        "order": b"B" + b"\0" * 15,
        "length": struct.pack("<cBBBIII", b"l", 2, 0, 1, 0xFFFFFFFF, 1, 0),
        "header": struct.pack("<cBBBIII", b"l", 2, 0, 1, 0, 1, 8) + b"\5\1x\0\0\0\0\0",
        "short": struct.pack("<cBBBIII", b"l", 2, 0, 1, 4, 1, 16) + b"\1\1s\0\xff\xff\xff\xff" + b"\0" * 12,
    }
    messages = {
        "login": "systemd cannot be reached: D-Bus: not let in: REJECTED EXTERNAL",
        "error": f"start {UNIT}: StartTransientUnit: No room (org.example.Error)",
        "job": f'unit {UNIT}: systemd\'s job ended as "failed"',
        "order": "D-Bus message of another byte order",
        "length": "D-Bus message",
        "header": "D-Bus message with a broken header",
        "short": "D-Bus message with a broken header",
    }
    bus.refuses_login = broken == "login"
    bus.job_result = "failed" if broken == "job" else "done"
    bus.raw_reply = replies.get(broken)
    if broken == "error":
        bus.errors["StartTransientUnit"] = ("org.example.Error", "No room")
    if broken == "job":
        bus.on_start = lambda unit, properties: None
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert messages[broken] in done.stderr
    assert not (runtime.root / "kept").exists()
    assert not _group("memory").exists()


def test_a_systemd_that_is_gone_does_not_keep_a_container(runtime: Runtime, bus: FakeSystemd) -> None:
    runtime.start()
    bus.close()
    bus.path.unlink()
    runtime("delete", "--force", "kept")
    assert not _group("memory").exists()
    assert "systemd cannot be reached" in json.loads(runtime.log.read_text().splitlines()[-1])["msg"]


def test_without_systemd_creation_says_so(
    runtime: Runtime, bus: FakeSystemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'nowhere'}")
    assert "--systemd-cgroup: systemd cannot be reached" in runtime.create(check=False).stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("TasksMax", "uint16 70000"), ("TasksMax", "-1x"), ("After", "['a'"), ("After", "['a' 'b']"), ("After", "[5]"),
     ("Description", "'open"), ("Description", "plain"), ("TimeoutStopSec", "'7'"), ("TimeoutStopSec", "-7"),
     ("Bad Name", "true"), ("", "true"), ("X", "")],
)  # fmt: skip
def test_an_annotation_that_is_no_property_is_refused(
    runtime: Runtime, bundle: Bundle, bus: FakeSystemd, name: str, value: str
) -> None:
    bundle.config["annotations"] = {f"org.systemd.property.{name}": value}
    assert f"annotations.org.systemd.property.{name}: {json.dumps(value)}" in runtime.create(check=False).stderr
    assert bus.calls == []


@pytest.mark.parametrize(
    "path",
    ["one", "a.slice:one", "/a/b", "a:lab:one", "a--b.slice:lab:one", "-a.slice:lab:one", ".slice:lab:one",
     "a/b.slice:lab:one", "a.slice:lab:", "a.slice:lab:one.slice", "a.slice:la b:one", "a.slice:lab:" + "x" * 300],
)  # fmt: skip
def test_a_path_that_is_no_scope_is_refused(runtime: Runtime, bundle: Bundle, bus: FakeSystemd, path: str) -> None:
    bundle.linux["cgroupsPath"] = path
    assert "linux.cgroupsPath" in runtime.create(check=False).stderr
    assert bus.calls == []
