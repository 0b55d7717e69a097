"""Exec sessions outlive their agent: what it knew of them the next one knows, and their processes go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.stress.engine_client import Engine, RequestFailed
from tests.integration.stress.inventory import differences
from tests.integration.stress.storm import IMAGE
from tests.integration.support.private_agent import PrivateAgent

DEADLINE_SECONDS = 30.0


async def session_of(engine: Engine, script: str, **more: Any) -> str:
    """A session in the container, not started."""
    wish = {"Cmd": ["sh", "-c", script], "AttachStdout": True, "AttachStderr": True, **more}
    return str((await engine.want("POST", "/containers/house/exec", wish))["Id"])


async def shown(engine: Engine, session: str) -> Any:
    """The session's inspect."""
    return await engine.want("GET", f"/exec/{session}/json")


async def until_ended(engine: Engine, session: str) -> Any:
    """Its inspect when its process has ended."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
    while (state := await shown(engine, session))["Running"]:
        assert asyncio.get_running_loop().time() < deadline, state
        await asyncio.sleep(0.05)
    return state


@pytest.mark.parametrize("crash", [True, False])
async def test_sessions_are_known_to_the_next_agent(host: PrivateAgent, engine: Engine, crash: bool) -> None:
    await engine.create("house", {"Image": IMAGE, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}})
    await engine.want("POST", "/containers/house/start")
    waiting = await session_of(engine, "echo late; exit 4")
    ended = await session_of(engine, "exit 5")
    await engine.hijack(f"/exec/{ended}/start", {})
    going = await session_of(engine, "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); sleep 0.02; done; exit 6")
    await engine.want("POST", f"/exec/{going}/start", {"Detach": True})
    watched = await session_of(engine, "while [ ! -e /stop ]; do echo much $((i++)) >> /seen; sleep 0.02; done; exit 7")
    client = asyncio.create_task(engine.hijack(f"/exec/{watched}/start", {}))
    terminal = await session_of(engine, "while :; do stty size > /size; sleep 0.05; done", Tty=True)
    await engine.want("POST", f"/exec/{terminal}/start", {"Detach": True, "Tty": True})
    over = await session_of(engine, "sleep 0.2; exit 8")
    await engine.want("POST", f"/exec/{over}/start", {"Detach": True})
    before = {one: await shown(engine, one) for one in (waiting, ended, going)}

    await asyncio.sleep(0.1)
    await asyncio.to_thread(host.kill if crash else host.stop)
    await client  # its connection has ended, the process that it looked on has not
    await asyncio.sleep(0.5)
    await asyncio.to_thread(host.start)

    for one, state in before.items():
        assert await shown(engine, one) == state
    assert before[going]["Running"]
    assert (await until_ended(engine, over))["ExitCode"] == 8
    assert set((await engine.want("GET", "/containers/house/json"))["ExecIDs"]) == {going, watched, terminal}
    await engine.want("POST", f"/exec/{terminal}/resize", h=33, w=77)
    deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
    while (await engine.execute("house", "cat", "/size"))[1] != b"33 77\n":
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.05)
    lines = (await engine.execute("house", "wc", "-l", "/seen"))[1]
    await asyncio.sleep(0.3)
    assert (await engine.execute("house", "wc", "-l", "/seen"))[1] != lines
    await engine.execute("house", "touch", "/stop")
    assert (await until_ended(engine, going))["ExitCode"] == 6
    assert (await until_ended(engine, watched))["ExitCode"] == 7
    assert b"late\n" in await engine.hijack(f"/exec/{waiting}/start", {})
    assert (await until_ended(engine, waiting))["ExitCode"] == 4
    with pytest.raises(RequestFailed, match="409"):
        await engine.want("POST", f"/exec/{ended}/start", {"Detach": True})
    await engine.want("DELETE", "/containers/house", force=1)
    assert await differences(host) == []
