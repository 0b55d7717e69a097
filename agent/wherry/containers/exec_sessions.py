"""Further processes in running containers. Each has a monitor of its own, so it outlives the agent as they do; what the
agent knows of a session it forgets with the container's run.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from dataclasses import dataclass, field
from pathlib import Path

from wherry import native
from wherry.aio import in_thread, to_the_end
from wherry.containers import bundles, failures, monitor_client
from wherry.containers.attach import Streams
from wherry.containers.context import Context
from wherry.containers.model import Container, ExecRequest
from wherry.containers.monitor_client import MonitorClient, MonitorFailure
from wherry.errors import Conflict, NotFound, WherryError
from wherry.ids import new_id

log = logging.getLogger(__name__)

PRIVATE_MODE = 0o700
KEPT_AFTER_END = 256
"""Ended sessions that can still be inspected, for the whole agent; the oldest go first."""


@dataclass
class ExecSession:
    """One further process. ``exit_code`` is ``None`` until it has ended; ``ended`` is set when it is known."""

    id: str
    container_id: str
    request: ExecRequest
    started: bool = False
    running: bool = False
    exit_code: int | None = None
    pid: int = 0
    client: MonitorClient | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class ExecFailed(WherryError):
    """The process could not be started; ``exit_code`` says why as a shell would."""

    status = 500

    def __init__(self, message: str) -> None:
        super().__init__(failures.exec_error(message))
        self.exit_code = failures.exit_code_of(message)


class Execs:
    """All sessions of this agent."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry
        self._sessions: dict[str, ExecSession] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def create(self, reference: str, request: ExecRequest) -> ExecSession:
        """Notes what shall run; nothing is started."""
        container = self._registry.find(reference)
        _require_running(container)
        session = ExecSession(new_id(), container.id, request)
        self._sessions[session.id] = session
        self._forget_oldest()
        self._registry.publish(container, f"exec_create: {_shown(request)}", {"execID": session.id})
        return session

    def find(self, exec_id: str) -> ExecSession:
        """By id; ``NotFound`` in Docker's words."""
        session = self._sessions.get(exec_id)
        if session is None:
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
        """The container of a session that can be started; ``Conflict`` when it was, or its container does not run."""
        if session.started:
            raise Conflict(f"Error: Exec command {session.id} has already run")
        container = self._registry.find(session.container_id)
        _require_running(container)
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
            await to_the_end(self._launch(session, container, streams))
        except MonitorFailure as failure:
            session.running, error = False, ExecFailed(str(failure))
            session.exit_code = error.exit_code
            raise error from failure
        except BaseException:
            session.running, session.exit_code = False, failures.COMMAND_NOT_EXECUTABLE
            raise
        return session

    async def resize(self, exec_id: str, rows: int, columns: int) -> None:
        """The size of the session's terminal."""
        session = self.find(exec_id)
        if session.client is None or not session.running:
            raise Conflict(f"exec {exec_id} is not running")
        await session.client.resize(rows, columns)

    async def kill(self, session: ExecSession, number: int, timeout: float) -> None:
        """Sends a signal to the session's process and waits until it has ended, at most ``timeout`` seconds.

        Its client leaves, because a monitor stays for one that has output to read.
        """
        if session.client is not None and session.running:
            with contextlib.suppress(WherryError, OSError):  # it may end by itself at this very moment
                await session.client.signal(number)
            await session.client.close()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(session.ended.wait(), timeout)

    async def stop(self) -> None:
        """Lets go of all sessions; their processes go on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _launch(self, session: ExecSession, container: Container, streams: Streams) -> None:
        layout = self._context.layout(container.id)
        directory = layout.exec_directory(session.id)
        await in_thread(self._prepare_and_spawn, session, container, directory)
        client = await MonitorClient.connect(directory / "monitor.sock")
        session.client = client
        if streams.stdin or streams.stdout or streams.stderr:
            await client.attach(stdin=streams.stdin, stdout=streams.stdout, stderr=streams.stderr)
        watcher = await MonitorClient.connect(directory / "monitor.sock")
        reports = await watcher.subscribe()
        state = await client.start()
        session.pid = state.pid or 0
        self._registry.publish(container, f"exec_start: {_shown(session.request)}", {"execID": session.id})
        task = asyncio.create_task(self._follow(session, watcher, reports, directory))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _prepare_and_spawn(self, session: ExecSession, container: Container, directory: Path) -> None:
        layout = self._context.layout(container.id)
        directory.mkdir(mode=PRIVATE_MODE, parents=True)
        process = directory / "process.json"
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
        session.exit_code, session.running, session.pid = exit_code, False, 0
        await watcher.close()
        container = self._registry.get(session.container_id)
        if container is not None:
            self._registry.publish(container, "exec_die", {"execID": session.id, "exitCode": str(exit_code)})
        session.ended.set()
        with contextlib.suppress(native.NativeError):
            await in_thread(native.remove_tree, directory)

    def _forget_oldest(self) -> None:
        ended = [session.id for session in self._sessions.values() if session.exit_code is not None]
        for exec_id in ended[:-KEPT_AFTER_END]:
            del self._sessions[exec_id]


def _require_running(container: Container) -> None:
    if container.state.status == "paused":
        raise Conflict(f"Container {container.id} is paused, unpause the container before exec")
    if container.state.status == "restarting":
        raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
    if not container.state.is_running:
        raise Conflict(f"container {container.id} is not running")


def _shown(request: ExecRequest) -> str:
    return " ".join(request.command)
