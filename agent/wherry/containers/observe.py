"""What a monitor reports, turned into the container's state and into events.

A report may come twice or cover several changes at once, so only differences from what is known count.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from wherry.containers import times
from wherry.containers.health import stopped
from wherry.containers.model import NEVER, Container, ContainerState
from wherry.containers.monitor_client import MonitorState
from wherry.containers.registry import Registry
from wherry.containers.waiting import ExitResult, Waiters

log = logging.getLogger(__name__)


def observe(registry: Registry, waiters: Waiters, container: Container, seen: MonitorState) -> Container:
    """Applies a report of a container that goes on (created, running, restarting); events tell what changed."""
    before = container.state
    after = replace(
        _settled(before, seen),
        status=_status(before, seen),
        pid=seen.pid or 0,
        error="" if seen.status == "running" else seen.error,
    )
    if after != before:
        container = registry.change_state(container.id, after)
    _warn_of_losses(container, before)
    if _ran_out_of_memory(before, after):
        registry.publish(container, "oom")
    if after.finished_at != before.finished_at:
        registry.publish(container, "die", exit_attributes(after))
        waiters.exited(container.id, ExitResult(after.exit_code, after.error))
    if after.started_at != before.started_at and seen.status == "running":
        registry.publish(container, "start")
    return container


def settle(registry: Registry, waiters: Waiters, container: Container, seen: MonitorState) -> Container:
    """Applies the last report: the container has ended and nothing of it runs any more."""
    before = container.state
    after = replace(_settled(before, seen), status="exited", pid=0, error=seen.error, health=stopped(before.health))
    if after.finished_at == NEVER:
        after = replace(after, finished_at=times.now())
    container = registry.change_state(container.id, after)
    _warn_of_losses(container, before)
    if after.started_at != before.started_at:
        # It ran so shortly that its start and its end came in one report.
        registry.publish(container, "start")
    if _ran_out_of_memory(before, after):
        registry.publish(container, "oom")
    if before.status != "restarting" or after.finished_at != before.finished_at:
        registry.publish(container, "die", exit_attributes(after))
    waiters.exited(container.id, ExitResult(after.exit_code, after.error))
    return container


def exit_attributes(state: ContainerState) -> Mapping[str, str]:
    """Attributes of a ``die`` event."""
    lasted = max(0, times.parse(state.finished_at) - times.parse(state.started_at)) // times.NANOSECONDS
    return {"exitCode": str(state.exit_code), "execDuration": str(lasted)}


def _warn_of_losses(container: Container, before: ContainerState) -> None:
    lost = container.state.log_lost_entries
    if lost > before.log_lost_entries:
        driver = container.host_config.log_config.type
        size = container.state.log_lost_bytes
        log.warning("container %s: its log (%s) has lost %d entries, %d bytes", container.short_id, driver, lost, size)


def _ran_out_of_memory(before: ContainerState, after: ContainerState) -> bool:
    """Whether the kernel killed more processes of this run than was known. Older monitors count none."""
    same_run = before.started_at == after.started_at
    known = before.oom_kills if same_run else 0
    return after.oom_kills > known or (after.oom_killed and not (same_run and before.oom_killed))


def _settled(before: ContainerState, seen: MonitorState) -> ContainerState:
    return replace(
        before,
        exit_code=before.exit_code if seen.exit_code is None else seen.exit_code,
        oom_killed=seen.oom_killed,
        oom_kills=seen.oom_kills,
        started_at=seen.started_at or before.started_at,
        finished_at=seen.finished_at or before.finished_at,
        restart_count=seen.restart_count,
        log_lost_entries=seen.log_lost_entries,
        log_lost_bytes=seen.log_lost_bytes,
    )


def _status(before: ContainerState, seen: MonitorState) -> str:
    """A container that the agent paused still runs as far as its monitor knows."""
    if seen.status == "created":
        return before.status
    same_run = before.started_at == (seen.started_at or before.started_at)
    return "paused" if before.status == "paused" and seen.status == "running" and same_run else seen.status
