"""A runtime, a monitor or an agent that is killed in the middle of anything: what is left can be taken away whole."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.monitor.harness import MONITOR, Watched, until
from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, cgroup_directories, wait_until
from tests.integration.support.private_agent import PrivateAgent

THOROUGH = bool(os.environ.get("WHERRY_CRASH_EVERYWHERE"))
"""Set for the long form: every system call of the runtime instead of some (scripts/fuzz does)."""
STEP = 1 if THOROUGH else 9
AGENT_KILLS = 30 if THOROUGH else 10
MONITOR_KILLS = 60 if THOROUGH else 12
STRACE = shutil.which("strace") or ""
QUIET: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL) | {"timeout": 30}

pytestmark = pytest.mark.skipif(not STRACE, reason="strace is not installed")


def mounts() -> str:
    """Of the machine."""
    return Path("/proc/self/mountinfo").read_text()


def processes_of(group: str) -> list[str]:
    """In the groups of a container, in any hierarchy."""
    return [pid for path in cgroup_directories(group) for pid in (path / "cgroup.procs").read_text().split()]


def calls_of(command: list[str], trace: Path) -> list[str]:
    """The names of the program's system calls, of its first process alone, in their order."""
    subprocess.run([STRACE, "-o", str(trace), *command], **QUIET, check=True)
    return [name for line in trace.read_text().splitlines() if (name := line.partition("(")[0]).isidentifier()]


def everywhere(command: Callable[[], list[str]], check: Callable[[], None], trace: Path) -> int:
    """Kills the program as it enters each of its system calls, or some, with ``check`` after each; how many deaths."""
    calls = calls_of(command(), trace)
    check()
    places = range(random.randrange(STEP), len(calls), STEP)
    for place in places:
        number = calls[: place + 1].count(calls[place])
        inject = f"inject={calls[place]}:signal=KILL:when={number}"
        done = subprocess.run([STRACE, "-o", "/dev/null", "-e", inject, *command()], **QUIET, check=False)
        assert done.returncode in {-9, 137, 0}, f"{calls[place]} {number}: {done.returncode}"
        check()
    return len(places)


@pytest.fixture
def rich(bundle: Bundle) -> Bundle:
    """A bundle with something of everything that a container is made of."""
    bundle.linux["resources"] = {"memory": {"limit": 64 << 20}, "pids": {"limit": 50}}
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    bundle.mount("/data", str(bundle.path))
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]}
    bundle.shell("sleep 1000")
    bundle.write()
    return bundle


def test_a_runtime_that_is_killed_while_it_creates_leaves_nothing_that_delete_does_not_take(
    runtime: Runtime, rich: Bundle, cgroup: str, tmp_path: Path
) -> None:
    before = mounts()

    def check() -> None:
        runtime("delete", "--force", "kept")
        wait_until(lambda: processes_of(cgroup) == [], "a process is left")
        assert cgroup_directories(cgroup) == []
        assert [path.name for path in runtime.root.glob("*") if path.name != ".seccomp"] == []
        assert mounts() == before

    deaths = everywhere(lambda: runtime.command("create", "-b", str(rich.path), "kept"), check, tmp_path / "trace")
    assert deaths > 150 // STEP


def test_a_runtime_that_is_killed_while_it_starts_leaves_a_container_that_is_one_or_the_other(
    runtime: Runtime, rich: Bundle, tmp_path: Path
) -> None:
    def command() -> list[str]:
        runtime("delete", "--force", "kept")
        runtime.create()
        return runtime.command("start", "kept")

    def check() -> None:
        # Waiting, running, or ended because nobody can start it any more; and no start is taken for a success twice.
        status = runtime.state()["status"]
        assert status in {"created", "running", "stopped"}
        assert (runtime("start", "kept", check=False).returncode == 0) == (status == "created")

    assert everywhere(command, check, tmp_path / "trace") > 20 // STEP


def test_a_runtime_that_is_killed_while_it_deletes_can_be_asked_again(
    runtime: Runtime, rich: Bundle, cgroup: str, tmp_path: Path
) -> None:
    def command() -> list[str]:
        runtime("delete", "--force", "kept")
        runtime.start()
        return runtime.command("delete", "--force", "kept")

    def check() -> None:
        runtime("delete", "--force", "kept")
        assert "does not exist" in runtime("state", "kept", check=False).stderr
        assert cgroup_directories(cgroup) == []

    assert everywhere(command, check, tmp_path / "trace") > 50 // STEP


def test_a_runtime_that_is_killed_while_it_joins_leaves_no_process(
    runtime: Runtime, rich: Bundle, cgroup: str, tmp_path: Path
) -> None:
    pid = runtime.start()

    def check() -> None:
        # Either it has been let go, and runs its program to the end, or it ends with the runtime.
        wait_until(lambda: set(processes_of(cgroup)) == {str(pid)}, "a half-made process is left")
        assert runtime.state()["status"] == "running"

    assert everywhere(lambda: runtime.command("exec", "kept", "true"), check, tmp_path / "trace") > 80 // STEP


async def test_a_monitor_that_is_killed_at_any_time_leaves_what_delete_takes(watched: Watched, cgroup: str) -> None:
    """Killed between its start and the container's end; the runtime then takes away the rest."""
    watched.bundle.shell("sleep 0.05")
    watched.bundle.write()
    before = mounts()
    took = 0.0
    for number in range(MONITOR_KILLS):
        shutil.rmtree(watched.options.state_dir, ignore_errors=True)
        watched.options.state_dir.mkdir()
        read, write = os.pipe()
        began = time.monotonic()
        starter = subprocess.Popen(watched.options.arguments(write), pass_fds=[write], stdin=subprocess.DEVNULL)
        os.close(write)
        monitor = await asyncio.to_thread(_monitor_of, cgroup, starter.pid, str(watched.options.state_dir))
        await asyncio.sleep(took * number / MONITOR_KILLS)
        if monitor is not None:
            os.kill(monitor, signal.SIGKILL)
        answer = await asyncio.to_thread(os.read, read, 4096)
        os.close(read)
        starter.wait()
        if not took:
            took = max(time.monotonic() - began, 0.03)
        assert answer == b"" or answer.startswith(b"{")
        await asyncio.to_thread(
            subprocess.run,
            [str(watched.options.runtime), "--root", str(watched.options.runtime_root), "delete", "--force", "watched"],
            check=True,
        )
        await until(lambda: processes_of(cgroup) == [])
        assert cgroup_directories(cgroup) == []
        assert mounts() == before
    shutil.rmtree(watched.options.state_dir)


def _monitor_of(cgroup: str, starter: int, state_dir: str) -> int | None:
    """The process that has detached from its starter."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        for entry in Path("/proc").iterdir():
            try:
                command = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
            except OSError:
                continue
            ours = command.startswith(str(MONITOR).encode()) and state_dir.encode() in command
            if ours and int(entry.name) != starter:
                return int(entry.name)
    return None


def test_an_agent_that_is_killed_in_the_middle_settles_everything_at_its_next_start(
    own_agent: PrivateAgent, own_busybox: str
) -> None:
    """The fixture fails when a mount, link, namespace, group, process or directory is left in the end."""
    random.seed(47)
    acts = (
        ("run", "--detach", "--name", "one", "--memory", "64m", "-v", "data:/data", own_busybox, "sleep", "1000"),
        ("restart", "--time", "0", "one"),
        ("rm", "--force", "one"),
    )
    for number in range(AGENT_KILLS):
        act = acts[number % len(acts)]
        if act[0] == "run":
            own_agent.docker("rm", "--force", "one", check=False)
        elif own_agent.docker("inspect", "one", check=False).returncode != 0:
            own_agent.docker(*acts[0])
        client = subprocess.Popen(
            own_agent.enter(["docker", *act]), env=own_agent.environment(), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(random.random() * 0.4)
        own_agent.kill()
        client.wait()
        own_agent.start()
        # A removal that was cut short is finished while the agent already answers.
        wait_until(lambda: "removing" not in _states(own_agent), "a removal is not finished")
        assert set(_states(own_agent)) <= {"created", "running", "exited"}
    own_agent.docker("rm", "--force", "one", check=False)
    assert [path for path in CGROUPS.glob(f"*/{own_agent.instance}/*") if path.is_dir()] == []
    own_agent.docker("volume", "rm", "data", check=False)


def _states(agent: PrivateAgent) -> list[str]:
    return agent.out("ps", "--all", "--format", "{{.State}}").splitlines()
