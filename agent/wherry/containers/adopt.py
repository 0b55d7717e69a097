"""What a new agent does with what the last one left: adopts, settles, finishes, undoes, and restarts."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable, Set
from dataclasses import replace
from pathlib import Path

from wherry import native
from wherry.aio import in_thread
from wherry.containers import create, freezer, launches, observe, rootfs, runtime_commands, times
from wherry.containers.context import Context
from wherry.containers.exec_sessions import Execs
from wherry.containers.layout import ContainerLayout
from wherry.containers.lifecycle import Lifecycle, release
from wherry.containers.model import NEVER, Container
from wherry.containers.monitor_client import MonitorState, read_state
from wherry.containers.plugging import Plugging
from wherry.containers.removal import Remover
from wherry.containers.supervisor import Supervisor
from wherry.containers.waiting import Waiters
from wherry.errors import WherryError
from wherry.state.containers import Phase
from wherry.volumes import mounts

log = logging.getLogger(__name__)

LOST_EXIT_CODE = 255
"""Of a container whose monitor vanished without a word (a reboot, a kill): nobody knows the true one."""

CGROUP_ROOT = Path("/sys/fs/cgroup")
CONCURRENT_STARTS = 4
LAUNCH_SECONDS = 10.0
LAST_WORD_SECONDS = 10.0
_ID = re.compile(r"[0-9a-f]{64}")


class Adoption:
    """The start-up sweep."""

    def __init__(  # noqa: PLR0917
        self,
        context: Context,
        supervisor: Supervisor,
        waiters: Waiters,
        lifecycle: Lifecycle,
        remover: Remover,
        plugging: Plugging,
        execs: Execs,
    ) -> None:
        self._context = context
        self._registry = context.registry
        self._supervisor = supervisor
        self._waiters = waiters
        self._lifecycle = lifecycle
        self._remover = remover
        self._plugging = plugging
        self._execs = execs
        self._mounted: Set[str] = frozenset()

    async def run(self) -> None:
        """One container's fault is logged and does not keep the others from being taken up."""
        rows = self._registry.load()
        self._mounted = mounts.points()
        cut_short = set()
        for container, phase in rows:
            try:
                if await self._take_up(container, phase):
                    cut_short.add(container.id)
            except (WherryError, OSError) as error:
                log.error("container %s (%s): %s", container.short_id, container.name, error)
        await self._sweep_orphans()
        await self._start_demanded(cut_short)

    async def _take_up(self, container: Container, phase: Phase) -> bool:
        """Brings one container to a state that is true; True when it ran and its end is not known."""
        if phase is Phase.CREATING:
            await create.undo(self._context, container)
            return False
        if phase is Phase.REMOVING:
            await self._finish_removal(container)
            return False
        run_directory = self._context.layout(container.id).run
        if phase is Phase.STARTING:
            await in_thread(launches.wait, run_directory, LAUNCH_SECONDS)
        record = read_state(run_directory)
        lives = record is not None and record.status != "exited"
        if phase is Phase.SETTLED and not container.state.is_running and not lives:
            await self._leave_at_rest(container)
            return False
        if record is not None and lives and record.status != "created":
            if await self._supervisor.adopt(container):
                await self._go_on(container, record)
                return False
            record = read_state(run_directory)  # it may have ended between the two looks
        return await self._settle_ended(container, record)

    async def _leave_at_rest(self, container: Container) -> None:
        """It did not run; gives back what was held for a look at its files, and removes it if ``--rm`` asked."""
        below = f"{self._context.layout(container.id).data}/"
        plugged = self._context.networks.sandbox(container.id) is not None
        if plugged or any(place.startswith(below) for place in self._mounted):
            await release(self._context, container)
        if container.host_config.auto_remove and (container.state.started_at != NEVER or container.state.error):
            await self._remover.automatic(container)

    async def _go_on(self, container: Container, record: MonitorState) -> None:
        """It runs: what is recorded of it becomes what is so."""
        container = observe.observe(self._registry, self._waiters, container, record)
        self._registry.set_phase(container.id, Phase.SETTLED)
        await self._plugging.reconcile(container)
        await self._execs.resume(container)
        frozen = container.state.pid > 0 and await in_thread(freezer.is_frozen, container.state.pid)
        if frozen and container.state.status == "running":
            # A commit or a pause was cut short.
            await runtime_commands.resume(self._context, container)
        elif not frozen and container.state.status == "paused":
            state = replace(self._registry.find(container.id).state, status="running")
            self._registry.change_state(container.id, state)

    async def _settle_ended(self, container: Container, record: MonitorState | None) -> bool:
        """It ended meanwhile, or never began."""
        if record is not None and await self._supervisor.adopt(container):
            if record.status != "created":
                # It has not quite gone after the exit; who follows it settles that.
                await self._supervisor.ended(container.id, LAST_WORD_SECONDS)
                if self._registry.get(container.id) is not None:
                    self._registry.set_phase(container.id, Phase.SETTLED)
                return False
            # It waits for a start that will not come.
            await self._supervisor.abandon(container)
        await self._execs.sweep(container)
        await runtime_commands.delete(self._context, container)
        await release(self._context, container)
        self._registry.set_phase(container.id, Phase.SETTLED)
        began = record is not None and record.started_at is not None and record.started_at != container.state.started_at
        if not container.state.is_running and not began:
            return False
        lost = record is None or record.status != "exited"
        last = lost_state(container) if record is None or lost else record
        observe.settle(self._registry, self._waiters, container, last)
        if lost:
            self._context.layout(container.id).monitor_record.unlink(missing_ok=True)  # it tells what is no more
        if container.host_config.auto_remove:
            await self._remover.automatic(container)
        return lost

    async def _finish_removal(self, container: Container) -> None:
        if await self._supervisor.adopt(container):
            await self._lifecycle.stop_for_removal(container)
        await self._execs.sweep(container)
        await runtime_commands.delete(self._context, container)
        await self._remover.finish(container)

    async def _sweep_orphans(self) -> None:
        """What no record knows: containers of the runtime (their processes, groups and systemd scopes), directories,
        mounts, control groups.
        """
        known = {container.id for container in self._registry}
        paths = self._context.paths
        for record in paths.runtime.glob("*"):
            if _ID.fullmatch(record.name) and record.name not in known:
                await self._delete_unknown(record.name)
        present = {entry.name for root in (paths.containers, paths.run_containers) for entry in root.iterdir()}
        for name in present - known:
            if _ID.fullmatch(name) or name.startswith(".removed-"):
                layout = ContainerLayout(paths, name.removeprefix(".removed-"))
                log.info("removing what is left of container %s", layout.container_id[:12])
                await in_thread(rootfs.remove_directories, layout)
        for entry in paths.userns.iterdir():
            if entry.name not in known:
                await in_thread(native.userns_remove, entry)
        await in_thread(_sweep_cgroups, paths.instance, known)
        running = {container.id for container in self._registry if container.state.is_running}
        await self._context.volumes.release_all_but(running)

    async def _delete_unknown(self, container_id: str) -> None:
        log.info("removing what runs of container %s", container_id[:12])
        try:
            await runtime_commands.delete_unknown(self._context, container_id)
            await self._context.networks.detach(container_id)
        except WherryError as error:
            log.error("container %s: %s", container_id[:12], error)

    async def _start_demanded(self, cut_short: set[str]) -> None:
        """Starts what ``always``, ``unless-stopped`` and, where a run was cut short, ``on-failure`` ask for.

        Those that join another container's network come last.
        """
        demanded = [container for container in self._registry if _demands_start(container, container.id in cut_short)]
        joining = [item for item in demanded if item.host_config.network_mode.startswith("container:")]
        alone = [item for item in demanded if item not in joining]
        for group in (alone, joining):
            await self._start_all(group)

    async def _start_all(self, containers: Iterable[Container]) -> None:
        gate = asyncio.Semaphore(CONCURRENT_STARTS)

        async def start(container: Container) -> None:
            async with gate:
                try:
                    await self._lifecycle.start(container.id)
                except WherryError as error:
                    log.error("container %s (%s): %s", container.short_id, container.name, error)

        await asyncio.gather(*(start(container) for container in containers))


def lost_state(container: Container) -> MonitorState:
    """The last report that a monitor which vanished did not give."""
    before = container.state
    return MonitorState(
        id=container.id,
        status="exited",
        monitor_pid=0,
        monitor_start=0,
        pid=None,
        started_at=None if before.started_at == NEVER else before.started_at,
        finished_at=times.now(),
        exit_code=LOST_EXIT_CODE,
        signal=None,
        oom_killed=before.oom_killed,
        restart_count=before.restart_count,
        error="",
    )


def _demands_start(container: Container, cut_short: bool) -> bool:
    state, policy = container.state, container.host_config.restart_policy
    if state.is_running or state.started_at == NEVER:
        return False
    if policy.name == "always":
        return True
    if state.manually_stopped:
        return False
    return policy.name == "unless-stopped" or (policy.name == "on-failure" and cut_short)


def _sweep_cgroups(instance: str, known: set[str]) -> None:
    """Removes empty groups of ours; one that holds a process refuses to go and is left for the next sweep."""
    for parent in (*CGROUP_ROOT.glob(f"*/{instance}"), CGROUP_ROOT / instance):
        if not parent.is_dir():
            continue
        for group in parent.iterdir():
            if _ID.fullmatch(group.name) and group.name not in known:
                _remove_group(group)


def _remove_group(group: Path) -> None:
    for child in group.iterdir():
        if child.is_dir():
            _remove_group(child)
    try:
        group.rmdir()
    except OSError as error:
        log.warning("cannot remove control group %s: %s", group, error.strerror)
