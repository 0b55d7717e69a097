"""A container under a real wherry-monitor and wherry-runtime, driven through the agent's own client."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.integration.runtime.harness import PROGRAM, Bundle
from wherry.containers import monitor_client
from wherry.containers.log_options import LogSettings
from wherry.containers.monitor_client import MonitorClient, MonitorOptions, MonitorState

MONITOR = PROGRAM.parent / "wherry-monitor"
SECONDS = 20.0
ID = "watched"


class Watched:
    """One container and its monitor; ``options`` can be replaced before ``spawn``."""

    def __init__(self, bundle: Bundle, place: Path) -> None:
        self.bundle = bundle
        self.place = place
        self.log_path = place / "log.json"
        self.options = MonitorOptions(
            program=MONITOR,
            container_id=ID,
            bundle=bundle.path,
            runtime=PROGRAM,
            runtime_root=place / "root",
            state_dir=place / "state",
            log=LogSettings("json-file", self.log_path),
        )
        self._clients: list[MonitorClient] = []

    def configure(self, **changes: Any) -> None:
        """Changes options of the monitor."""
        self.options = replace(self.options, **changes)

    def configure_log(self, **changes: Any) -> None:
        """Changes options of the log."""
        self.configure(log=replace(self.options.log, **changes))

    async def spawn(self, script: str) -> MonitorClient:
        """Has the container created, and returns a first client."""
        self.bundle.shell(script)
        self.bundle.process["terminal"] = self.options.tty
        self.bundle.write()
        await asyncio.to_thread(monitor_client.spawn, self.options)
        return await self.client()

    async def client(self) -> MonitorClient:
        """One more client."""
        client = await MonitorClient.connect(self.options.state_dir / "monitor.sock")
        self._clients.append(client)
        return client

    async def attached(self, *, stdin: bool = False) -> MonitorClient:
        """One more client, that sees all output from now on."""
        client = await self.client()
        await client.attach(stdin=stdin, stdout=True, stderr=True)
        return client

    async def run(self, script: str) -> tuple[list[tuple[int, bytes]], list[MonitorState]]:
        """Runs a container to its end; returns its output and the states that were reported."""
        client = await self.spawn(script)
        states = await client.subscribe()
        watcher = await self.attached()
        await client.start()
        output = [piece async for piece in watcher.output()]
        return output, [state async for state in states]

    def state(self) -> MonitorState:
        """The record on disk."""
        state = monitor_client.read_state(self.options.state_dir)
        assert state is not None
        return state

    def log(self) -> list[dict[str, str]]:
        """The lines of the log; each must be a JSON object."""
        return [json.loads(line) for line in self.log_path.read_bytes().splitlines()]

    async def close(self) -> None:
        """Ends what still runs, and waits until its monitor has gone."""
        for client in self._clients:
            await client.close()
        state = monitor_client.read_state(self.options.state_dir)
        if state is None or not alive(state):
            return
        with contextlib.suppress(Exception):
            client = await self.client()
            await client.stopping(True)
            with contextlib.suppress(Exception):
                await client.signal(signal.SIGKILL)
            with contextlib.suppress(Exception):
                await client.quit()
            await client.close()
        await until(lambda: not alive(state))


def alive(state: MonitorState) -> bool:
    """Whether the monitor that wrote the record still runs."""
    try:
        fields = Path(f"/proc/{state.monitor_pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] != "Z" and int(fields[19]) == state.monitor_start


async def until(condition: Any) -> None:
    """Waits for something that must become true."""
    for _ in range(int(SECONDS * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not become true in time")


async def all_of(client: MonitorClient, stream: int | None = None) -> bytes:
    """All output of a client until the container ends, of one stream or of both."""
    pieces = [data async for number, data in client.output() if stream in (None, number)]
    return b"".join(pieces)


async def states_until(states: AsyncIterator[MonitorState], status: str) -> MonitorState:
    """The first report of that status."""
    async for state in states:
        if state.status == status:
            return state
    raise AssertionError(f"the monitor ended before it was {status}")


def pss(pid: int) -> int:
    """Proportional set size in bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))) * 1024


def switches(pid: int) -> int:
    """How often the process went to sleep by itself."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("voluntary_ctxt_switches")))


def descriptors(pid: int) -> int:
    """How many files the process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
