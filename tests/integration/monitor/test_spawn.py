"""What starts a process shares its memory with it until the program is executed: a large caller pays nothing more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.monitor.harness import MONITOR
from tests.integration.runtime.harness import PROGRAM, Bundle

SCRIPT = """
import asyncio, sys
from pathlib import Path
from wherry.containers.monitor_client import MonitorClient, MonitorOptions, spawn

async def quit(socket):
    client = await MonitorClient.connect(socket)
    await client.quit()
    await client.close()

monitor, runtime, bundle, place = map(Path, sys.argv[1:])
spawn(MonitorOptions(program=monitor, container_id="spawned", bundle=bundle, runtime=runtime,
                     runtime_root=place / "root", state_dir=place / "state"))
asyncio.run(quit(place / "state" / "monitor.sock"))
"""
# "12 vfork( <unfinished ...>", "12 <... vfork resumed>) = 13", "12 clone3({flags=CLONE_VM|CLONE_VFORK...}, 88) = 13"
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(fork|vfork|clone3?|execve)(?:\((.*)| resumed>(.*))$")


def test_neither_agent_nor_monitor_copies_its_memory_to_start_a_program(bundle: Bundle, tmp_path: Path) -> None:
    """fork(2) copies the page tables: 100 ms of a caller of 1 GiB, where vfork(2) and CLONE_VM take one."""
    bundle.process["args"] = ["true"]
    bundle.write()
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", trace, "-e", "trace=fork,vfork,clone,clone3,execve", sys.executable, "-c", SCRIPT,
         MONITOR, PROGRAM, bundle.path, tmp_path],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    begun: dict[str, str] = {}
    shares: dict[str, bool] = {}
    executed: list[tuple[str, str]] = []
    for line in trace.read_text().splitlines():
        found = CALL.match(line)
        if not found:
            continue
        pid, call, arguments, rest = found.groups()
        text = arguments if arguments is not None else begun.pop(pid, "") + rest
        if text.endswith("<unfinished ...>"):
            begun[pid] = text
        elif call == "execve":
            program = text.split('"')[1]
            # The runtime's program is a copy in memory, named by its descriptor.
            is_copy = program.startswith("/proc/self/fd/")
            executed.append(("wherry-runtime" if is_copy else Path(program).name, pid))
        elif made := re.search(r"= (\d+)$", text):
            shares[made.group(1)] = call == "vfork" or "CLONE_VM" in text
    # A process can be seen to execute before its making is seen to have ended.
    monitors = [shares[pid] for program, pid in executed if program == "wherry-monitor" and pid in shares]
    runtimes = [shares[pid] for program, pid in executed if program == "wherry-runtime" and pid in shares]
    # The runtime: create, and delete.
    assert monitors == [True]
    assert len(runtimes) >= 2
    assert all(runtimes)
