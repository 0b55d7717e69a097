"""How a container's processes are scheduled: policy, I/O priority, CPUs; personality and memory policy."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of, wait_until

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root")

IDLE = {"policy": "SCHED_IDLE"}
DEADLINE = {"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 10_000_000, "period": 20_000_000}


def _chrt(pid: int) -> str:
    return subprocess.run(["chrt", "--pid", str(pid)], capture_output=True, text=True, check=True).stdout


def _ionice(pid: int) -> str:
    return subprocess.run(["ionice", "-p", str(pid)], capture_output=True, text=True, check=True).stdout.strip()


def _nice(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[16])


def _detached(runtime: Runtime, tmp_path: Path, **fields: Any) -> int:
    """The number of a further process made of a process file."""
    file = tmp_path / "process.json"
    file.write_text(json.dumps({"args": ["sleep", "1000"], "env": ["PATH=/bin"], "cwd": "/", **fields}))
    runtime("exec", "--detach", "--pid-file", str(tmp_path / "pid"), "--process", str(file), "kept",
            stdout=subprocess.DEVNULL)  # fmt: skip
    return int((tmp_path / "pid").read_text())


@pytest.mark.parametrize(("scheduler", "policy", "nice"), [
    ({"policy": "SCHED_OTHER", "nice": 7}, "SCHED_OTHER", 7),
    ({"policy": "SCHED_OTHER", "nice": -5}, "SCHED_OTHER", -5),
    ({"policy": "SCHED_BATCH", "nice": 3}, "SCHED_BATCH", 3),
    ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, "SCHED_OTHER|SCHED_RESET_ON_FORK", 0),
])  # fmt: skip
def test_a_process_has_the_policy_and_niceness_that_are_asked_for(
    runtime: Runtime, bundle: Bundle, scheduler: dict[str, Any], policy: str, nice: int
) -> None:
    bundle.process["scheduler"] = scheduler
    pid = runtime.start()
    assert f"policy: {policy}\n" in _chrt(pid)
    assert _nice(pid) == nice


def test_the_idle_policy_is_taken_over_by_further_processes_that_say_nothing(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.process["scheduler"] = IDLE
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE"}
    assert "SCHED_IDLE" in _chrt(runtime.start())
    further = _detached(runtime, tmp_path)
    assert "SCHED_IDLE" in _chrt(further)
    assert _ionice(further) == "idle"


def test_a_further_process_has_a_policy_of_its_own(runtime: Runtime, tmp_path: Path) -> None:
    pid = runtime.start()
    further = _detached(runtime, tmp_path, scheduler=IDLE, ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 7})
    assert "SCHED_OTHER" in _chrt(pid)
    assert "SCHED_IDLE" in _chrt(further)
    assert _ionice(further) == "best-effort: prio 7"


def test_a_process_with_a_deadline_has_all_three_times(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["scheduler"] = DEADLINE
    bundle.process["args"] = ["sleep", "1000"]
    runtime.create()
    pid = runtime.state()["pid"]
    assert "runtime/deadline/period parameters: 1000000/10000000/20000000" in _chrt(pid)
    runtime("start", "kept")
    wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", "the program does not run")


@pytest.mark.parametrize("policy", ["SCHED_FIFO", "SCHED_RR"])
def test_a_realtime_policy_is_the_kernels_to_grant(runtime: Runtime, bundle: Bundle, policy: str) -> None:
    bundle.process["scheduler"] = {"policy": policy, "priority": 12}
    bundle.shell("sleep 1000")
    done = runtime.create(check=False)
    if done.returncode == 0:
        text = _chrt(runtime.state()["pid"])
        assert f"policy: {policy}\n" in text
        assert "priority: 12" in text
    else:  # a v1 cpu group has no realtime budget unless each of its parents gives it some
        assert "set process.scheduler: Operation not permitted" in done.stderr
        assert "linux.resources.cpu.realtimeRuntime" in done.stderr


@pytest.mark.parametrize(("priority", "told"), [
    ({"class": "IOPRIO_CLASS_RT", "priority": 3}, "realtime: prio 3"),
    ({"class": "IOPRIO_CLASS_BE", "priority": 6}, "best-effort: prio 6"),
    ({"class": "IOPRIO_CLASS_BE"}, "best-effort: prio 0"),
    ({"class": "IOPRIO_CLASS_IDLE", "priority": 0}, "idle"),
])  # fmt: skip
def test_a_process_has_the_io_priority_that_is_asked_for(
    runtime: Runtime, bundle: Bundle, priority: dict[str, Any], told: str
) -> None:
    bundle.process["ioPriority"] = priority
    assert _ionice(runtime.start()) == told


def test_priorities_are_given_to_a_process_in_a_user_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.process["scheduler"] = {"policy": "SCHED_OTHER", "nice": -9}
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_RT", "priority": 1}
    pid = runtime.start()
    assert namespace_of(pid, "user") != namespace_of("self", "user")
    assert _nice(pid) == -9
    assert _ionice(pid) == "realtime: prio 1"


@pytest.mark.parametrize(("affinity", "cpus"), [
    ({"final": "1"}, {1}),
    ({"initial": "0", "final": "1"}, {1}),
    ({"initial": "0"}, os.sched_getaffinity(0)),
    ({"initial": "", "final": ""}, os.sched_getaffinity(0)),
    ({"final": " 0 - 1 , 1 "}, {0, 1}),
])  # fmt: skip
@pytest.mark.skipif(os.sched_getaffinity(0) != {0, 1}, reason="counts on two CPUs")
def test_a_further_process_runs_on_the_cpus_that_are_asked_for(
    runtime: Runtime, tmp_path: Path, affinity: dict[str, str], cpus: set[int]
) -> None:
    pid = runtime.start()
    assert os.sched_getaffinity(_detached(runtime, tmp_path, execCPUAffinity=affinity)) == cpus
    assert os.sched_getaffinity(pid) == os.sched_getaffinity(0)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_a_further_process_begins_on_the_initial_cpus(runtime: Runtime, tmp_path: Path) -> None:
    runtime.start()
    script = "grep Cpus_allowed_list /proc/self/status"
    done = runtime("exec", "--process", _file(tmp_path, script, {"initial": "1", "final": "0"}), "kept")
    assert done.stdout.split()[1] == "0"


def _file(tmp_path: Path, script: str, affinity: dict[str, str]) -> str:
    path = tmp_path / "affinity.json"
    process = {"args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/", "execCPUAffinity": affinity}
    path.write_text(json.dumps(process))
    return str(path)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_the_cpus_of_exec_are_the_containers_own_when_the_file_says_nothing(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.process["execCPUAffinity"] = {"final": "1"}
    pid = runtime.start()
    assert os.sched_getaffinity(pid) == os.sched_getaffinity(0), "it is for further processes only"
    assert os.sched_getaffinity(_detached(runtime, tmp_path)) == {1}
    assert runtime("exec", "kept", "grep", "Cpus_allowed_list", "/proc/self/status").stdout.split()[1] == "1"


@pytest.mark.parametrize("key", ["initial", "final"])
def test_cpus_that_are_not_there_are_told(runtime: Runtime, tmp_path: Path, key: str) -> None:
    runtime.start()
    done = runtime("exec", "--process", _file(tmp_path, "true", {key: "4000"}), "kept", check=False)
    assert f"process.execCPUAffinity.{key}: none of these CPUs" in done.stderr


def test_the_personality_shows_another_machine_to_all_processes(runtime: Runtime, bundle: Bundle) -> None:
    machine = os.uname().machine
    shown = {"x86_64": "i686", "aarch64": "armv8l"}
    if machine not in shown:
        pytest.skip(f"what {machine} is called by LINUX32 is not known here")
    bundle.linux["personality"] = {"domain": "LINUX32", "flags": []}
    runtime.start("uname -m; sleep 1000")
    wait_until(runtime.text, "the program does not run")
    assert runtime.text().strip() == shown[machine]
    assert runtime("exec", "kept", "uname", "-m").stdout.strip() == shown[machine]
    bundle.linux["personality"] = {"domain": "LINUX"}
    bundle.linux["cgroupsPath"] += "-second"
    assert runtime.output("uname -m") == machine


@pytest.mark.parametrize(("policy", "told"), [
    ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
    ({"mode": "MPOL_INTERLEAVE", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}, "interleave=static:0"),
    ({"mode": "MPOL_PREFERRED", "nodes": "0", "flags": ["MPOL_F_RELATIVE_NODES"]}, "prefer=relative:0"),
    ({"mode": "MPOL_PREFERRED"}, "local"),
    ({"mode": "MPOL_LOCAL", "nodes": ""}, "local"),
    ({"mode": "MPOL_DEFAULT"}, "default"),
])  # fmt: skip
def test_memory_is_taken_from_the_nodes_that_are_asked_for(
    runtime: Runtime, bundle: Bundle, policy: dict[str, Any], told: str
) -> None:
    if not Path("/proc/self/numa_maps").exists():
        pytest.skip("the kernel has no memory policies")
    bundle.linux["memoryPolicy"] = policy
    runtime.start("head -n 1 /proc/self/numa_maps; sleep 1000")
    wait_until(runtime.text, "the program does not run")
    assert runtime.text().split()[1] == told
    assert runtime("exec", "kept", "head", "-n", "1", "/proc/self/numa_maps").stdout.split()[1] == told


def test_a_memory_policy_that_the_kernel_cannot_apply_is_told(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["memoryPolicy"] = {"mode": "MPOL_BIND", "nodes": "900"}
    assert "set linux.memoryPolicy: Invalid argument" in runtime.create(check=False).stderr


REFUSED: list[tuple[str, object, str]] = [
    ("process.ioPriority", {}, "process.ioPriority.class: must be set"),
    ("process.ioPriority", {"class": "BE"},
     'ioPriority.class: "BE": must be IOPRIO_CLASS_RT, IOPRIO_CLASS_BE or IOPRIO_CLASS_IDLE'),
    ("process.ioPriority", {"class": "IOPRIO_CLASS_BE", "priority": 8}, "ioPriority.priority: 8: must be an integer"),
    ("process.scheduler", {}, "process.scheduler.policy: must be set"),
    ("process.scheduler", {"policy": "SCHED_ODD"}, 'scheduler.policy: "SCHED_ODD": must be SCHED_OTHER'),
    ("process.scheduler", {"policy": "SCHED_ISO"}, "SCHED_ISO: not supported"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "nice": 20}, "scheduler.nice: 20"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "priority": 1}, "scheduler.priority: 1: must be 0"),
    ("process.scheduler", {"policy": "SCHED_FIFO"}, "scheduler.priority: must be from 1 to 99"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "runtime": 5}, "only for SCHED_DEADLINE"),
    ("process.scheduler", {**DEADLINE, "runtime": 10_000_001}, "runtime <= deadline <= period"),
    ("process.scheduler", {**DEADLINE, "runtime": 1000}, "1024 <= runtime"),
    ("process.scheduler", {**DEADLINE, "runtime": -1}, "scheduler.runtime: -1"),
    ("process.scheduler", {"policy": "SCHED_OTHER", "flags": ["ODD"]}, 'scheduler.flags[0]: "ODD": must be'),
    ("process.execCPUAffinity", {"initial": "a"}, 'execCPUAffinity.initial: "a": must be numbers'),
    ("process.execCPUAffinity", {"final": "3-1"}, 'execCPUAffinity.final: "3-1"'),
    ("process.execCPUAffinity", {"final": "1,"}, 'execCPUAffinity.final: "1,"'),
    ("process.execCPUAffinity", {"final": "8192"}, "numbers below 8192"),
    ("linux.personality", {}, "linux.personality.domain: must be set"),
    ("linux.personality", {"domain": "BSD"}, 'linux.personality.domain: "BSD": must be LINUX or LINUX32'),
    ("linux.personality", {"domain": "LINUX", "flags": ["X"]}, "linux.personality.flags[0]: X: not supported"),
    ("linux.memoryPolicy", {}, "linux.memoryPolicy.mode: must be set"),
    ("linux.memoryPolicy", {"mode": "X"}, 'linux.memoryPolicy.mode: "X": must be MPOL_DEFAULT'),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND"}, "linux.memoryPolicy.nodes: must be set"),
    ("linux.memoryPolicy", {"mode": "MPOL_LOCAL", "nodes": "0"}, "linux.memoryPolicy.nodes: must be empty"),
    ("linux.memoryPolicy", {"mode": "MPOL_BIND", "nodes": "0", "flags": [5]}, "Policy.flags[0]: must be a string"),
    ("linux.memoryPolicy",
     {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]},
     "exclude each other"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_what_makes_no_sense_is_refused_by_name(
    runtime: Runtime, bundle: Bundle, path: str, value: object, message: str
) -> None:
    parent, field = path.split(".")
    bundle.config[parent][field] = value
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (runtime.root / "kept").exists()


def test_a_deadline_and_hooks_that_the_process_would_clone_exclude_each_other(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["scheduler"] = DEADLINE
    bundle.config["hooks"] = {"startContainer": [{"path": "/bin/true"}]}
    assert "SCHED_FLAG_RESET_ON_FORK" in runtime.create(check=False).stderr
    bundle.process["scheduler"] = {**DEADLINE, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}
    bundle.process["args"] = ["true"]
    runtime.create()
    runtime("start", "kept")
    wait_until(lambda: runtime.state()["status"] == "stopped", "it does not stop")
