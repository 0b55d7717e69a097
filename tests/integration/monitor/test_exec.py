"""Further processes in a running container, each under a monitor of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from tests.integration.monitor.harness import Watched, alive, all_of, states_until, until
from wherry.containers import monitor_client
from wherry.containers.log_options import NO_LOG
from wherry.containers.monitor_client import MonitorClient, MonitorFailure, MonitorOptions


async def _exec(watched: Watched, args: list[str], **changes: Any) -> tuple[MonitorClient, MonitorOptions]:
    directory = watched.place / "exec"
    directory.mkdir()
    process = {**watched.bundle.process, "args": args, "terminal": bool(changes.get("tty"))}
    (directory / "process.json").write_text(json.dumps(process))
    options = replace(
        watched.options, state_dir=directory, log=NO_LOG,
        exec_process=directory / "process.json", exec_id="e1", **changes,
    )  # fmt: skip
    await asyncio.to_thread(monitor_client.spawn, options)
    return await MonitorClient.connect(directory / "monitor.sock"), options


async def test_output_and_exit_code_of_a_further_process(watched: Watched) -> None:
    await (await watched.spawn("sleep 100")).start()
    client, options = await _exec(watched, ["sh", "-c", "echo out; echo err >&2; exit 9"])
    states = await client.subscribe()
    await client.attach(stdin=False, stdout=True, stderr=True)
    await client.start()
    assert sorted([piece async for piece in client.output()]) == [(1, b"out\n"), (2, b"err\n")]
    assert (await states_until(states, "exited")).exit_code == 9
    final = monitor_client.read_state(options.state_dir)
    assert final is not None and final.exit_code == 9
    assert watched.state().status == "running"


async def test_input_typed_before_the_start_is_not_lost(watched: Watched) -> None:
    await (await watched.spawn("sleep 100")).start()
    client, _ = await _exec(watched, ["cat"], stdin=True, stdin_once=True)
    await client.attach(stdin=True, stdout=True, stderr=True)
    await client.write_stdin(b"early\n")
    await client.close_stdin()
    await client.start()
    assert await all_of(client) == b"early\n"


async def test_terminal_of_a_further_process(watched: Watched) -> None:
    await (await watched.spawn("sleep 100")).start()
    client, _ = await _exec(watched, ["sh", "-c", "read x; stty size; echo $x"], tty=True, stdin=True)
    await client.attach(stdin=True, stdout=True, stderr=True)
    await client.resize(20, 70)
    await client.start()
    # As with Docker, the size arrives when the process may already run; what is typed comes after it.
    await client.write_stdin(b"typed\n")
    assert await all_of(client) == b"typed\r\n20 70\r\ntyped\r\n"


async def test_command_that_is_not_there_is_told_with_the_runtimes_message(watched: Watched) -> None:
    await (await watched.spawn("sleep 100")).start()
    client, _ = await _exec(watched, ["/no/such/thing"])
    with pytest.raises(MonitorFailure, match=r"no such file or directory|not found"):
        await client.start()
    assert watched.state().status == "running"


async def test_end_of_the_container_ends_its_further_processes(watched: Watched) -> None:
    container = await watched.spawn("sleep 100")
    await container.start()
    client, _ = await _exec(watched, ["sleep", "100"])
    states = await client.subscribe()
    await client.start()
    await container.signal(9)
    assert (await states_until(states, "exited")).exit_code == 137


async def test_monitor_that_nobody_tells_to_start_ends(watched: Watched) -> None:
    """Its agent was killed after it had made it."""
    await (await watched.spawn("sleep 100")).start()
    client, options = await _exec(watched, ["true"])
    await client.close()
    state = monitor_client.read_state(options.state_dir)
    assert state is not None
    await until(lambda: not alive(state))
    assert watched.state().status == "running"
