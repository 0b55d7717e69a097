"""The door to containers: every operation on them, as docs/internals.md lists it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from wherry.aio import in_thread
from wherry.config import Config
from wherry.containers import (
    committing,
    create,
    files,
    links,
    listing,
    log_options,
    log_reader,
    observe,
    processes,
    remap,
    removal,
    runtime_commands,
    statistics,
)
from wherry.containers.adopt import Adoption, lost_state
from wherry.containers.attach import AttachHub, AttachSession, Streams
from wherry.containers.committing import CommitRequest
from wherry.containers.context import Context
from wherry.containers.exec_sessions import Execs
from wherry.containers.files import Change
from wherry.containers.health import HealthChecks
from wherry.containers.lifecycle import Lifecycle, release
from wherry.containers.log_formats import FORMATS, LogEntry
from wherry.containers.log_reader import LogQuery, LogSource
from wherry.containers.log_watch import LogWatch
from wherry.containers.model import (
    Container,
    CreateRequest,
    EndpointSettings,
    LogConfig,
    ResourceUpdate,
)
from wherry.containers.monitor_client import MonitorState
from wherry.containers.plugging import Plugging
from wherry.containers.registry import Registry
from wherry.containers.removal import Remover
from wherry.containers.root_view import Views
from wherry.containers.statistics import ContainerStats
from wherry.containers.supervisor import Supervisor
from wherry.containers.waiting import ExitResult, Waiters
from wherry.errors import Conflict, InvalidParameter, NotFound, Unsupported, WherryError
from wherry.events import Events
from wherry.images.model import ContainerRef, Image
from wherry.images.service import Images
from wherry.networks.model import Sandbox
from wherry.networks.service import Networks
from wherry.paths import Paths
from wherry.state.containers import ContainersTable
from wherry.state.database import Database
from wherry.volumes.service import Volumes

log = logging.getLogger(__name__)

WAIT_CONDITIONS = ("not-running", "next-exit", "removed")


@dataclass(frozen=True)
class Created:
    """A new container, and what whoever asked for it should know."""

    container: Container
    warnings: tuple[str, ...]


class Containers:
    """All containers of one agent. References are names, ids or unambiguous id prefixes."""

    def __init__(  # noqa: PLR0917
        self,
        config: Config,
        paths: Paths,
        database: Database,
        events: Events,
        images: Images,
        networks: Networks,
        volumes: Volumes,
    ) -> None:
        self._registry = Registry(ContainersTable(database), events)
        users = remap.load(config.userns_remap)
        self._context = Context(config, paths, self._registry, images, networks, volumes, users)
        self._views = Views(self._context)
        self._plugging = Plugging(self._context)
        self._waiters = Waiters()
        self._attachments = AttachHub(self._context)
        self._supervisor = Supervisor(self._context, self._reported, self._ended)
        self._lifecycle = Lifecycle(self._context, self._supervisor, self._attachments.connect_waiting)
        self.execs = Execs(self._context, self._supervisor)
        self._remover = Remover(self._context, self._lifecycle, self._waiters, self._attachments, self.execs)
        self._background: set[asyncio.Task[None]] = set()
        self._log_watch = LogWatch()
        self._health = HealthChecks(self._registry, self.execs)

    async def start_up(self) -> None:
        """Adopts what runs, settles what ended, finishes or undoes what was cut short, starts what policies demand."""
        log_options.check(LogConfig(self._context.config.log_driver, self._context.config.log_opts))
        if self._context.remap is not None:
            await in_thread(remap.probe, self._context.remap, self._context.paths)
            log.info("users of containers are remapped: root is %s", self._context.remap.shown)
        adoption = Adoption(
            self._context, self._supervisor, self._waiters, self._lifecycle, self._remover, self._plugging, self.execs
        )
        await adoption.run()

    async def shut_down(self) -> None:
        """Lets go of everything; containers run on under their monitors."""
        await self._health.stop()
        await self.execs.stop()
        await self._supervisor.stop()
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)

    # ---- reading

    def find(self, reference: str) -> Container:
        """The container; ``NotFound`` and, for an ambiguous prefix, ``InvalidParameter``."""
        return self._registry.find(reference)

    def known(self, container_id: str) -> Container | None:
        """By full id, ``None`` when it is gone."""
        return self._registry.get(container_id)

    def all(self) -> Sequence[Container]:
        """Every container, in no particular order."""
        return list(self._registry)

    def list(
        self, filters: Mapping[str, Sequence[str]] | None = None, *, everything: bool = False, limit: int | None = None
    ) -> Sequence[Container]:
        """Newest first, as ``docker ps`` shows them."""
        wanted = dict(filters or {})
        if "network" in wanted:
            wanted["network"] = [name for value in wanted["network"] for name in (value, *self._network_name(value))]
        return listing.select(self._registry, wanted, everything=everything, limit=limit, image_id=self._image_id)

    def _network_name(self, reference: str) -> Sequence[str]:
        """The name of a network that a filter gives by ID."""
        try:
            return [self._context.networks.find(reference).name]
        except (NotFound, InvalidParameter, Conflict):
            return []

    def links_of(self, container: Container) -> Sequence[str] | None:
        """Its links in the form of an inspect, ``None`` when it has none."""
        return links.shown(self._registry, container)

    def names_of(self, container: Container) -> Sequence[str]:
        """Its name, and those by which others link to it (``parent/alias``)."""
        linked = links.parents(self._registry, container.id)
        return [container.name, *(f"{parent.name}/{link.alias}" for parent, link in linked)]

    def sandbox(self, container: Container) -> Sandbox | None:
        """Its network as it is now."""
        return self._context.networks.sandbox(container.id)

    def paths_of(self, container: Container) -> dict[str, str]:
        """Where its files are, by the keys of an inspect."""
        layout = self._context.layout(container.id)
        logged = container.host_config.log_config.type == "json-file"
        return {
            "ResolvConfPath": str(layout.resolv_conf),
            "HostnamePath": str(layout.hostname),
            "HostsPath": str(layout.hosts),
            "LogPath": str(layout.log) if logged else "",
        }

    def overlay_of(self, container: Container) -> dict[str, str]:
        """The directories of its root file system, by the keys that an inspect has for overlay2."""
        layout = self._context.layout(container.id)
        try:
            layers = self._context.images.layer_directories(self._context.images.find(container.image_id))
        except NotFound:
            layers = ()
        return {
            "LowerDir": ":".join(str(layer) for layer in reversed(layers)),
            "MergedDir": str(layout.rootfs),
            "UpperDir": str(layout.upper),
            "WorkDir": str(layout.work),
        }

    async def size_of(self, container: Container) -> tuple[int, int]:
        """Bytes that it wrote, and bytes of its whole root file system."""
        own = await in_thread(removal.disk_usage, self._context, container)
        try:
            return own, own + self._context.images.find(container.image_id).size
        except NotFound:
            return own, own

    def users_of_image(self, image_id: str) -> Sequence[ContainerRef]:
        """Containers that stand in the way of removing an image."""
        return [
            ContainerRef(container.id, container.name, container.state.is_running)
            for container in self._registry
            if container.image_id == image_id
            or any(point.type == "image" and point.source == image_id for point in container.mounts)
        ]

    def users_of_volume(self, name: str) -> Sequence[str]:
        """Ids of the containers, running or not, that have a volume among their mounts."""
        return [item.id for item in self._registry if any(point.name == name for point in item.mounts)]

    def logs(self, reference: str, query: LogQuery) -> AsyncIterator[LogEntry]:
        """What it wrote, oldest first; with ``follow`` until it ends."""
        container = self._registry.find(reference)
        driver = container.host_config.log_config.type
        if driver not in log_options.READABLE:
            raise Unsupported("configured logging driver does not support reading")
        identity = container.id

        def ended() -> bool:
            current = self._registry.get(identity)
            return current is None or not current.state.is_running

        source = LogSource(
            path=log_options.path_of(container, self._context.layout(identity)),
            format=FORMATS[driver],
            watch=self._log_watch,
            ended=ended,
            next_exit=lambda: self._waiters.next_exit(identity),
        )
        return log_reader.read(source, query)

    async def stats(self, container: Container) -> ContainerStats | None:
        """What it uses at this moment; ``None`` when it does not run."""
        return await statistics.read(self._context, container)

    async def path_status(self, reference: str, path: str) -> files.PathStatus:
        """What is at a path inside it, whether it runs or not."""
        return await files.status(self._views, self._registry.find(reference), path)

    async def get_archive(self, reference: str, path: str) -> files.Archive:
        """A file or directory inside it, as a tar archive."""
        return await files.get(self._views, self._registry.find(reference), path)

    async def put_archive(
        self, reference: str, path: str, chunks: AsyncIterator[bytes], *, keep_kinds: bool = False, owned: bool = False
    ) -> None:
        """Unpacks a tar archive into a directory inside it."""
        container = self._registry.find(reference)
        await files.put(self._views, container, path, chunks, keep_kinds=keep_kinds, owned=owned)

    async def changes(self, reference: str) -> Sequence[Change]:
        """What it has changed in its image."""
        return await files.changes(self._context, self._registry.find(reference))

    async def export(self, reference: str) -> files.Archive:
        """Its whole root file system, without volumes, as a tar archive."""
        container = self._registry.find(reference)
        archive = await files.export(self._views, container)
        self._registry.publish(container, "export")
        return archive

    async def commit(self, reference: str, request: CommitRequest) -> Image:
        """An image of what it has changed."""
        container = self._registry.find(reference)
        image = await committing.commit(self._context, container, request)
        self._registry.publish(container, "commit", {"comment": request.comment, "imageID": image.id})
        return image

    async def top(self, reference: str, options: str) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        """Its processes: titles and rows of ``ps`` with these options."""
        container = self._registry.find(reference)
        if container.state.status == "restarting":
            raise Conflict(f"Container {container.id} is restarting, wait until the container is running")
        if not container.state.is_running:
            raise Conflict(f"container {container.id} is not running")
        return await in_thread(processes.table, container, options)

    # ---- changing

    async def create(self, request: CreateRequest) -> Created:
        """A new container, not yet running."""
        container, warnings = await create.create(self._context, request)
        return Created(container, tuple(warnings))

    async def start(self, reference: str) -> None:
        """Runs a container; ``NotModified`` when it does already. One with ``--rm`` does not outlive a failed start."""
        container = self._registry.find(reference)
        try:
            await self._lifecycle.start(container.id)
        except WherryError:
            self._not_started(container.id)
            raise

    def _not_started(self, container_id: str) -> None:
        after = self._registry.get(container_id)
        if after is not None and not after.state.is_running:
            self._remove_if_automatic(after)

    async def stop(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Ends a container: its stop signal, SIGKILL after ``timeout`` seconds (-1: never)."""
        await self._lifecycle.stop(reference, timeout, signal)

    async def kill(self, reference: str, signal: str = "") -> None:
        """Sends a signal, SIGKILL if none is named."""
        await self._lifecycle.kill(reference, signal)

    async def restart(self, reference: str, timeout: int | None = None, signal: str = "") -> None:
        """Stops it if it runs, and starts it. One with ``--rm`` outlives that, but not a start that fails."""
        container = self._registry.find(reference)
        try:
            await self._lifecycle.restart(container.id, timeout, signal)
        except WherryError:
            self._not_started(container.id)
            raise

    async def pause(self, reference: str) -> None:
        """Freezes its processes."""
        await self._lifecycle.pause(reference)

    async def unpause(self, reference: str) -> None:
        """Lets them go on."""
        await self._lifecycle.unpause(reference)

    async def update(self, reference: str, change: ResourceUpdate) -> Sequence[str]:
        """Changes limits and restart policy, also while it runs; returns warnings."""
        return await self._lifecycle.update(reference, change)

    async def remove(self, reference: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Takes it off the machine."""
        await self._remover.remove(reference, force=force, volumes=volumes, link=link)

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[Sequence[str], int]:
        """Removes stopped containers; returns their ids and the bytes given back."""
        return await self._remover.prune(filters)

    async def rename(self, reference: str, name: str) -> None:
        """Gives it another name."""
        if not name:
            raise InvalidParameter("Neither old nor new names may be empty")
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._registry.find(container.id)
            if container.name == name.removeprefix("/"):
                raise InvalidParameter("Renaming a container with the same name as its current name")
            renamed = replace(container, name=self._registry.free_name(name))
            self._registry.change(renamed)
            self._context.networks.rename(container.id, renamed.name)
            self._registry.publish(renamed, "rename", {"oldName": f"/{container.name}"})

    async def resize(self, reference: str, rows: int, columns: int) -> None:
        """The size of its terminal."""
        container = self._registry.find(reference)
        if not container.state.is_running:
            raise Conflict(f"container {container.id} is not running")
        await self._supervisor.client(container).resize(rows, columns)
        self._registry.publish(container, "resize", {"height": str(rows), "width": str(columns)})

    async def attach(self, reference: str, streams: Streams) -> AttachSession:
        """A client of its streams, which may come before the start."""
        container = self._registry.find(reference)
        session = await self._attachments.open(container, streams)
        self._registry.publish(container, "attach")
        return session

    def detached(self, container_id: str) -> None:
        """A client took its leave with the detach keys."""
        container = self._registry.get(container_id)
        if container is not None:
            self._registry.publish(container, "detach")

    async def connect(self, network: str, reference: str, wish: EndpointSettings) -> None:
        """Plugs it into one more network, at once if it runs."""
        await self._plugging.connect(network, reference, wish)

    async def disconnect(self, network: str, reference: str, *, force: bool = False) -> None:
        """Takes it out of a network, at once if it runs."""
        await self._plugging.disconnect(network, reference, force=force)

    def wait(self, reference: str, condition: str) -> asyncio.Future[ExitResult]:
        """Done when the condition holds: ``not-running`` (the default), ``next-exit`` or ``removed``."""
        condition = condition or "not-running"
        if condition not in WAIT_CONDITIONS:
            raise InvalidParameter(f'invalid condition: "{condition}"')
        container = self._registry.find(reference)
        if condition == "removed":
            return self._waiters.removal(container.id)
        future = self._waiters.next_exit(container.id)
        if condition == "not-running" and not container.state.is_running:
            future.set_result(ExitResult(container.state.exit_code, container.state.error))
        return future

    # ---- what monitors report

    def _reported(self, container_id: str, report: MonitorState) -> None:
        container = self._registry.get(container_id)
        if container is not None and report.status != "exited":
            self._health.attend(observe.observe(self._registry, self._waiters, container, report))

    async def _ended(self, container: Container, last: MonitorState | None) -> None:
        """Gives back what the run held, then records its end: who waits for that finds everything free."""
        await self._health.forget(container.id)
        await self.execs.over(container.id)
        if last is None or last.status != "exited":
            await runtime_commands.delete(self._context, container)
            last = lost_state(container)
        try:
            await release(self._context, container)
        except (WherryError, OSError) as error:
            # It has ended all the same; what could not be given back is tried again when it starts or is removed.
            log.error("container %s: %s", container.short_id, error)
        current = self._registry.get(container.id)
        if current is None:
            return
        settled = observe.settle(self._registry, self._waiters, current, last)
        if not self._lifecycle.is_restarted(container.id):
            self._remove_if_automatic(settled)

    def _remove_if_automatic(self, container: Container | None) -> None:
        """Begins what ``--rm`` asked for; nobody who stops or starts the container has to wait for it."""
        if container is None or container.removing or not container.host_config.auto_remove:
            return
        task = asyncio.create_task(self._remover.automatic(container))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def shown_image(self, container: Container) -> str:
        """The image as a list names it: by ID when its name has become another's, or has gone."""
        name = container.config.image
        return name if self._image_id(name) == container.image_id else container.image_id

    def _image_id(self, name: str) -> str | None:
        try:
            return self._context.images.find(name).id
        except (NotFound, InvalidParameter):
            return None
