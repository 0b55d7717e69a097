"""The event bus: nothing lost, slow readers told, filters as Docker's."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from wherry import events as module
from wherry.events import Event, Events, SlowReader, event_filter
from wherry.state import events as store
from wherry.state.database import Database


@pytest.fixture
def bus(tmp_path: Path) -> Events:
    return Events(Database(tmp_path / "state.db"))


async def take(subscription: Any, count: int) -> list[str]:
    return [(await asyncio.wait_for(anext(subscription), 2)).action for _ in range(count)]


async def test_events_between_subscribing_and_reading_are_not_lost(bus: Events) -> None:
    with bus.subscribe() as subscription:
        bus.publish("container", "create", "1")
        bus.publish("container", "start", "1")
        assert await take(subscription, 2) == ["create", "start"]


async def test_replay_goes_over_into_what_happens_now(bus: Events) -> None:
    first = bus.publish("container", "create", "1")
    bus.publish("container", "start", "1")
    with bus.subscribe(since_ns=first.time_ns) as subscription:
        bus.publish("container", "die", "1")
        assert await take(subscription, 3) == ["create", "start", "die"]


async def test_replay_survives_an_agent_restart(tmp_path: Path) -> None:
    database = Database(tmp_path / "state.db")
    Events(database).publish("volume", "create", "v", {"driver": "local"})
    database.close()
    with Events(Database(tmp_path / "state.db")).subscribe(since_ns=0) as subscription:
        event = await anext(subscription)
    assert (event.kind, event.action, event.attributes) == ("volume", "create", {"driver": "local"})


async def test_until_in_the_past_ends_after_the_replay(bus: Events) -> None:
    bus.publish("container", "create", "1")
    with bus.subscribe(since_ns=0, until_ns=time.time_ns()) as subscription:
        assert [event.action async for event in subscription] == ["create"]


async def test_until_in_the_future_ends_by_itself(bus: Events) -> None:
    with bus.subscribe(until_ns=time.time_ns() + 100_000_000) as subscription:
        bus.publish("container", "create", "1")
        assert [event.action async for event in subscription] == ["create"]


async def test_slow_reader_is_told_and_cut_off(bus: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED_EVENTS", 3)
    with bus.subscribe() as subscription:
        for number in range(5):
            bus.publish("container", f"exec_{number}", "1")
        assert await take(subscription, 3) == ["exec_0", "exec_1", "exec_2"]
        with pytest.raises(SlowReader):
            await anext(subscription)
        assert bus.listeners == 0


async def test_times_rise_strictly(bus: Events) -> None:
    times = [bus.publish("container", "x", "1").time_ns for _ in range(1000)]
    assert len(set(times)) == 1000 and times == sorted(times)


async def test_store_is_bounded(bus: Events, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT_EVENTS", 100)
    for _ in range(store.PRUNE_EVERY * 2):
        bus.publish("container", "x", "1")
    with bus.subscribe(since_ns=0, until_ns=time.time_ns()) as subscription:
        assert len([event async for event in subscription]) == 100


EVENT = Event(
    1, "container", "exec_create: /bin/sh", "abcdef123456", {"name": "web", "image": "repo/app:1.2", "tier": "front"}
)


@pytest.mark.parametrize(
    ("filters", "accepted"),
    [
        ({}, True),
        ({"type": ["container"]}, True),
        ({"type": ["image", "network"]}, False),
        ({"event": ["exec_create"]}, True),
        ({"event": ["exec"]}, False),
        ({"event": ["start", "exec_create: /bin/sh"]}, True),
        ({"container": ["abcdef"]}, True),
        ({"container": ["web"]}, True),
        ({"container": ["db"]}, False),
        ({"container": ["web"], "event": ["start"]}, False),
        ({"image": ["repo/app:1.2"]}, True),
        ({"image": ["repo/app"]}, True),
        ({"image": ["repo"]}, False),
        ({"label": ["tier"]}, True),
        ({"label": ["tier=front"]}, True),
        ({"label": ["tier=front", "zone"]}, False),
        ({"scope": ["local"]}, True),
        ({"scope": ["swarm"]}, False),
        ({"volume": ["data"]}, False),
    ],
)
def test_filters_select_as_dockers_do(filters: dict[str, list[str]], accepted: bool) -> None:
    assert event_filter(filters)(EVENT) is accepted
