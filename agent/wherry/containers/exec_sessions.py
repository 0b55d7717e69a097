"""Further processes in running containers. Each has a monitor of its own, so it outlives the agent as they do; what is
known of a session is kept beside it, and forgotten with the container's run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wherry import native
from wherry.aio import in_thread, to_the_end
from wherry.containers import bundles, exec_records, failures, launches, monitor_client
from wherry.containers.attach import Streams
from wherry.containers.context import Context
from wherry.containers.exec_records import ExecRecord
from wherry.containers.model import Container, ExecRequest
from wherry.containers.monitor_client import MonitorClient, MonitorFailure
from wherry.containers.supervisor import Supervisor
from wherry.errors import Conflict, NotFound, SystemFailure, WherryError
from wherry.ids import new_id

log = logging.getLogger(__name__)

KEPT_AFTER_END = 256
"""Ended sessions that can still be inspected, for the whole agent; the oldest go first."""
KEPT_BEFORE_START = 1024
"""The same for sessions that nobody has started."""
LAUNCH_SECONDS = 10.0


@dataclass
class ExecSession:
    """One further process. ``exit_code`` is ``None`` until it has ended; ``ended`` is set when it is known.

    ``client`` is the connection of whoever started it, ``control`` the agent's own. ``internal``: a health check's.
    """

    id: str
    container_id: str
    request: ExecRequest
    internal: bool = False
    started: bool = False
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    client: MonitorClient | None = None
    control: MonitorClient | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def record(self) -> ExecRecord:
        """What is kept of it."""
        return ExecRecord(self.id, self.request, self.started, self.exit_code, self.internal)


class ExecFailed(WherryError):
    """The process could not be started; ``exit_code`` says why as a shell would."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(failures.exec_error(message))
        self.exit_code = failures.exit_code_of(message)


class NotExecutable(ExecFailed):
    """It is the request that names what cannot be executed."""

    status = 400


def exec_failure(message: str) -> ExecFailed:
    """The error for what the runtime says."""
    names_nothing = failures.exit_code_of(message) in (failures.COMMAND_NOT_FOUND, failures.COMMAND_NOT_EXECUTABLE)
    return NotExecutable(message) if names_nothing else ExecFailed(message)


class Execs:
    """All sessions of this agent."""

    def __init__(self, context: Context, supervisor: Supervisor) -> None:
        self._context = context
        self._supervisor = supervisor
        self._registry = context.registry
        self._sessions: dict[str, ExecSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._launches: dict[str, set[asyncio.Task[None]]] = {}

    def create(self, reference: str, request: ExecRequest, *, internal: bool = False) -> ExecSession:
        """Notes what shall run; nothing is started."""
        container = self._registry.find(reference)
        _require_running(container)
        session = ExecSession(new_id(), container.id, request, internal)
        try:
            exec_records.make(self._directory(session), session.record)
        except FileNotFoundError:
            raise Conflict(f"container {container.id} is not running") from None
        except OSError as error:
            raise SystemFailure(f"cannot record an exec session: {error.strerror}") from error
        self._sessions[session.id] = session
        self._forget_oldest()
        self._registry.publish(container, f"exec_create: {_shown(request)}", {"execID": session.id})
        return session

    def find(self, exec_id: str) -> ExecSession:
        """By id; ``NotFound`` in Docker's words."""
        session = self._sessions.get(exec_id)
        if session is None or self._registry.get(session.container_id) is None:
            raise NotFound(f"No such exec instance: {exec_id}")
        return session

    def of_container(self, container_id: str) -> list[str]:
        """Ids of the sessions that run in a container."""
        return [
            session.id
            for session in self._sessions.values()
            if session.container_id == container_id and session.running
        ]

    def check_startable(self, session: ExecSession) -> Container:
        """The container of a session that can be started; ``Conflict`` when it was.

        The sessions of a container that ended are gone with its run, as in Docker: ``NotFound``.
        """
        container = self._registry.find(session.container_id)
        if not container.state.is_running:
            raise NotFound(f"No such exec instance: {session.id}")
        _require_running(container)
        if session.started:
            raise Conflict(f"Error: Exec command {session.id} has already run")
        return container

    async def start(self, exec_id: str, streams: Streams) -> ExecSession:
        """Starts the process; the session's client is attached to ``streams`` and sees all of its output.

        Raises ``ExecFailed`` when it cannot be started, ``Conflict`` when it was started before or the container does
        not run.
        """
        session = self.find(exec_id)
        container = self.check_startable(session)
        session.started = session.running = True
        try:
            # Whoever asks may leave, but a monitor that has been started must be told what to do, and watched.
            await self._noted(container.id, self._launch(session, container, streams))
        except MonitorFailure as failure:
            session.running, error = False, exec_failure(str(failure))
            if not failures.is_commands_own(str(failure)):
                await self._refuse_if_over(session, container, failure)
            session.exit_code = error.exit_code
            exec_records.settle(self._directory(session), session.record)
            raise error from failure
        except (WherryError, OSError) as failure:
            session.running, session.exit_code = False, failures.COMMAND_NOT_EXECUTABLE
            exec_records.settle(self._directory(session), session.record)
            await self._refuse_if_over(session, container, failure)
            raise
        except BaseException:
            session.running, session.exit_code = False, failures.COMMAND_NOT_EXECUTABLE
            raise
        return session

    async def _noted(self, container_id: str, work: Coroutine[Any, Any, None]) -> None:
        """Awaits a launch that ``settled`` knows of."""
        task = asyncio.create_task(work)
        going_on = self._launches.setdefault(container_id, set())
        going_on.add(task)
        try:
            await to_the_end(_outcome(task))
        finally:
            going_on.discard(task)
            if not going_on:
                self._launches.pop(container_id, None)

    async def settled(self, container_id: str) -> None:
        """Waits until nobody is about to make a process in a container that has ended: what it needs can go then."""
        while going_on := self._launches.get(container_id):
            await asyncio.wait(tuple(going_on))
            await asyncio.sleep(0)  # whoever awaited it takes it off the list

    async def over(self, container_id: str) -> None:
        """The container's run is over: sessions that were not started can never be."""
        await self.settled(container_id)
        for session in tuple(self._sessions.values()):
            if session.container_id == container_id and not session.started:
                session.started, session.exit_code = True, failures.START_FAILED

    async def _refuse_if_over(self, session: ExecSession, container: Container, failure: Exception) -> None:
        """Its container has ended at this moment: whatever went wrong then, that is why."""
        if await self._supervisor.is_over(container):
            session.exit_code = failures.COMMAND_NOT_EXECUTABLE
            raise Conflict(f"container {container.id} is not running") from failure

    async def resize(self, exec_id: str, rows: int, columns: int) -> None:
        """The size of the session's terminal."""
        session = self.find(exec_id)
        if session.control is None or not session.running:
            raise Conflict(f"exec {exec_id} is not running")
        await session.control.resize(rows, columns)

    async def kill(self, session: ExecSession, number: int, timeout: float) -> None:
        """Sends a signal to the session's process and waits until it has ended, at most ``timeout`` seconds.

        Its client leaves, because a monitor stays for one that has output to read.
        """
        if session.control is not None and session.running:
            with contextlib.suppress(WherryError, OSError):  # it may end by itself at this very moment
                await session.control.signal(number)
            if session.client is not None:
                await session.client.close()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(session.ended.wait(), timeout)

    async def stop(self) -> None:
        """Lets go of all sessions; their processes go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _launch(self, session: ExecSession, container: Container, streams: Streams) -> None:
        directory = self._directory(session)
        await in_thread(self._prepare_and_spawn, session, container, directory)
        client = await MonitorClient.connect(directory / "monitor.sock")
        session.client = client
        if streams.stdin or streams.stdout or streams.stderr:
            await client.attach(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr)
        watcher = await MonitorClient.connect(directory / "monitor.sock")
        session.control = watcher
        reports = await watcher.subscribe()
        try:
            state = await client.start()
        except BaseException:
            await watcher.close()
            raise
        session.pid = state.pid or 0
        self._registry.publish(container, f"exec_start: {_shown(session.request)}", {"execID": session.id})
        self._watch(session, watcher, reports)

    def _watch(self, session: ExecSession, watcher: MonitorClient, reports: monitor_client.States) -> None:
        task = asyncio.create_task(self._follow(session, watcher, reports, self._directory(session)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _directory(self, session: ExecSession) -> Path:
        return self._context.layout(session.container_id).exec_directory(session.id)

    def _prepare_and_spawn(self, session: ExecSession, container: Container, directory: Path) -> None:
        layout = self._context.layout(container.id)
        exec_records.write(directory, session.record)
        process = directory / exec_records.PROCESS_FILE
        process.write_text(
            json.dumps(bundles.exec_process(self._context, container, session.request)), encoding="utf-8"
        )
        request = session.request
        runtime = self._context.runtime(container.host_config.runtime)
        monitor_client.spawn(
            monitor_client.MonitorOptions(
                program=native.program("wherry-monitor"),
                container_id=container.id,
                bundle=layout.run,
                runtime=runtime.program,
                runtime_arguments=runtime.arguments,
                runtime_root=self._context.paths.runtime,
                state_dir=directory,
                tty=request.tty,
                stdin=request.attach_stdin,
                stdin_once=request.attach_stdin,
                exec_process=process,
                exec_id=session.id,
            )
        )

    async def _follow(
        self, session: ExecSession, watcher: MonitorClient, reports: monitor_client.States, directory: Path
    ) -> None:
        exit_code = None
        async for report in reports:
            exit_code = report.exit_code
        if exit_code is None:
            record = monitor_client.read_state(directory)
            exit_code = failures.START_FAILED if record is None or record.exit_code is None else record.exit_code
        await self._end(session, exit_code)
        await watcher.close()

    async def _end(self, session: ExecSession, exit_code: int) -> None:
        """Its process has ended."""
        session.exit_code, session.running, session.pid, session.control = exit_code, False, 0, None
        container = self._registry.get(session.container_id)
        if container is not None:
            self._registry.publish(container, "exec_die", {"execID": session.id, "exitCode": str(exit_code)})
        session.ended.set()
        await in_thread(exec_records.settle, self._directory(session), session.record)

    def _forget_oldest(self) -> None:
        ended = [session for session in self._sessions.values() if session.exit_code is not None]
        waiting = [session for session in self._sessions.values() if not session.started]
        for session in (*ended[:-KEPT_AFTER_END], *waiting[:-KEPT_BEFORE_START]):
            del self._sessions[session.id]
            exec_records.remove(self._directory(session))

    # ---- what an earlier agent left

    async def resume(self, container: Container) -> None:
        """Takes up the sessions of a container that runs on: they can be inspected, and ended ones are settled."""
        for directory in self._directories(container):
            record = exec_records.read(directory)
            if record is None:
                await _dismiss(directory)
                exec_records.remove(directory)
                continue
            session = ExecSession(
                record.id, container.id, record.request, record.internal, record.started, exit_code=record.exit_code
            )
            self._sessions[session.id] = session
            if session.started and session.exit_code is None:
                await self._take_up(session, directory)
        self._forget_oldest()

    async def sweep(self, container: Container) -> None:
        """The container's run is over: monitors that wait for a start that will not come are sent away."""
        for directory in self._directories(container):
            await _dismiss(directory)

    def _directories(self, container: Container) -> list[Path]:
        place = self._context.layout(container.id).exec_directory("x").parent
        return sorted(place.iterdir()) if place.is_dir() else []

    async def _take_up(self, session: ExecSession, directory: Path) -> None:
        await in_thread(launches.wait, directory, LAUNCH_SECONDS)
        state = monitor_client.read_state(directory)
        if state is None or state.status == "created":
            # Its start was cut short before there was a process: it can be started again.
            await _dismiss(directory)
            session.started = False
            exec_records.settle(directory, session.record)
            return
        try:
            watcher = await MonitorClient.connect(directory / "monitor.sock")
            reports = await watcher.subscribe()
        except (OSError, WherryError):
            state = monitor_client.read_state(directory) or state
            await self._end(session, failures.START_FAILED if state.exit_code is None else state.exit_code)
            return
        session.running, session.pid, session.control = True, state.pid or 0, watcher
        self._watch(session, watcher, reports)
        if session.internal:
            # Nobody waits for this check any more, nor limits its time.
            with contextlib.suppress(WherryError, OSError):
                await watcher.signal(signal.SIGKILL)


async def _dismiss(directory: Path) -> None:
    """Ends a monitor that was never told to start its process; one that was, stays with it."""
    with contextlib.suppress(WherryError, OSError):
        client = await MonitorClient.connect(directory / "monitor.sock")
        try:
            await client.quit()
        finally:
            await client.close()


async def _outcome(task: asyncio.Task[None]) -> None:
    await task


def _require_running(container: Container) -> None:
    if container.state.status == "paused":
        raise Conflict(f"Container {container.id} is paused, unpause the container before exec")
    if container.state.status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.state.is_running:
        raise Conflict(f"container {container.id} is not running")


def _shown(request: ExecRequest) -> str:
    return " ".join(request.command)
