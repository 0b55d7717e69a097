"""Limits on a host with cgroup v2 alone: one kernel of the lab runs all cases, each test looks at one of them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.integration.runtime.harness import PROGRAM, Bundle
from tests.lab import uml

REASON = uml.unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

OUTPUT_END = "-- end of output"
PARENT = "/wherry-test"


@dataclass(frozen=True)
class Case:
    """A container and what is asked of it: its resources, its shell script, and what is run beside it."""

    resources: Mapping[str, Any]
    script: str
    beside: str = ""  # shell, while the container waits after its script; $G is its group's directory, $R the runtime

    def commands(self, name: str) -> str:
        """The shell commands that run the case and print its status and output."""
        if not self.beside:
            return f"$R run --bundle /tmp/{name} {name} 2>&1; status=$?"
        # Created first, so that its group can be looked at while it runs.
        return (
            f"$R create --bundle /tmp/{name} {name} >/tmp/out 2>&1; $R start {name}; G=/sys/fs/cgroup{PARENT}/{name}\n"
            f"{self.beside}\nstatus=$?; $R delete --force {name}"
        )


CASES = {
    "files": Case(
        {
            "memory": {"limit": 64 << 20, "reservation": 32 << 20},
            "cpu": {"quota": 50000, "period": 200000, "shares": 1024},
            "pids": {"limit": 20},
            "unified": {"memory.high": "50331648"},
        },
        "sleep 100",
        "for f in memory.max memory.low memory.high cpu.max cpu.weight pids.max cgroup.procs\n"
        "do echo $f $(cat $G/$f); done",
    ),
    "memory": Case({"memory": {"limit": 16 << 20}}, "cat /proc/self/cgroup; tail /dev/zero; echo survived $?"),
    "pids": Case({"pids": {"limit": 5}}, "for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; wait"),
    "devices": Case(
        {"devices": [{"allow": False, "access": "rwm"}]},
        "mknod /tmp/disk b 98 0; head -c 1 /tmp/disk; head -c 1 /dev/zero | wc -c",
    ),
    "pause": Case(
        {},
        "while :; do echo tick; sleep 0.1; done",
        "$R pause files_not_there; $R pause pause; cat $G/cgroup.events; $R resume pause; cat $G/cgroup.events",
    ),
    "update": Case(
        {"memory": {"limit": 32 << 20}, "cpu": {"quota": 50000}},
        "sleep 100",
        """echo '{"memory":{"limit":67108864},"cpu":{"period":50000},"pids":{"limit":7}}' > /tmp/new
        $R update --resources /tmp/new update; for f in memory.max cpu.max pids.max; do echo $f $(cat $G/$f); done""",
    ),
    "swap": Case(
        {"memory": {"limit": 32 << 20}},
        "sleep 100",
        "show() { echo $1 $(cat $G/memory.max) $(cat $G/memory.swap.max); }\n"
        "$R update --memory-swap 48m swap; show swap; $R update --memory -1 swap; show lifted",
    ),
    "undo": Case(
        {"memory": {"limit": 32 << 20}, "cpu": {"quota": 50000, "shares": 512}, "pids": {"limit": 9}},
        "sleep 100",
        """echo '{"memory":{"limit":67108864},"cpu":{"quota":20000,"shares":2048},"pids":{"limit":7},
        "unified":{"memory.high":"50331648","memory.oom.group":"7"}}' > /tmp/new
        $R update --resources /tmp/new undo; echo; echo status $?
        for f in memory.max memory.high cpu.max cpu.weight pids.max; do echo $f $(cat $G/$f); done""",
    ),
    "weight": Case(
        {"blockIO": {"weight": 505}},
        "sleep 100",
        "cat /tmp/out; for f in io.weight io.bfq.weight; do [ -e $G/$f ] && echo $f $(cat $G/$f); done; true",
    ),
    "network": Case({"network": {"classID": 7}}, "echo started"),
    "realtime": Case({"cpu": {"realtimeRuntime": 1000}}, "echo started"),
    "oom-killer": Case({"memory": {"disableOOMKiller": True}}, "echo started"),
    "unified": Case({"unified": {"memory.nonsense": "1"}}, "echo started"),
    "rule": Case({"unified": {"cgroup.freeze": "1"}}, "echo started"),
    "kill": Case(
        {},
        "sleep 1000 & sleep 1000 & wait",
        "sleep 0.3; wc -l < $G/cgroup.procs; $R kill --all kill KILL; sleep 0.5; wc -l < $G/cgroup.procs",
    ),
    "events": Case(
        {"memory": {"limit": 64 << 20}, "pids": {"limit": 9}, "cpu": {"quota": 5000, "period": 20000}},
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; tail /dev/zero; sleep 1000",
        """$R events --interval 1h events > /tmp/stream & E=$!
        until grep -q 'oom_kill [1-9]' $G/memory.events; do sleep 0.1; done
        $R events --stats events; $R kill events KILL; wait $E; cat /tmp/stream""",
    ),
    "cpuset": Case({"cpu": {"cpus": "0"}}, "echo started"),
    "swappiness": Case({"memory": {"swappiness": 10}}, "echo started"),
}


@dataclass(frozen=True)
class Outcome:
    """A case's exit status and output."""

    status: int
    output: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """All cases, run in one kernel."""
    place = tmp_path_factory.mktemp("v2")
    template = Bundle(place / "template", "")
    lines = [f"R='/run/lab/programs/{PROGRAM.name} --root /tmp/root'"]
    for name, case in CASES.items():
        template.linux["cgroupsPath"] = f"{PARENT}/{name}"
        template.linux["resources"] = dict(case.resources)
        template.process["env"] = ["PATH=/bin", *(f"{key}={value}" for key, value in uml.environment().items())]
        template.shell(case.script)
        config = shlex.quote(json.dumps(template.config))
        lines += [
            f"cp -a /run/lab/bundles/template /tmp/{name}; printf %s {config} > /tmp/{name}/config.json",
            f"echo '== {name}'",
            case.commands(name),
            f"echo; echo '{OUTPUT_END}' $status",
        ]
    lines.append(f"echo '== left'; ls -d /sys/fs/cgroup{PARENT}/*/; echo; echo '{OUTPUT_END}' 0")
    done = uml.run("\n".join(lines), {"programs": PROGRAM.parent, "bundles": place})
    return dict(_parse(done.output))


def _parse(output: str) -> list[tuple[str, Outcome]]:
    found = []
    for part in output.split("== ")[1:]:
        name, rest = part.split("\n", 1)
        text, status = rest.split(OUTPUT_END, 1)
        found.append((name, Outcome(int(status.split()[0]), text.strip())))
    return found


def _lines(outcome: Outcome) -> dict[str, str]:
    return dict(line.split(" ", 1) for line in outcome.output.splitlines() if " " in line)


def test_limits_are_written_with_the_controllers_handed_down(outcomes: dict[str, Outcome]) -> None:
    values = _lines(outcomes["files"])
    assert values["memory.max"] == str(64 << 20)
    assert values["memory.low"] == str(32 << 20)
    assert values["memory.high"] == str(48 << 20)
    assert values["cpu.max"] == "50000 200000"
    assert values["cpu.weight"] == "100"
    assert values["pids.max"] == "20"
    assert values["cgroup.procs"].isdigit()


def test_too_much_memory_gets_the_process_killed(outcomes: dict[str, Outcome]) -> None:
    # Its own group is the root of its cgroup namespace.
    assert outcomes["memory"].output.splitlines()[0] == "0::/"
    assert "survived 137" in outcomes["memory"].output


def test_the_limit_of_processes_holds(outcomes: dict[str, Outcome]) -> None:
    assert "can't fork" in outcomes["pids"].output


def test_devices_are_denied_but_for_the_standard_ones(outcomes: dict[str, Outcome]) -> None:
    assert "/tmp/disk: Operation not permitted" in outcomes["devices"].output
    assert outcomes["devices"].output.splitlines()[-1].strip() == "1"


def test_pause_freezes_the_group_and_resume_thaws_it(outcomes: dict[str, Outcome]) -> None:
    states = [line for line in outcomes["pause"].output.splitlines() if line.startswith("frozen")]
    assert states == ["frozen 1", "frozen 0"]


def test_an_update_changes_what_it_names_and_nothing_else(outcomes: dict[str, Outcome]) -> None:
    values = _lines(outcomes["update"])
    assert values["memory.max"] == str(64 << 20)
    assert values["cpu.max"] == "50000 50000"
    assert values["pids.max"] == "7"


def test_swap_is_counted_beside_memory_and_lifted_with_it(outcomes: dict[str, Outcome]) -> None:
    values = _lines(outcomes["swap"])
    if "memory.swap.max" in outcomes["swap"].output:
        pytest.skip("this kernel counts no swap")
    assert values == {"swap": f"{32 << 20} {16 << 20}", "lifted": "max max"}


def test_an_update_that_fails_half_way_leaves_the_old_values(outcomes: dict[str, Outcome]) -> None:
    assert "linux.resources.unified.memory.oom.group" in outcomes["undo"].output
    values = _lines(outcomes["undo"])
    assert values["memory.max"] == str(32 << 20)
    assert values["memory.high"] == "max"
    assert values["cpu.max"] == "50000 100000"
    assert values["cpu.weight"] == "59"
    assert values["pids.max"] == "9"


def test_a_weight_is_written_in_the_scale_of_its_file(outcomes: dict[str, Outcome]) -> None:
    lines = [line for line in outcomes["weight"].output.splitlines() if line.startswith("io.")]
    assert set(lines) <= {"io.weight default 5001", "io.bfq.weight default 505"}
    assert lines or "linux.resources.blockIO.weight: this kernel has no" in outcomes["weight"].output


def test_events_tell_what_the_group_uses_and_that_it_ran_out_of_memory(outcomes: dict[str, Outcome]) -> None:
    first, *rest = map(json.loads, outcomes["events"].output.splitlines())
    data = first["data"]
    assert data["cpu"]["usage"]["total"] >= data["cpu"]["usage"]["user"] > 0
    assert data["cpu"]["throttling"]["throttledPeriods"] > 0
    assert data["memory"]["usage"]["limit"] == 64 << 20
    assert data["memory"]["usage"]["usage"] > 0
    assert data["memory"]["event_count"]["oom_kill"] == 1
    assert data["memory"]["raw"]["anon"] > 0
    assert data["pids"]["current"] in {1, 2}  # the shell, and what it runs
    assert data["pids"]["limit"] == 9
    assert data["network_interfaces"] is not None
    assert rest == [{"type": "oom", "id": "events"}]
    assert outcomes["events"].status == 0


def test_kill_all_reaches_every_process(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["kill"].output.split() == ["3", "0"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cpuset", "linux.resources.cpu.cpus: the cpuset controller is not available"),
        ("network", "linux.resources.network.classID: cgroup v2, which this host has, has no such limit"),
        ("realtime", "linux.resources.cpu.realtimeRuntime: cgroup v2"),
        ("oom-killer", "linux.resources.memory.disableOOMKiller: cgroup v2"),
        ("unified", "linux.resources.unified.memory.nonsense: this kernel has no"),
        ("rule", "linux.resources.unified.cgroup.freeze: must be a file of a controller"),
        ("swappiness", "linux.resources.memory.swappiness: cgroup v2, which this host has, has no such limit"),
    ],
)
def test_a_limit_that_this_kernel_has_not_got_is_refused_by_name(
    outcomes: dict[str, Outcome], name: str, message: str
) -> None:
    assert outcomes[name].status == 1
    assert message in outcomes[name].output
    assert "started" not in outcomes[name].output


def test_no_group_is_left(outcomes: dict[str, Outcome]) -> None:
    assert "No such file" in outcomes["left"].output
    assert set(outcomes) == {*CASES, "left"}
