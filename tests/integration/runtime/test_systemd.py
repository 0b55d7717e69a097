"""--systemd-cgroup on a host with systemd and cgroup v2: one kernel of the lab runs all, each test looks at a part."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.runtime.harness import PROGRAM, Bundle
from tests.lab import uml

REASON = uml.unavailable(systemd=True)
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

OUTPUT_END = "-- end of output"
GROUP = "/sys/fs/cgroup/machine.slice/machine-lab.slice"
LIMITS = {
    "memory": {"limit": 64 << 20},
    "cpu": {"quota": 25000, "period": 100000, "shares": 512},
    "pids": {"limit": 20},
    "unified": {"memory.high": "50331648", "memory.oom.group": "1"},
}
SHOW_FILES = (
    "for f in memory.max memory.high memory.oom.group cpu.max cpu.weight pids.max; do echo $f $(cat $G/$f); done"
)


@dataclass(frozen=True)
class Case:
    """A container's configuration, and shell commands: $R is the runtime, $C creates and starts it, $G is its group, $U
    its unit."""

    commands: str
    resources: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    path: str | None = "machine-lab.slice:lab:{}"
    script: str = "sleep 1000"


CASES = {
    "limits": Case(
        f"$C; {SHOW_FILES}; cat $G/cgroup.procs | wc -l; cut -d: -f3 /proc/$(cat $G/cgroup.procs)/cgroup\n"
        "systemctl show $U -p Description -p Slice -p Delegate -p MemoryMax -p MemoryHigh -p CPUQuotaPerSecUSec "
        "-p TasksMax -p CPUWeight -p TimeoutStopUSec -p KillSignal -p ActiveState",
        LIMITS,
        {
            "org.systemd.property.TimeoutStopSec": "7",
            "org.systemd.property.Description": "'one of the lab'",
            "org.systemd.property.Documentation": "['man:one(1)', \"man:two(1)\"]",
            "org.example.other": "[",
        },
    ),
    "update": Case(
        "$C; $R update --memory 32m --memory-swap 48m --pids-limit 9 --cpu-quota 33333 update; echo updated $?\n"
        f"{SHOW_FILES}; systemctl daemon-reload; cat $G/memory.max $G/pids.max\n"
        "systemctl show $U -p MemoryMax -p TasksMax -p CPUQuotaPerSecUSec",
        LIMITS,
    ),
    "undo": Case(
        """$C; echo '{"memory":{"limit":33554432},"pids":{"limit":9},"unified":{"memory.oom.group":"7"}}' >/tmp/new
        $R update --resources /tmp/new undo; echo updated $?
        """
        f"{SHOW_FILES}; systemctl show $U -p MemoryMax -p TasksMax",
        LIMITS,
    ),
    "bus": Case(
        "until busctl status org.freedesktop.systemd1 >/dev/null 2>&1; do sleep 0.2; done\n"
        "export DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket; $C; echo created $?\n"
        "$R update --pids-limit 9 bus; echo updated $?; systemctl show $U -p TasksMax; $R delete --force bus\n"
        "echo deleted $?; unset DBUS_SYSTEM_BUS_ADDRESS",
    ),
    "devices": Case(
        "$C; systemctl daemon-reload; $R update --pids-limit 9 devices\n"
        "$R exec devices sh -c 'mknod /tmp/disk b 98 0; head -c 1 /tmp/disk; head -c 1 /dev/zero | wc -c'",
    ),
    "verbs": Case(
        "$C; $R exec verbs sh -c 'cat /proc/self/cgroup'; $R pause verbs; $R state verbs | grep status\n"
        "$R resume verbs; $R events --stats verbs | cut -c1-29; $R kill --all verbs KILL; sleep 0.5\n"
        "$R state verbs | grep status",
    ),
    "gone": Case(
        "$C; sleep 0.5; systemctl is-active $U; $R delete gone; echo deleted $?; ls -d $G\n"
        "systemctl list-units --all $U",
        script="true",
    ),
    "failed": Case(
        "$C; until [ $(systemctl is-active $U) = failed ]; do sleep 0.2; done; rm -rf /tmp/root/failed; $C\n"
        "echo again $?; $R state failed | grep status",
        annotations={"org.systemd.property.RuntimeMaxSec": "2", "org.systemd.property.TimeoutStopSec": "1"},
    ),
    "default": Case(
        "$C; ls -d /sys/fs/cgroup/system.slice/wherry-default.scope; $R delete --force default\n"
        "ls -d /sys/fs/cgroup/system.slice/wherry-default.scope",
        path=None,
    ),
    "taken": Case(
        "systemd-run -q --scope --slice machine-lab.slice --unit $U sleep 1000 & sleep 1; $C; echo created $?\n"
        "systemctl is-active $U; systemctl stop $U",
    ),
    "refused": Case("$C; echo created $?; ls -d $G; systemctl list-units --all $U", {"cpu": {"cpus": "0"}}),
    "annotation": Case("$C; echo created $?; ls -d $G", annotations={"org.systemd.property.TasksMax": "many"}),
    "property": Case("$C; echo created $?; ls -d $G", annotations={"org.systemd.property.Nonsense": "true"}),
    "path": Case("$C; echo created $?", path="/machine/lab/{}"),
    "slice": Case("$C; echo created $?", path="machine--lab.slice:lab:{}"),
    "name": Case("$C; echo created $?", path="machine-lab.slice:lab:with space"),
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each case printed."""
    place = tmp_path_factory.mktemp("systemd")
    template = Bundle(place / "template", "")
    template.process["env"] = ["PATH=/bin", *(f"{key}={value}" for key, value in uml.environment().items())]
    lines = [f"R='/run/lab/programs/{PROGRAM.name} --root /tmp/root'"]
    for name, case in CASES.items():
        config = {**template.config, "annotations": dict(case.annotations)}
        config["process"] = {**template.process, "args": ["sh", "-c", case.script]}
        config["linux"] = {**template.linux, "resources": dict(case.resources)}
        del config["linux"]["cgroupsPath"]
        if case.path is not None:
            config["linux"]["cgroupsPath"] = case.path.format(name)
        lines += [
            f"cp -a /run/lab/bundles/template /tmp/{name}",
            f"printf %s {shlex.quote(json.dumps(config))} > /tmp/{name}/config.json",
            f"echo '== {name}'; U=lab-{name}.scope; G={GROUP}/$U; C='start {name}'",
            f"start() {{ $R --systemd-cgroup create --bundle /tmp/{name} {name} </dev/null >/tmp/out 2>&1 &&",
            f"$R start {name} || {{ cat /tmp/out; return 1; }}; }}",
            f"{{ {case.commands}\n}} 2>&1",
            f"$R delete --force {name}; echo; echo '{OUTPUT_END}'",
        ]
    lines.append(
        f"echo '== left'; $R list --quiet; ls -d {GROUP}/*/; systemctl list-units --all --plain 'lab-*.scope' "
        f"'wherry-*.scope'; echo '{OUTPUT_END}'"
    )
    done = uml.run("\n".join(lines), {"programs": PROGRAM.parent, "bundles": place}, systemd=True, seconds=300)
    parts = [part.split("\n", 1) for part in done.output.split("== ")[1:]]
    return {name: rest.split(OUTPUT_END)[0].strip() for name, rest in parts}


def _lines(text: str) -> dict[str, str]:
    return dict(
        line.replace("=", " ", 1).split(" ", 1) for line in text.splitlines() if line.count(" ") + line.count("=")
    )


def test_the_container_is_a_scope_with_its_limits(outputs: dict[str, str]) -> None:
    assert f"{GROUP}/lab-limits.scope".removeprefix("/sys/fs/cgroup") in outputs["limits"].splitlines()
    assert "1" in outputs["limits"].splitlines()  # the container's process, and nobody else
    assert _lines(outputs["limits"]).items() >= {
        "memory.max": str(64 << 20), "memory.high": "50331648", "memory.oom.group": "1", "cpu.max": "25000 100000",
        "cpu.weight": "59", "pids.max": "20", "Slice": "machine-lab.slice", "Delegate": "yes", "CPUWeight": "59",
        "MemoryMax": str(64 << 20), "MemoryHigh": "50331648", "CPUQuotaPerSecUSec": "250ms", "TasksMax": "20",
        "ActiveState": "active",
    }.items()  # fmt: skip


def test_annotations_are_properties(outputs: dict[str, str]) -> None:
    assert _lines(outputs["limits"])["Description"] == "one of the lab"
    assert _lines(outputs["limits"])["TimeoutStopUSec"] == "7s"


def test_an_update_is_known_to_systemd_and_outlives_its_reload(outputs: dict[str, str]) -> None:
    # What systemd has only in hundredths of a CPU, or not at all, is as it was asked for in the files.
    assert _lines(outputs["update"]).items() >= {
        "updated": "0", "memory.max": str(32 << 20), "memory.high": "50331648", "memory.oom.group": "1",
        "pids.max": "9", "cpu.weight": "59", "MemoryMax": str(32 << 20), "TasksMax": "9",
        "CPUQuotaPerSecUSec": "340ms", "cpu.max": "33333 100000",
    }.items()  # fmt: skip
    assert f"\n{32 << 20}\n9\n" in outputs["update"]


def test_an_update_that_fails_leaves_files_and_properties(outputs: dict[str, str]) -> None:
    assert "linux.resources.unified.memory.oom.group" in outputs["undo"]
    assert _lines(outputs["undo"]).items() >= {
        "updated": "1", "memory.max": str(64 << 20), "pids.max": "20", "MemoryMax": str(64 << 20), "TasksMax": "20",
    }.items()  # fmt: skip


def test_the_system_bus_does_as_well(outputs: dict[str, str]) -> None:
    assert outputs["bus"].splitlines() == ["created 0", "updated 0", "TasksMax=9", "deleted 0"]


def test_devices_stay_denied_when_systemd_reloads(outputs: dict[str, str]) -> None:
    assert "/tmp/disk: Operation not permitted" in outputs["devices"]
    assert outputs["devices"].splitlines()[-1].strip() == "1"


def test_the_other_verbs_work_in_a_scope(outputs: dict[str, str]) -> None:
    lines = [line.strip(' ",') for line in outputs["verbs"].splitlines()]
    assert lines == ["0::/", 'status": "paused', '{"type":"stats","id":"verbs', 'status": "stopped']


def test_a_container_that_ends_takes_its_scope_along(outputs: dict[str, str]) -> None:
    assert outputs["gone"].splitlines()[:2] == ["inactive", "deleted 0"]
    assert "No such file" in outputs["gone"]
    assert "0 loaded units" in outputs["gone"]


def test_a_scope_that_has_failed_makes_room_for_the_next(outputs: dict[str, str]) -> None:
    assert outputs["failed"].splitlines()[0] == "again 0"
    assert "running" in outputs["failed"].splitlines()[1]


def test_without_a_path_the_scope_is_named_after_the_container(outputs: dict[str, str]) -> None:
    first, second = outputs["default"].splitlines()
    assert first == "/sys/fs/cgroup/system.slice/wherry-default.scope"
    assert "No such file" in second


def test_a_scope_of_somebody_elses_is_left_alone(outputs: dict[str, str]) -> None:
    assert "start lab-taken.scope: StartTransientUnit: " in outputs["taken"]
    assert outputs["taken"].splitlines()[1:3] == ["created 1", "active"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("refused", "linux.resources.cpu.cpus: the cpuset controller is not available"),
        ("annotation", 'annotations.org.systemd.property.TasksMax: "many": must be true, false, a number'),
        ("property", "start lab-property.scope: StartTransientUnit: Cannot set property Nonsense"),
        ("path", 'linux.cgroupsPath: "/machine/lab/path": must be SLICE:PREFIX:NAME'),
        ("slice", 'linux.cgroupsPath: "machine--lab.slice": is not the name of a slice'),
        ("name", 'linux.cgroupsPath: "lab-with space.scope": is not the name of a unit'),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(outputs: dict[str, str], name: str, message: str) -> None:
    assert message in outputs[name]
    assert "created 1" in outputs[name].splitlines()
    assert f"\n{GROUP}" not in outputs[name]


def test_nothing_is_left(outputs: dict[str, str]) -> None:
    assert "0 loaded units" in outputs["left"]
    assert "No such file" in outputs["left"]
    assert set(outputs) == {*CASES, "left"}
