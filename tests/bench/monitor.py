"""A monitor beside conmon: memory, wake-ups while idle, and processor time of 1 MB/s of log lines.

Both watch the same container, made by our runtime, and log to a file: the monitor in Docker's json-file form, conmon in
its k8s-file form. Debian's conmon is unpacked privately; without it the monitor is measured alone.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import proportional_set_size
from tests.bench.private import TOOLS
from tests.integration.runtime.harness import PROGRAM, Bundle
from wherry.containers import monitor_client
from wherry.containers.log_options import LogSettings
from wherry.containers.monitor_client import MonitorClient, MonitorOptions

IDLE_SECONDS = 3.0
BUSY_SECONDS = 5.0
SETTLE_SECONDS = 1.0
WAIT_SECONDS = 20.0
MONITOR = PROGRAM.parent / "wherry-monitor"
ID = "measured"


@dataclass(frozen=True)
class Figures:
    """``pss`` in bytes, ``wakeups`` while idle, ``share`` of a core in per cent while the container writes."""

    name: str
    pss: int
    wakeups: int
    share: float


def main() -> None:
    """Prints the figures of both."""
    ours, *others = [measure("wherry-monitor"), *([measure("conmon")] if (TOOLS / "conmon").exists() else [])]
    print(f"\nmonitor: idle for {IDLE_SECONDS:.0f} s, then 1 MB/s of log lines for {BUSY_SECONDS:.0f} s")
    for one in (ours, *others):
        pss, share = one.pss / 1024, one.share
        print(f"  {one.name:<16}{pss:6.0f} KiB PSS   {one.wakeups:3d} wake-ups idle   {share:6.2f} % of a core busy")
    for one in others:
        print(f"  ratio to {one.name}: PSS {ours.pss / one.pss:.2f}, processor time {ours.share / one.share:.2f}")


def measure(name: str) -> Figures:
    """Runs one of them with a container that waits, then writes, and looks at it from outside."""
    with tempfile.TemporaryDirectory(prefix="wbench", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        bundle = Bundle(place / "bundle", f"/wherrybench{os.getpid()}")
        source = Path(__file__).with_name("writer.c")
        subprocess.run(["cc", "-O2", "-static", "-o", bundle.rootfs / "writer", source], check=True)
        bundle.process["args"] = ["/writer"]
        bundle.write()
        pid = _conmon(place, bundle) if name == "conmon" else asyncio.run(_ours(place, bundle))
        try:
            return _look(name, pid, bundle.rootfs / "go")
        finally:
            subprocess.run([*_runtime(place), "kill", ID, "KILL"], check=False)
            _until(lambda: not _is_alive(pid))
            subprocess.run([*_runtime(place), "delete", "--force", ID], check=False)


def _runtime(place: Path) -> list[str | Path]:
    return [PROGRAM, "--root", place / "root"]


async def _ours(place: Path, bundle: Bundle) -> int:
    """The pid of a monitor whose container runs."""
    options = MonitorOptions(
        program=MONITOR, container_id=ID, bundle=bundle.path, runtime=PROGRAM, runtime_root=place / "root",
        state_dir=place / "state", log=LogSettings("json-file", place / "log"),
    )  # fmt: skip
    await asyncio.to_thread(monitor_client.spawn, options)
    client = await MonitorClient.connect(options.state_dir / "monitor.sock")
    state = await client.start()
    await client.close()
    return state.monitor_pid


def _conmon(place: Path, bundle: Bundle) -> int:
    """The same of conmon."""
    pid_file = place / "conmon.pid"
    argv = [
        TOOLS / "conmon", "--cid", ID, "--cuuid", ID, "--runtime", PROGRAM, "--runtime-arg=--root",
        f"--runtime-arg={place / 'root'}", "--bundle", bundle.path, "--conmon-pidfile", pid_file,
        "--container-pidfile", place / "pid", "--log-path", f"k8s-file:{place / 'log'}",
        "--socket-dir-path", place, "--exit-dir", place,
    ]  # fmt: skip
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: (place / "pid").exists() and bool((place / "pid").read_text()))
    subprocess.run([*_runtime(place), "start", ID], check=True)
    return int(pid_file.read_text())


def _look(name: str, pid: int, go: Path) -> Figures:
    time.sleep(SETTLE_SECONDS)
    switches = _switches(pid)
    time.sleep(IDLE_SECONDS)
    wakeups, pss = _switches(pid) - switches, proportional_set_size(pid)
    go.touch()
    time.sleep(SETTLE_SECONDS)
    ticks, begun = _ticks(pid), time.monotonic()
    time.sleep(BUSY_SECONDS)
    seconds = (_ticks(pid) - ticks) / os.sysconf("SC_CLK_TCK")
    return Figures(name, pss, wakeups, 100 * seconds / (time.monotonic() - begun))


def _switches(pid: int) -> int:
    """How often the process went to sleep by itself (proc(5))."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("voluntary_ctxt_switches")))


def _ticks(pid: int) -> int:
    """Processor time in clock ticks, user and system (proc_pid_stat(5), fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("the monitor or its container is not as expected")
        time.sleep(0.01)
