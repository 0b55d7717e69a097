"""The agent's hold on monitors: one watching connection a running container, and what to do when it reports or ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from wherry import native
from wherry.aio import in_thread
from wherry.containers import log_options, monitor_client
from wherry.containers.context import Context
from wherry.containers.model import Container
from wherry.containers.monitor_client import MonitorClient, MonitorState
from wherry.errors import Conflict, WherryError

log = logging.getLogger(__name__)

DOUBT_SECONDS = 0.02
DYING_SECONDS = 3.0
CLOSE_TIMEOUT = 10.0
"""Longer than a monitor takes to drain its clients (2 s) and delete the container."""

Ended = Callable[[Container, MonitorState | None], Awaitable[None]]
Reported = Callable[[str, MonitorState], None]


@dataclass
class _Watched:
    client: MonitorClient
    last: MonitorState | None = None
    task: asyncio.Task[None] | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)


class Supervisor:
    """Watches every monitor. ``reported`` gets each report of a container that goes on; ``ended`` is awaited once when
    its monitor has gone, with the last report if there was one.
    """

    def __init__(self, context: Context, reported: Reported, ended: Ended) -> None:
        self._context = context
        self._reported = reported
        self._ended = ended
        self._watched: dict[str, _Watched] = {}
        self._stopping = False

    async def launch(self, container: Container, bundle: Path) -> None:
        """Starts a monitor that has the container created, and watches it; the process itself waits for ``run``.

        Raises ``MonitorFailure`` with the runtime's message.
        """
        options = await in_thread(self._options, container, bundle)
        await in_thread(monitor_client.spawn, options)
        await self._watch(container, await MonitorClient.connect(options.state_dir / "monitor.sock"))

    async def adopt(self, container: Container) -> bool:
        """Takes up a monitor that an earlier agent started; False when there is none that lives."""
        socket = self._context.layout(container.id).monitor_socket
        if container.id in self._watched:
            return True
        try:
            client = await MonitorClient.connect(socket)
        except (OSError, WherryError):
            return False
        try:
            await self._watch(container, client)
        except WherryError:  # it went at this very moment
            self._watched.pop(container.id, None)
            await client.close()
            return False
        return True

    async def run(self, container: Container) -> None:
        """Lets the created process begin. Raises ``MonitorFailure`` with the runtime's message."""
        watched = self._find(container)
        self._reported(container.id, await watched.client.start())

    def client(self, container: Container) -> MonitorClient:
        """The connection for requests; ``Conflict`` when the container does not run."""
        return self._find(container).client

    def watches(self, container_id: str) -> bool:
        """Whether the container has a monitor, or had one until a moment ago."""
        return container_id in self._watched

    async def ended(self, container_id: str, timeout: float | None = None) -> bool:
        """Waits until the container has ended and all of it is given back; False when the time (seconds) is over."""
        watched = self._watched.get(container_id)
        if watched is None:
            return True
        try:
            await asyncio.wait_for(watched.done.wait(), timeout)
        except asyncio.TimeoutError:
            return False
        return True

    def is_ending(self, container_id: str) -> bool:
        """Whether the container's last report said that it has exited."""
        watched = self._watched.get(container_id)
        return watched is not None and watched.last is not None and watched.last.status == "exited"

    async def is_over(self, container: Container) -> bool:
        """Whether the run that ``container`` shows has ended, after somebody could not do what needs it.

        The process is dying before it is gone, and gone before its monitor has said so; that word is waited for.
        """
        pid = container.state.pid
        dying = time.monotonic() + DYING_SECONDS
        deadline = time.monotonic() + CLOSE_TIMEOUT
        while (current := self._context.registry.get(container.id)) is not None:
            same = current.state.status in ("running", "paused") and current.state.pid == pid
            if not same or not self.watches(container.id):
                return True
            patience = dying if _is_alive(pid) else deadline
            if not self.is_ending(container.id) and time.monotonic() > patience:
                return False
            await asyncio.sleep(DOUBT_SECONDS)
        return True

    async def abandon(self, container: Container) -> None:
        """Ends the monitor of a container that was created and shall not run."""
        watched = self._watched.pop(container.id, None)
        if watched is None:
            return
        if watched.task is not None:
            watched.task.cancel()
            await asyncio.gather(watched.task, return_exceptions=True)
        try:
            await watched.client.quit()
        except (OSError, WherryError):
            log.debug("container %s: its monitor has gone by itself", container.short_id)
        await watched.client.close()
        watched.done.set()

    async def stop(self) -> None:
        """Lets go of all monitors; they and their containers go on."""
        self._stopping = True
        tasks = [watched.task for watched in self._watched.values() if watched.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for watched in self._watched.values():
            await watched.client.close()

    async def _watch(self, container: Container, client: MonitorClient) -> None:
        watched = _Watched(client)
        self._watched[container.id] = watched
        reports = await client.subscribe()
        watched.task = asyncio.create_task(self._follow(container.id, watched, reports))

    async def _follow(self, container_id: str, watched: _Watched, reports: monitor_client.States) -> None:
        async for report in reports:
            watched.last = report
            if report.status != "exited":
                try:
                    self._reported(container_id, report)
                except WherryError:
                    # Whatever stands against taking it up, the end of the container must not be missed.
                    log.exception("container %s: a report could not be taken up", container_id[:12])
        await watched.client.close()
        container = self._context.registry.get(container_id)
        try:
            if container is not None and not self._stopping:
                await self._ended(container, self._last_word(watched, container_id))
        except Exception:
            log.exception("container %s: its end could not be settled", container_id[:12])
        finally:
            self._watched.pop(container_id, None)
            watched.done.set()

    def _last_word(self, watched: _Watched, container_id: str) -> MonitorState | None:
        if watched.last is not None and watched.last.status == "exited":
            return watched.last
        return monitor_client.read_state(self._context.layout(container_id).run)

    def _find(self, container: Container) -> _Watched:
        watched = self._watched.get(container.id)
        if watched is None:
            raise Conflict(f"container {container.id} is not running")
        return watched

    def _options(self, container: Container, bundle: Path) -> monitor_client.MonitorOptions:
        layout = self._context.layout(container.id)
        config = container.config
        if container.host_config.log_config.type == "local":
            layout.local_log.parent.mkdir(mode=0o700, exist_ok=True)
        runtime = self._context.runtime(container.host_config.runtime)
        return monitor_client.MonitorOptions(
            program=native.program("wherry-monitor"),
            container_id=container.id,
            bundle=bundle,
            runtime=runtime.program,
            runtime_arguments=runtime.arguments,
            runtime_root=self._context.paths.runtime,
            state_dir=layout.run,
            log=log_options.settings(container, layout),
            backlog_dir=layout.data,
            restart=container.host_config.restart_policy.as_text(),
            tty=config.tty,
            stdin=config.open_stdin,
            stdin_once=config.stdin_once,
            systemd_cgroup=self._context.config.systemd_cgroups,
        )


def _is_alive(pid: int) -> bool:
    """Whether there is such a process, and not only its remains (proc(5), stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b") ")[2][:1] not in (b"Z", b"X")
