"""Start, stop, kill, restart, pause and update: each under the container's lock, each recorded before it is done."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn, TypeVar

from wherry import native
from wherry.aio import in_thread
from wherry.containers import bundles, failures, links, ports, rootfs, runtime_commands, signals, storage, validate
from wherry.containers.context import Context
from wherry.containers.model import (
    DEFAULT_STOP_TIMEOUT,
    Container,
    ContainerState,
    EndpointSettings,
    HostConfig,
    ResourceUpdate,
)
from wherry.containers.monitor_client import MonitorFailure
from wherry.containers.remap import Users
from wherry.containers.spec.resources import check_limits
from wherry.containers.supervisor import Supervisor
from wherry.errors import Conflict, InvalidParameter, NotModified, SystemFailure, Unavailable, WherryError
from wherry.networks.model import Attachment, EndpointRequest
from wherry.state.containers import Phase

log = logging.getLogger(__name__)

First = TypeVar("First")
Second = TypeVar("Second")

OWN_NETWORK_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What an ordinary user may do in a network namespace that is the container's own: bind any port, and ping."""
KILL_TIMEOUT = 10.0
"""Seconds that a container has to vanish after SIGKILL: longer only when a process is stuck in the kernel."""


class Lifecycle:
    """What changes whether a container runs. ``before_run`` is awaited when its monitor waits for the start."""

    def __init__(
        self, context: Context, supervisor: Supervisor, before_run: Callable[[Container], Awaitable[None]]
    ) -> None:
        self._context = context
        self._registry = context.registry
        self._supervisor = supervisor
        self._before_run = before_run
        self._restarts: set[str] = set()

    def is_restarted(self, container_id: str) -> bool:
        """Whether the end of this container's run, which is just being told, is that of a ``restart``."""
        return container_id in self._restarts

    async def start(self, reference: str) -> None:
        """Runs a container that does not run; ``NotModified`` when it does."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            await self.start_locked(container.id)

    async def start_locked(self, container_id: str) -> None:
        """``start`` for those who hold the lock."""
        if self._registry.find(container_id).removing:
            raise Conflict("container is marked for removal and cannot be started")
        container = self._current(container_id)
        if container.state.status == "paused":
            raise Conflict("cannot start a paused container, try unpause instead")
        if container.state.is_running and self._supervisor.watches(container.id):
            if container.state.status != "running" or not await self._ends_now(container):
                raise NotModified("container is already running")
            container = self._current(container_id)
        self._registry.set_phase(container.id, Phase.STARTING)
        container = self._registry.change_state(
            container.id, replace(container.state, manually_stopped=False, error="")
        )
        try:
            await self._launch(container)
            self._registry.set_phase(container.id, Phase.SETTLED)
        except MonitorFailure as failure:
            await self._start_failed(container, str(failure))
            raise failures.start_error(str(failure)) from failure
        except BaseException as error:
            await self._start_failed(container, str(error))
            raise

    async def _ends_now(self, container: Container) -> bool:
        """Whether the last run is over and only its clearing away is awaited."""
        if not self._supervisor.is_ending(container.id):
            return False
        return await self._supervisor.ended(container.id, KILL_TIMEOUT)

    async def _launch(self, container: Container) -> None:
        """Root file system and network side by side, then the bundle, then the monitor."""
        context = self._context
        shared = bundles.shared_with(context, container)
        if context.remap is not None:
            shared = await in_thread(bundles.with_users, context, container, shared)
        sandbox, _ = await _both(
            context.networks.attach(self._attachment(container, shared.users)),
            in_thread(bundles.mount_root, context, container, shared),
        )
        mounts = await storage.mount_volumes(context, container, shared.users)
        bundle = await in_thread(bundles.write, context, container, mounts, sandbox, shared)
        if any(point.copy_up for point in container.mounts):
            settled = tuple(replace(point, copy_up=False) for point in container.mounts)
            container = self._registry.change(replace(container, mounts=settled))
        await self._supervisor.launch(container, bundle)
        await self._before_run(container)
        await self._supervisor.run(container)
        if next(links.parents(self._registry, container.id), None) is not None:
            try:
                await in_thread(bundles.tell_parents, context, container)
            except OSError as error:  # it runs all the same
                log.error("container %s: those that link to it do not know its address: %s", container.short_id, error)

    def _attachment(self, container: Container, users: Users | None) -> Attachment:
        mode = container.host_config.network_mode
        if mode.startswith("container:"):
            mode = f"container:{self._registry.find(mode.partition(':')[2]).id}"
        return Attachment(
            container_id=container.id,
            name=container.name,
            hostname=container.config.hostname,
            mode="none" if container.config.network_disabled else mode,
            endpoints=tuple(endpoint_request(name, wish) for name, wish in container.networking.endpoints.items()),
            ports=ports.bindings_of(container),
            sysctls=_network_sysctls(container.host_config),
            dns=container.host_config.dns or self._context.config.dns,
            user_namespace=str(users.path) if users else "",
        )

    async def _start_failed(self, container: Container, message: str) -> None:
        """Gives everything back and records why."""
        await self._supervisor.abandon(container)
        await release(self._context, container)
        state = self._registry.find(container.id).state
        self._registry.change_state(
            container.id,
            replace(
                state,
                status="exited" if state.status != "created" else "created",
                pid=0,
                exit_code=failures.exit_code_of(message),
                error=message,
            ),
        )
        self._registry.set_phase(container.id, Phase.SETTLED)

    async def stop(self, reference: str, timeout: int | None = None, signal_name: str = "") -> None:
        """Ends a container: its stop signal, then SIGKILL after ``timeout`` seconds (-1: never)."""
        number = signals.parse(signal_name) if signal_name else None
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._current(container.id)
            if not container.state.is_running:
                raise NotModified("container is already stopped")
            await self.stop_locked(container, timeout, number)

    async def stop_locked(
        self, container: Container, timeout: int | None, number: int | None, *, for_good: bool = True
    ) -> None:
        """``stop`` for those who hold the lock and know that it runs; not ``for_good``: it is about to start again."""
        number = number or stop_signal(container)
        if timeout is None:
            given = container.config.stop_timeout
            timeout = DEFAULT_STOP_TIMEOUT if given is None else given
        if for_good:
            self._mark_stopped(container)
        await self._forbid_restart(container)
        await self._signal(container, number)
        await self._thaw(container)
        if not await self._supervisor.ended(container.id, None if timeout < 0 else timeout):
            await self._signal(container, signal.SIGKILL, everyone=True)
            await self._must_end(container)
        self._registry.publish(self._registry.get(container.id) or container, "stop")

    async def stop_for_removal(self, container: Container) -> None:
        """Ends a container that is about to be removed, at once.

        It needs no lock: whoever holds that may be waiting for just this end.
        """
        self._mark_stopped(container)
        await self._forbid_restart(container)
        await self._signal(container, signal.SIGKILL, everyone=True)
        await self._thaw(container)
        await self._must_end(container)

    async def kill(self, reference: str, signal_name: str = "") -> None:
        """Sends a signal; after SIGKILL it waits for the end. ``Conflict`` when the container does not run."""
        number = signals.parse(signal_name or "SIGKILL")
        container = self._registry.find(reference)
        if not container.state.is_running:
            raise Conflict(f"cannot kill container: {reference}: container {container.id} is not running")
        if number in (signal.SIGKILL, stop_signal(container)):
            self._mark_stopped(container)
            await self._forbid_restart(container)
        # Between two runs nobody is there to get it: then it is enough that no run follows.
        await self._signal(container, number, must=container.state.status != "restarting")
        if number == signal.SIGKILL:
            await self._thaw(container)
            await self._must_end(container)

    async def restart(self, reference: str, timeout: int | None = None, signal_name: str = "") -> None:
        """Stops a container if it runs, and starts it."""
        number = signals.parse(signal_name) if signal_name else None
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._current(container.id)
            if container.state.is_running:
                self._restarts.add(container.id)
                try:
                    await self.stop_locked(container, timeout, number, for_good=False)
                finally:
                    self._restarts.discard(container.id)
            await self.start_locked(container.id)
            self._registry.publish(self._registry.get(container.id) or container, "restart")

    async def pause(self, reference: str) -> None:
        """Freezes a running container."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._current(container.id)
            if container.state.status == "paused":
                raise Conflict(f"Container {container.id} is already paused")
            if container.state.status == "restarting":
                raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
            if container.state.status != "running":
                raise Conflict(f"Container {container.id} is not running")
            try:
                await runtime_commands.pause(self._context, container)
            except SystemFailure as failure:
                await self._refuse_if_over(container)
                raise failure
            self._set_status(container, "paused")
            self._registry.publish(container, "pause")

    async def unpause(self, reference: str) -> None:
        """Lets a paused container go on."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._current(container.id)
            if container.state.status != "paused":
                raise Conflict(f"Container {container.id} is not paused")
            try:
                await runtime_commands.resume(self._context, container)
            except SystemFailure as failure:
                await self._refuse_if_over(container)
                raise failure
            self._set_status(container, "running")
            self._registry.publish(container, "unpause")

    async def update(self, reference: str, change: ResourceUpdate) -> list[str]:
        """Changes limits and the restart policy, in the running container too; returns warnings."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._current(container.id)
            before = container.host_config
            host_config = change.applied_to(before)
            if change.restart_policy is not None:
                if before.auto_remove:
                    raise InvalidParameter(
                        "Restart policy cannot be updated because AutoRemove is enabled for the container"
                    )
                validate.check_restart_policy(change.restart_policy, auto_remove=False)
            check_limits(host_config)
            await self._apply_update(container, replace(container, host_config=host_config), change)
            self._registry.publish(container, "update")
        return []

    async def _apply_update(self, before: Container, after: Container, change: ResourceUpdate) -> None:
        if before.state.status == "restarting" and change.limits:
            await in_thread(bundles.write_resources, self._context, after)
        elif before.state.is_running and change.limits:
            resources = await in_thread(bundles.write_resources, self._context, after)
            try:
                await runtime_commands.update(self._context, after, resources)
            except SystemFailure:
                await in_thread(bundles.write_resources, self._context, before)
                await self._refuse_if_over(before)
                raise
        if before.state.is_running and change.restart_policy is not None:
            await self._supervisor.client(before).set_policy(after.host_config.restart_policy.as_text())
        self._registry.change(after)

    async def _signal(self, container: Container, number: int, *, everyone: bool = False, must: bool = False) -> None:
        """Sends a signal and says so; unless it ``must`` arrive, a process that has gone meanwhile is no fault."""
        try:
            await self._supervisor.client(container).signal(number, everyone=everyone)
        except (MonitorFailure, Conflict, Unavailable) as failure:
            if must:
                await self._explain(container, failure)
        self._registry.publish(self._registry.get(container.id) or container, "kill", {"signal": str(int(number))})

    async def _explain(self, container: Container, failure: WherryError) -> NoReturn:
        """Raises why nothing could be sent: it has just ended, as a rule, which is the caller's affair and no fault."""
        if await self._supervisor.is_over(container):
            raise Conflict(f"cannot kill container: {container.id}: container {container.id} is not running")
        raise SystemFailure(f"cannot kill container: {container.id}: {failure}") from failure

    async def _forbid_restart(self, container: Container) -> None:
        """Tells the monitor that a person wants the end; a monitor that is about to go needs no telling."""
        try:
            await self._supervisor.client(container).stopping(True)
        except (OSError, WherryError):
            if not self._supervisor.is_ending(container.id):
                await self._supervisor.ended(container.id, KILL_TIMEOUT)

    async def _thaw(self, container: Container) -> None:
        """Lets a paused container take its signal; whether it was gone or thawed before, its end will tell."""
        if container.state.status != "paused":
            return
        try:
            await runtime_commands.resume(self._context, container)
        except SystemFailure as failure:
            log.debug("container %s: %s", container.short_id, failure)

    async def _must_end(self, container: Container) -> None:
        if not await self._supervisor.ended(container.id, KILL_TIMEOUT):
            raise SystemFailure(f"container {container.id} did not end within {KILL_TIMEOUT:.0f} s of SIGKILL")

    async def _refuse_if_over(self, container: Container) -> None:
        """The runtime knows it no more: as a rule because it has ended at this very moment."""
        if await self._supervisor.is_over(container):
            raise Conflict(f"Container {container.id} is not running")

    def _mark_stopped(self, container: Container) -> None:
        self._registry.change_state(
            container.id, replace(self._registry.find(container.id).state, manually_stopped=True)
        )

    def _set_status(self, container: Container, status: str) -> None:
        state: ContainerState = self._registry.find(container.id).state
        self._registry.change_state(container.id, replace(state, status=status))

    def _current(self, container_id: str) -> Container:
        """The record as it is now that the lock is held; it may have been removed while waiting for that."""
        container = self._registry.find(container_id)
        if container.removing:
            raise Conflict(f"removal of container {container_id} is already in progress")
        return container


def stop_signal(container: Container) -> int:
    """The signal that asks the container to end."""
    return signals.parse(container.config.stop_signal or "SIGTERM")


async def release(context: Context, container: Container) -> None:
    """Gives back what a run holds: network, volumes, mounts. Harmless when nothing is held."""
    faults: list[WherryError] = []
    for step in (
        context.networks.detach(container.id),
        storage.unmount_volumes(context, container),
        in_thread(rootfs.unmount, context.layout(container.id)),
        in_thread(native.userns_remove, context.layout(container.id).userns),
    ):
        try:
            await step
        except WherryError as error:
            faults.append(error)
    if faults:
        raise faults[0]


async def _both(first: Awaitable[First], second: Awaitable[Second]) -> tuple[First, Second]:
    """Both results. When one fails the other is waited for before the error goes up, so what it made can be undone."""
    results = await asyncio.gather(first, second, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results[0], results[1]  # type: ignore[return-value]


def endpoint_request(network: str, wish: EndpointSettings) -> EndpointRequest:
    """The wish in the words of networks."""
    return EndpointRequest(
        network,
        wish.aliases,
        wish.ipv4,
        wish.ipv6,
        wish.mac,
        wish.gw_priority,
        dict(wish.driver_options),
        wish.links,
        wish.link_local,
    )


def _network_sysctls(host_config: HostConfig) -> dict[str, str]:
    """What is set in the container's network namespace: Docker's defaults in one of its own, and what was asked for."""
    asked = {name: value for name, value in host_config.sysctls.items() if name.startswith("net.")}
    shared = host_config.network_mode == "host" or host_config.network_mode.startswith("container:")
    return asked if shared else {**OWN_NETWORK_SYSCTLS, **asked}
