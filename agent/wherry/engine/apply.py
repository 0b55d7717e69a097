"""Carries a plan out: in the order that it demands, side by side where it allows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from wherry.engine.model import Action, Key, Plan, ResourcePlan, Step


async def carry_out(plan: Plan) -> tuple[Action, ...]:
    """Runs all steps and returns the actions with their outcomes.

    When a resource fails, what needs it is not begun, what does not need it is finished, and then the error is raised.
    """
    tasks: dict[Key, asyncio.Task[list[Action]]] = {}
    for resource in plan.resources:  # each comes after what it needs
        tasks[resource.key] = asyncio.create_task(_settle(resource, tasks))
    if tasks:
        await asyncio.wait(tasks.values())
    for task in tasks.values():
        if not task.cancelled() and task.exception() is not None:
            task.result()
    return tuple(action for resource in plan.resources for action in tasks[resource.key].result())


async def _settle(resource: ResourcePlan, tasks: Mapping[Key, asyncio.Task[list[Action]]]) -> list[Action]:
    needed = [tasks[key] for key in resource.needs if key in tasks]
    if needed:
        await asyncio.wait(needed)
    for task in needed:
        if task.cancelled() or task.exception() is not None:
            raise asyncio.CancelledError
    return [await _run(step) for step in resource.steps]


async def _run(step: Step) -> Action:
    if step.run is None:
        return step.action
    outcome = await step.run()
    return replace(step.action, outcome=outcome) if outcome else step.action
