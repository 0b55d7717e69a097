"""Two hundred clients at once: every output and exit code is right, nothing is lost, nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.stress.engine_client import Engine, apart
from tests.integration.stress.inventory import differences
from tests.integration.stress.storm import IMAGE, Storm, clear
from tests.integration.support.private_agent import PrivateAgent

CLIENTS = int(os.environ.get("WHERRY_STRESS_CLIENTS") or 200)
SECONDS = 300.0
"""More than any machine takes: what is not done by then waits for something that will not come."""
STORM_CLIENTS, STORM_ACTS = 40, 15
SETTLED_THREADS = 40
"""Those for calls that block (32), the loop's own, and a few of the C core's that are about to end."""


async def whole_life(engine: Engine, number: int, ids: dict[str, int]) -> None:
    """One client: a container of its own from its making to its removal, and all that it says on the way."""
    name, code = f"many{number}", number % 100
    script = f"echo first {number}; echo error {number} >&2; read line; echo got $line; exit {code}"
    host: dict[str, Any] = {"NetworkMode": "none" if number % 4 else "bridge"}
    if number % 5 == 0:
        host["Binds"] = [f"store{number}:/data"]
    body = {"Image": IMAGE, "Cmd": ["sh", "-c", script], "OpenStdin": True, "StdinOnce": True, "HostConfig": host}
    identity = await engine.create(name, body)
    ids[identity] = number
    await engine.want("POST", f"/containers/{name}/start")
    said = await engine.execute(name, "sh", "-c", f"echo within {number}; echo aside {number} >&2; exit {code}")
    assert said == (code, f"within {number}\n".encode(), f"aside {number}\n".encode())
    waiting = asyncio.create_task(engine.want("POST", f"/containers/{name}/wait"))
    shown = await engine.want("GET", f"/containers/{identity[:20]}/json")
    assert (shown["Name"], shown["State"]["Running"]) == (f"/{name}", True)
    await engine.hijack(f"/containers/{name}/attach", None, f"line {number}\n".encode(), stream=1, stdin=1, stdout=1)
    assert (await waiting)["StatusCode"] == code
    logs = await engine.ask("GET", f"/containers/{name}/logs", stdout=1, stderr=1)
    assert apart(logs.body) == (f"first {number}\ngot line {number}\n".encode(), f"error {number}\n".encode())
    assert (await engine.want("GET", f"/containers/{name}/json"))["State"]["ExitCode"] == code
    await engine.want("DELETE", f"/containers/{name}")
    if number % 5 == 0:
        await engine.want("DELETE", f"/volumes/store{number}")


async def events_of(engine: Engine, since: float) -> Counter[tuple[str, str]]:
    """How often each container had which event."""
    answer = await engine.ask("GET", "/events", since=f"{since:.9f}", until=f"{time.time():.9f}")
    events = [json.loads(line) for line in answer.body.splitlines()]
    return Counter((one["Actor"]["ID"], one["Action"]) for one in events if one["Type"] == "container")


async def test_two_hundred_clients_lose_nothing(host: PrivateAgent, engine: Engine) -> None:
    began = time.time()
    ids: dict[str, int] = {}
    await asyncio.wait_for(asyncio.gather(*(whole_life(engine, number, ids) for number in range(CLIENTS))), SECONDS)
    assert len(ids) == CLIENTS
    assert await engine.want("GET", "/containers/json", all=1) == []
    assert await differences(host) == []
    seen = await events_of(engine, began)
    for identity in ids:
        for action in ("create", "start", "die", "destroy"):
            assert seen[identity, action] == 1, (action, seen[identity, action])
    print(f"{CLIENTS} clients, {time.time() - began:.0f} s")


async def test_clients_that_meet_at_the_same_objects_leave_a_working_agent(
    host: PrivateAgent, engine: Engine, seed: int
) -> None:
    storm = Storm(engine, seed)
    await asyncio.wait_for(storm.run(STORM_CLIENTS, rounds=STORM_ACTS), SECONDS)
    assert storm.unexpected == [], seed
    assert await differences(host) == [], seed
    await clear(engine)
    assert await differences(host) == [], seed
    await whole_life(engine, 1, {})


def proportional_memory(pid: int) -> int:
    """Bytes of a process's own and its share of what it shares (proc(5), smaps_rollup, Pss)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


async def cycles(engine: Engine, count: int) -> None:
    """Containers made and removed, each with a volume; some of them run."""
    body = {"Image": IMAGE, "Cmd": ["true"], "Volumes": {"/data": {}}, "HostConfig": {"NetworkMode": "none"}}
    gate = asyncio.Semaphore(8)

    async def cycle(number: int) -> None:
        async with gate:
            identity = await engine.create(f"cycle{number}", body)
            if number % 10 == 0:
                await engine.want("POST", f"/containers/{identity}/start")
                await engine.want("POST", f"/containers/{identity}/wait")
            await engine.want("DELETE", f"/containers/{identity}", v=1)

    await asyncio.gather(*(cycle(number) for number in range(count)))


async def test_memory_and_threads_do_not_grow_with_containers_that_have_been(
    host: PrivateAgent, engine: Engine
) -> None:
    await cycles(engine, 150)  # what is made once, and the heap's high-water mark
    before = proportional_memory(host.pid)
    await cycles(engine, 500)
    grown = proportional_memory(host.pid) - before
    threads = len(list(Path(f"/proc/{host.pid}/task").iterdir()))
    print(f"{before >> 10} KiB, grown by {grown >> 10} KiB; {threads} threads")
    assert grown < 500 * 4096, "some KiB stay for each container that has been"
    assert threads <= SETTLED_THREADS
    assert await differences(host) == []
