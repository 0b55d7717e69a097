"""Health checks: a command run in the container every now and then, and what its exit codes say.

Source of states, defaults and limits: Engine API ``Health`` and ``HealthConfig``. The checks belong to the agent: while
it is down none runs, and its successor goes on from the state that was recorded.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from dataclasses import replace

from wherry.containers import times
from wherry.containers.attach import Streams
from wherry.containers.exec_sessions import Execs, ExecSession
from wherry.containers.model import Container, ContainerState, ExecRequest, Health, HealthConfig, ProbeResult
from wherry.containers.registry import Registry
from wherry.errors import WherryError

log = logging.getLogger(__name__)

DEFAULT_INTERVAL = DEFAULT_TIMEOUT = 30 * times.NANOSECONDS
DEFAULT_START_INTERVAL = 5 * times.NANOSECONDS
DEFAULT_RETRIES = 3
KEPT_RESULTS = 5
OUTPUT_LIMIT = 4096
"""Bytes of a check's output that are kept."""
NOT_FINISHED = -1
"""The exit code recorded for a check that could not be run or took too long."""
KILL_SECONDS = 10.0


class HealthChecks:
    """One task for each running container that has a check."""

    def __init__(self, registry: Registry, execs: Execs) -> None:
        self._registry = registry
        self._execs = execs
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def attend(self, container: Container) -> None:
        """To be called with every report of a container: its checks begin with each run of it."""
        check = container.config.healthcheck
        if check is None or not check.is_run or container.state.status != "running":
            return
        state = container.state
        if state.health is None or state.health.run != state.started_at:
            container = self._registry.change_state(container.id, replace(state, health=Health(state.started_at)))
            self._cancel(container.id)
        if container.id not in self._tasks:
            self._tasks[container.id] = asyncio.create_task(self._follow(container.id, state.started_at, check))

    async def forget(self, container_id: str) -> None:
        """The container's run is over; when this returns no check of it makes anything any more."""
        task = self._cancel(container_id)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    def _cancel(self, container_id: str) -> asyncio.Task[None] | None:
        task = self._tasks.pop(container_id, None)
        if task is not None:
            task.cancel()
        return task

    async def stop(self) -> None:
        """Ends all checks; what is known of them stays recorded."""
        tasks = tuple(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, container_id: str, run: str, check: HealthConfig) -> None:
        while (container := self._current(container_id, run)) is not None:
            await asyncio.sleep(_pause(container, check) / times.NANOSECONDS)
            container = self._current(container_id, run)
            if container is None or container.state.status != "running":
                continue  # paused: nothing in it can answer
            try:
                result = await self._probe(container, check)
            except WherryError as error:
                log.debug("container %s: its health could not be checked: %s", container.short_id, error)
                result = _result(times.now(), NOT_FINISHED, str(error).encode())
            self._record(container_id, run, check, result)

    def _current(self, container_id: str, run: str) -> Container | None:
        container = self._registry.get(container_id)
        if container is None or not container.state.is_running or container.state.started_at != run:
            return None
        return container

    async def _probe(self, container: Container, check: HealthConfig) -> ProbeResult:
        began = times.now()
        limit = (check.timeout or DEFAULT_TIMEOUT) / times.NANOSECONDS
        session = self._execs.create(container.id, _request(container, check), internal=True)
        output = bytearray()
        try:
            await asyncio.wait_for(self._run(session, output), limit)
        except asyncio.TimeoutError:
            await self._execs.kill(session, signal.SIGKILL, KILL_SECONDS)
            said = f"Health check exceeded timeout ({times.go_duration(check.timeout or DEFAULT_TIMEOUT)})"
            return _result(began, NOT_FINISHED, b": ".join(filter(None, (said.encode(), bytes(output)))))
        finally:
            # Also when the container's run is over: a monitor stays for a client that has output to read.
            if session.client is not None:
                await session.client.close()
        code = session.exit_code
        return _result(began, NOT_FINISHED if code is None else code, bytes(output))

    async def _run(self, session: ExecSession, output: bytearray) -> None:
        await self._execs.start(session.id, Streams(stdout=True, stderr=True))
        assert session.client is not None
        async for _, data in session.client.output():
            output += data[: max(0, OUTPUT_LIMIT + 1 - len(output))]
        await session.ended.wait()

    def _record(self, container_id: str, run: str, check: HealthConfig, result: ProbeResult) -> None:
        container = self._current(container_id, run)
        if container is None or container.state.health is None:
            return
        before = container.state.health
        after = judged(container.state, before, check, result)
        container = self._registry.change_state(container_id, replace(container.state, health=after))
        if after.status != before.status:
            self._registry.publish(container, f"health_status: {after.status}")


def judged(state: ContainerState, before: Health, check: HealthConfig, result: ProbeResult) -> Health:
    """The health after one more result: failures of a container that still starts do not count."""
    results = (*before.log, result)[-KEPT_RESULTS:]
    if result.exit_code == 0:
        return replace(before, status="healthy", failing_streak=0, log=results)
    starting = before.status == "starting" and _since_start(state, result.start) < check.start_period
    streak = before.failing_streak + (not starting)
    unhealthy = streak >= (check.retries or DEFAULT_RETRIES)
    return replace(before, status="unhealthy" if unhealthy else before.status, failing_streak=streak, log=results)


def stopped(health: Health | None) -> Health | None:
    """What is said of a container that does not run: as in Docker, that it is not healthy."""
    return None if health is None else replace(health, status="unhealthy")


def _pause(container: Container, check: HealthConfig) -> int:
    """Nanoseconds until the next check: shorter while the container starts."""
    health, state = container.state.health, container.state
    if health is not None and health.status == "starting" and _since_start(state, times.now()) < check.start_period:
        return check.start_interval or DEFAULT_START_INTERVAL
    return check.interval or DEFAULT_INTERVAL


def _since_start(state: ContainerState, moment: str) -> int:
    return times.parse(moment) - times.parse(state.started_at)


def _request(container: Container, check: HealthConfig) -> ExecRequest:
    command = check.test[1:]
    if check.test[0] == "CMD-SHELL":
        command = (*(container.config.shell or ("/bin/sh", "-c")), *command)
    return ExecRequest(
        command=command,
        privileged=container.host_config.privileged,
        attach_stdout=True,
        attach_stderr=True,
    )


def _result(began: str, exit_code: int, output: bytes) -> ProbeResult:
    cut = output[:OUTPUT_LIMIT] + (b"..." if len(output) > OUTPUT_LIMIT else b"")
    return ProbeResult(began, times.render(time.time_ns()), exit_code, cut.decode("utf-8", "replace"))
