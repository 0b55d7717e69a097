"""Resources are settled in an order that works, whatever order they are declared in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from wherry.engine.apply import carry_out
from wherry.engine.documents import parse_all
from wherry.engine.model import Action, Plan, ResourcePlan, Step
from wherry.engine.order import in_order
from wherry.errors import Conflict, InvalidParameter


def order(*resources: dict[str, Any]) -> list[str]:
    return [document.name for document, _ in in_order(parse_all(list(resources)))]


def test_a_container_comes_after_what_it_stands_on() -> None:
    assert order(
        {"kind": "container", "name": "web", "image": "site", "networks": [{"name": "front"}], "volumes": ["pages:/p"]},
        {"kind": "volume", "name": "pages"},
        {"kind": "network", "name": "front"},
        {"kind": "image", "name": "site", "source": "pull"},
    ) == ["site:latest", "front", "pages", "web"]


def test_what_goes_comes_after_the_containers_that_used_it() -> None:
    assert order(
        {"kind": "network", "name": "old", "state": "absent"},
        {"kind": "container", "name": "web", "image": "site", "networks": [{"name": "new"}]},
        {"kind": "network", "name": "new"},
        {"kind": "container", "name": "gone", "state": "absent"},
    ) == ["gone", "new", "web", "old"]


def test_containers_that_go_do_not_wait_for_each_other() -> None:
    gone = [{"kind": "container", "name": name, "state": "absent"} for name in ("one", "two")]
    assert order(*gone) == ["one", "two"]


def test_a_container_comes_after_the_one_whose_network_it_joins() -> None:
    assert order(
        {"kind": "container", "name": "side", "image": "a", "network_mode": "container:main"},
        {"kind": "container", "name": "main", "image": "a"},
    ) == ["main", "side"]


def test_resources_that_need_each_other_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="need each other"):
        order(
            {"kind": "container", "name": "one", "image": "a", "network_mode": "container:two"},
            {"kind": "container", "name": "two", "image": "a", "pid_mode": "container:one"},
        )


class Recorder:
    """Steps that note when they run."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def resource(self, name: str, needs: tuple[str, ...] = (), fails: bool = False) -> ResourcePlan:
        async def run() -> None:
            await asyncio.sleep(0)
            if fails:
                raise Conflict(f"{name} cannot be made")
            self.done.append(name)

        step = Step(Action("volume", name, "create"), run)
        return ResourcePlan(("volume", name), (step,), frozenset(("volume", need) for need in needs))


async def test_steps_run_after_those_that_they_need() -> None:
    recorder = Recorder()
    await carry_out(Plan((recorder.resource("a"), recorder.resource("b", ("a",)), recorder.resource("c", ("b",)))))
    assert recorder.done == ["a", "b", "c"]


async def test_after_a_failure_what_needs_it_is_not_begun_and_the_rest_is_finished() -> None:
    recorder = Recorder()
    plan = Plan(
        (recorder.resource("bad", fails=True), recorder.resource("needs", ("bad",)), recorder.resource("other"))
    )
    with pytest.raises(Conflict, match="bad cannot be made"):
        await carry_out(plan)
    assert recorder.done == ["other"]


async def test_what_does_not_need_each_other_runs_side_by_side() -> None:
    arrived = {"a": asyncio.Event(), "b": asyncio.Event()}

    def waits(name: str, other: str) -> ResourcePlan:
        async def run() -> None:
            arrived[name].set()
            await arrived[other].wait()

        return ResourcePlan(("volume", name), (Step(Action("volume", name, "create"), run),))

    await asyncio.wait_for(carry_out(Plan((waits("a", "b"), waits("b", "a")))), 5)
