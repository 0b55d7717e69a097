"""An agent that is killed over and over in the middle of everything: nothing leaks, is lost, or is hurt."""

from __future__ import annotations

import asyncio
import io
import os
import random
import tarfile
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.stress.engine_client import Engine
from tests.integration.stress.inventory import FIRST_PORT, differences
from tests.integration.stress.storm import IMAGE, Storm, clear
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry

KILLS = int(os.environ.get("WHERRY_STRESS_KILLS") or 40)
"""Of one run of the suite; each has another seed. Whoever changes what a death can cut short runs hundreds."""
SECONDS = 170.0
"""The end on a machine that is too busy for all of them; on a quiet one they take half of that."""
CLIENTS = 8
STORM_SECONDS = 0.5
REGISTRY_PORT = 5000
PULLED = f"127.0.0.1:{REGISTRY_PORT}/pulled:latest"
WEB_PORT = FIRST_PORT + 100
KEEP = {"keep": "1"}
TICKER = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done"
WEB = "mkdir -p /www; echo page > /www/index.html; exec httpd -f -p 80 -h /www"
THIRD_TIME = "echo run >> /runs; [ $(wc -l < /runs) -gt 2 ] || exit 4; exec sleep 1000"


def bystander(script: str, **more: Any) -> dict[str, Any]:
    """A container that has nothing to do with what goes on."""
    host = {"NetworkMode": "none", **more.pop("HostConfig", {})}
    return {"Image": IMAGE, "Cmd": ["sh", "-c", script], "Labels": KEEP, "HostConfig": host, **more}


BYSTANDERS = {
    "ticker": bystander(TICKER),
    "web": bystander(
        WEB,
        HostConfig={"NetworkMode": "bridge", "PortBindings": {"80/tcp": [{"HostPort": str(WEB_PORT)}]}},
        ExposedPorts={"80/tcp": {}},
    ),
    "restarted": bystander(THIRD_TIME, HostConfig={"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 5}}),
    "healthy": bystander("exec sleep 1000", Healthcheck={"Test": ["CMD", "true"], "Interval": 300_000_000}),
    "paused": bystander("exec sleep 1000"),
    "exhausted": bystander("exec tail /dev/zero", HostConfig={"Memory": 8 << 20, "MemorySwap": 8 << 20}),
    "ended": bystander("exit 3"),
}


async def states(engine: Engine) -> dict[str, Any]:
    """What is to be the same after every death of the agent."""
    seen = {}
    for name in BYSTANDERS:
        shown = await engine.want("GET", f"/containers/{name}/json")
        state = shown["State"]
        facts = ("Status", "Pid", "ExitCode", "OOMKilled", "StartedAt", "FinishedAt", "Error")
        seen[name] = {fact: state[fact] for fact in facts} | {"RestartCount": shown["RestartCount"]}
        if state.get("Health"):
            seen[name]["Health"] = state["Health"]["Status"]
    return seen


def changes(seen: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """What differs, in words."""
    return [
        f"{name}: {fact} was {value}, is {seen[name].get(fact)}"
        for name, facts in before.items()
        for fact, value in facts.items()
        if seen[name].get(fact) != value
    ]


async def until(engine: Engine, **wanted: Any) -> None:
    """Waits until the bystanders are in the states that their stories lead to."""
    deadline = time.monotonic() + 60
    while True:
        seen = await states(engine)
        if all(value.items() <= seen[name].items() for name, value in wanted.items()):
            return
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.1)


def image_archive(host: PrivateAgent) -> bytes:
    """``loaded:latest``, with a layer of some size, as docker save makes it; it is in the registry too."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        for number in range(20):
            entry = tarfile.TarInfo(f"file{number}")
            entry.size = 150_000
            archive.addfile(entry, io.BytesIO(random.Random(number).randbytes(entry.size)))
    host.docker("import", "-", "loaded:latest", input=layer.getvalue())
    host.docker("tag", "loaded:latest", PULLED)
    host.docker("push", PULLED)
    saved = host.docker("save", "loaded:latest").stdout
    host.docker("rmi", "loaded:latest", PULLED)
    return saved


@pytest.fixture
async def witnesses(host: PrivateAgent, engine: Engine) -> AsyncIterator[dict[str, Any]]:
    """The bystanders, each where its story leads, as they are then."""
    for name, body in BYSTANDERS.items():
        await engine.create(name, body)
        await engine.want("POST", f"/containers/{name}/start")
    await until(
        engine,
        restarted={"Status": "running", "RestartCount": 2},
        healthy={"Health": "healthy"},
        exhausted={"Status": "exited", "OOMKilled": True},
        ended={"Status": "exited", "ExitCode": 3},
    )
    await engine.want("POST", "/containers/paused/pause")
    yield await states(engine)
    for name in BYSTANDERS:
        await engine.ask("DELETE", f"/containers/{name}", force=1, v=1)


async def test_agent_killed_over_and_over_leaks_nothing_and_hurts_nobody(
    host: PrivateAgent, engine: Engine, witnesses: dict[str, Any], seed: int
) -> None:
    chance = random.Random(seed)
    page = ("busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{WEB_PORT}/")
    done = kills = 0
    began = time.monotonic()
    with Registry(host.enter, REGISTRY_PORT):
        archive = await asyncio.to_thread(image_archive, host)
        while kills < KILLS and time.monotonic() - began < SECONDS:
            storm = Storm(engine, chance.randrange(1 << 30), pulled=PULLED, image_archive=archive, theme=kills)
            clients = asyncio.create_task(storm.run(CLIENTS))
            await asyncio.sleep(chance.random() * STORM_SECONDS)
            host.kill()
            await asyncio.wait_for(clients, 60)
            if kills % 10 == 0:
                assert host.run(*page).stdout == b"page\n"
            host.start()
            where = f"seed {seed}, death {kills}, during {storm.theme}"
            assert await differences(host, rules=kills % 3 == 0) == [], where
            assert changes(await states(engine), witnesses) == [], where
            assert storm.unexpected == [], where
            kills, done = kills + 1, done + storm.done
    print(f"{kills} deaths, {done} acts, {time.monotonic() - began:.0f} s")
    assert host.run(*page).stdout == b"page\n"
    lines = host.out("logs", "ticker").splitlines()
    assert lines == [f"tick {number}" for number in range(len(lines))]
    await clear(engine)
    assert await differences(host) == []
