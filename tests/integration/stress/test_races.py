"""Two that want something of one object at the same time: one defined outcome each, and nothing left over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from tests.integration.stress.engine_client import Answer, Engine, apart
from tests.integration.stress.inventory import differences
from tests.integration.stress.storm import IMAGE
from tests.integration.support.private_agent import PrivateAgent

SLEEPER: dict[str, Any] = {"Image": IMAGE, "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}}


def sleeper(**host: Any) -> dict[str, Any]:
    """A container that runs until it is told to end."""
    return {**SLEEPER, "HostConfig": {"NetworkMode": "none", **host}}


@pytest.fixture(autouse=True)
async def nothing_is_left(host: PrivateAgent, engine: Engine) -> AsyncIterator[None]:
    """After each test the kernel and the disk have what the API shows, and no container."""
    yield
    for one in await engine.want("GET", "/containers/json", all=1):
        await engine.ask("DELETE", f"/containers/{one['Id']}", force=1, v=1)
    assert await differences(host) == []


async def both(*requests: Coroutine[Any, Any, Answer]) -> list[int]:
    """The statuses of requests that are made at the same time."""
    return [answer.status for answer in await asyncio.gather(*requests)]


async def test_one_of_two_removals_removes_and_the_other_says_so(engine: Engine) -> None:
    seen: Counter[int] = Counter()
    for number in range(25):
        name = f"twice{number}"
        await engine.create(name, SLEEPER)
        if number % 2:
            await engine.want("POST", f"/containers/{name}/start")
        gone = f"/containers/{name}"
        statuses = await both(*(engine.ask("DELETE", gone, force=1) for _ in range(3)))
        assert statuses.count(204) == 1, statuses
        seen.update(statuses)
        assert (await engine.ask("GET", f"{gone}/json")).status == 404
    assert set(seen) <= {204, 404, 409}, seen


async def test_a_stop_during_a_start_leaves_a_container_that_runs_or_has_ended_and_both_are_told(
    engine: Engine,
) -> None:
    for number in range(25):
        name = f"stopped{number}"
        identity = await engine.create(name, SLEEPER)
        starting = asyncio.create_task(engine.ask("POST", f"/containers/{name}/start"))
        await asyncio.sleep(0.004 * (number % 12))
        stopped = await engine.ask("POST", f"/containers/{name}/stop", t=0)
        assert (await starting).status == 204
        state = (await engine.want("GET", f"/containers/{identity}/json"))["State"]
        # 304: it did not run yet when it was to be stopped, so it runs now.
        assert (stopped.status, state["Status"]) in {(204, "exited"), (304, "running")}, (stopped, state)
        await engine.want("DELETE", f"/containers/{name}", force=1)


async def test_removal_by_force_does_not_wait_for_a_patient_stop(engine: Engine) -> None:
    body = {**SLEEPER, "Cmd": ["sh", "-c", "trap : TERM; while :; do sleep 0.1; done"]}
    await engine.create("stubborn", body)
    await engine.want("POST", "/containers/stubborn/start")
    stopping = asyncio.create_task(engine.ask("POST", "/containers/stubborn/stop", t=600))
    await asyncio.sleep(0.2)
    removed = await asyncio.wait_for(engine.ask("DELETE", "/containers/stubborn", force=1), 30)
    assert removed.status == 204
    assert (await asyncio.wait_for(stopping, 30)).status in {204, 404}


async def test_whoever_attaches_to_a_container_that_ends_gets_all_of_it_or_is_told(engine: Engine) -> None:
    for number in range(30):
        name = f"short{number}"
        body = {**SLEEPER, "Cmd": ["sh", "-c", "echo first; echo second >&2; exit 5"], "AttachStdout": True}
        await engine.create(name, body)
        early = asyncio.create_task(
            engine.hijack(f"/containers/{name}/attach", None, b"", stream=1, stdout=1, stderr=1)
        )
        await asyncio.sleep(0.01)
        await engine.want("POST", f"/containers/{name}/start")
        await asyncio.sleep(0.002 * (number % 15))
        # One that comes as it ends. After the end it waits for the next start, as in Docker, until there can be none.
        late = asyncio.create_task(
            engine.hijack(f"/containers/{name}/attach", None, b"", stream=1, logs=1, stdout=1, stderr=1)
        )
        assert apart(await asyncio.wait_for(early, 30)) == (b"first\n", b"second\n")
        assert (await engine.want("POST", f"/containers/{name}/wait"))["StatusCode"] == 5
        await engine.want("DELETE", f"/containers/{name}", force=1)
        # What is written between its reading of the log and its joining of the stream may come twice; a container that
        # is removed before the log was read has none.
        assert apart(await asyncio.wait_for(late, 30))[0] in {b"", b"first\n", b"first\nfirst\n"}


async def test_a_name_that_is_asked_for_twice_is_given_once(engine: Engine) -> None:
    for number in range(20):
        name = f"name{number}"
        body = {**SLEEPER, "Volumes": {"/data": {}}}
        statuses = await both(*(engine.ask("POST", "/containers/create", body, name=name) for _ in range(5)))
        assert sorted(statuses) == [201, 409, 409, 409, 409]
        await engine.want("DELETE", f"/containers/{name}", v=1)
    assert (await engine.want("GET", "/volumes"))["Volumes"] in (None, [])


async def test_a_kill_during_the_creation_finds_nothing_to_kill(engine: Engine) -> None:
    for number in range(20):
        name = f"young{number}"
        creating = asyncio.create_task(engine.ask("POST", "/containers/create", SLEEPER, name=name))
        await asyncio.sleep(0.001 * (number % 10))
        killed = await engine.ask("POST", f"/containers/{name}/kill")
        assert killed.status in {404, 409}
        assert (await creating).status == 201
        await engine.want("DELETE", f"/containers/{name}")


async def test_a_container_that_is_started_or_removed_while_it_is_made_is_whole_or_gone(engine: Engine) -> None:
    for number in range(20):
        name = f"hasty{number}"
        body = {**SLEEPER, "Volumes": {"/data": {}}}
        creating = asyncio.create_task(engine.ask("POST", "/containers/create", body, name=name))
        await asyncio.sleep(0.001 * (number % 6))
        started, removed = await both(
            engine.ask("POST", f"/containers/{name}/start"), engine.ask("DELETE", f"/containers/{name}", force=1, v=1)
        )
        assert (await creating).status == 201
        assert started in {204, 404, 409}
        assert removed in {204, 404}
        left = await engine.ask("GET", f"/containers/{name}/json")
        if left.status == 200:
            await engine.want("DELETE", f"/containers/{name}", force=1, v=1)


async def test_of_two_renames_to_one_name_one_succeeds(engine: Engine) -> None:
    one, other = await engine.create("one", SLEEPER), await engine.create("other", SLEEPER)
    for number in range(20):
        wanted = f"wanted{number}"
        statuses = await both(
            *(engine.ask("POST", f"/containers/{identity}/rename", name=wanted) for identity in (one, other))
        )
        assert sorted(statuses) == [204, 409]
        names = {(await engine.want("GET", f"/containers/{identity}/json"))["Name"] for identity in (one, other)}
        assert len(names) == 2
        assert f"/{wanted}" in names


async def test_a_volume_is_removed_or_used_by_a_new_container_but_never_both(engine: Engine) -> None:
    for number in range(25):
        volume = f"shared{number}"
        await engine.want("POST", "/volumes/create", {"Name": volume})
        created, removed = await both(
            engine.ask("POST", "/containers/create", sleeper(Binds=[f"{volume}:/data"]), name=f"user{number}"),
            engine.ask("DELETE", f"/volumes/{volume}"),
        )
        assert (created, removed) in {(201, 204), (201, 409)}
        # The one that is created has the volume, the old one or a new one of that name.
        await engine.want("POST", f"/containers/user{number}/start")
        assert (await engine.execute(f"user{number}", "touch", "/data/file"))[0] == 0
        assert (await engine.ask("DELETE", f"/volumes/{volume}")).status == 409
        await engine.want("DELETE", f"/containers/user{number}", force=1)
        await engine.want("DELETE", f"/volumes/{volume}")


async def test_a_network_is_removed_or_connected_but_never_both(engine: Engine) -> None:
    await engine.create("roamer", {**SLEEPER, "HostConfig": {}})
    await engine.want("POST", "/containers/roamer/start")
    for number in range(15):
        network = f"passing{number}"
        await engine.want("POST", "/networks/create", {"Name": network})
        path = f"/networks/{network}"
        connected, *removed = await both(
            engine.ask("POST", f"{path}/connect", {"Container": "roamer"}),
            engine.ask("DELETE", path),
            engine.ask("DELETE", path),
        )
        shown = (await engine.want("GET", "/containers/roamer/json"))["NetworkSettings"]["Networks"]
        assert removed.count(204) == (connected == 404), (connected, removed)
        assert connected in {200, 404}
        assert set(removed) <= {204, 403, 404}
        assert (network in shown) == (connected == 200)
        if connected == 200:
            await engine.want("POST", f"{path}/disconnect", {"Container": "roamer"})
            await engine.want("DELETE", path)


async def test_a_network_that_goes_while_a_container_starts_on_it_is_refused_to_one_of_the_two(engine: Engine) -> None:
    for number in range(15):
        network, name = f"fading{number}", f"starter{number}"
        await engine.want("POST", "/networks/create", {"Name": network})
        await engine.create(name, sleeper(NetworkMode=network))
        removing = engine.ask("DELETE", f"/networks/{network}")
        started, removed = await both(engine.ask("POST", f"/containers/{name}/start"), removing)
        assert (started, removed) in {(204, 403), (404, 204)}, (started, removed)
        await engine.want("DELETE", f"/containers/{name}", force=1)
        if removed == 403:
            await engine.want("DELETE", f"/networks/{network}")


async def test_an_image_is_removed_or_used_by_a_new_container_but_never_both(engine: Engine) -> None:
    for number in range(15):
        await engine.want("POST", f"/images/{IMAGE}/tag", repo="passing", tag="1")
        await engine.create("author", SLEEPER)
        made = await engine.want("POST", "/commit", {"Env": [f"NUMBER={number}"]}, container="author", repo="fleeting")
        await engine.want("DELETE", "/containers/author")
        body = {**SLEEPER, "Image": "fleeting"}
        created, removed = await both(
            engine.ask("POST", "/containers/create", body, name=f"user{number}"),
            engine.ask("DELETE", "/images/fleeting"),
        )
        assert (created, removed) in {(201, 409), (404, 200)}, (created, removed)
        if created == 201:
            await engine.want("POST", f"/containers/user{number}/start")
            await engine.want("DELETE", f"/containers/user{number}", force=1)
            await engine.want("DELETE", "/images/fleeting")
        assert (await engine.ask("GET", f"/images/{made['Id']}/json")).status == 404


async def test_a_process_that_joins_a_container_that_ends_runs_or_is_refused(engine: Engine) -> None:
    for number in range(25):
        name = f"joined{number}"
        await engine.create(name, SLEEPER)
        await engine.want("POST", f"/containers/{name}/start")
        session = (await engine.want("POST", f"/containers/{name}/exec", {"Cmd": ["true"]}))["Id"]
        ending = asyncio.create_task(engine.ask("POST", f"/containers/{name}/kill"))
        await asyncio.sleep(0.002 * (number % 12))
        started = await engine.ask("POST", f"/exec/{session}/start", {"Detach": True})
        # 404: the session has gone with the run that it was made for.
        assert started.status in {200, 404, 409}, started
        assert (await ending).status == 204
        assert (await engine.ask("POST", f"/containers/{name}/exec", {"Cmd": ["true"]})).status == 409
        await engine.want("DELETE", f"/containers/{name}", force=1)


async def test_whoever_waits_for_a_container_that_is_removed_is_told(engine: Engine) -> None:
    for number in range(15):
        name = f"awaited{number}"
        await engine.create(name, {**SLEEPER, "Cmd": ["sh", "-c", "trap 'exit 9' TERM; while :; do sleep 0.05; done"]})
        await engine.want("POST", f"/containers/{name}/start")
        conditions = ("not-running", "next-exit", "removed")
        waits = [
            asyncio.create_task(engine.ask("POST", f"/containers/{name}/wait", condition=one)) for one in conditions
        ]
        await asyncio.sleep(0.003 * (number % 5))
        removed = await engine.ask("DELETE", f"/containers/{name}", force=1)
        assert removed.status == 204
        for answer in await asyncio.wait_for(asyncio.gather(*waits), 20):
            # A wait that came too late finds nothing; each other gets the code of the run that was killed.
            assert answer.status == 404 or answer.json["StatusCode"] == 137, answer


async def test_two_starts_and_two_stops_do_the_work_once(host: PrivateAgent, engine: Engine) -> None:
    for number in range(15):
        name = f"again{number}"
        await engine.create(name, SLEEPER)
        assert sorted(await both(*(engine.ask("POST", f"/containers/{name}/start") for _ in range(3)))) == [
            204, 304, 304,
        ]  # fmt: skip
        stops = [engine.ask("POST", f"/containers/{name}/stop", t=0) for _ in range(3)]
        assert sorted(await both(*stops)) == [204, 304, 304]
        await engine.want("DELETE", f"/containers/{name}")
