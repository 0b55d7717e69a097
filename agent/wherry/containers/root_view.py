"""The file system of a container as its processes see it, whether it runs or not.

Of one that runs it is /proc/PID/root, with every mount. For one that does not, the root file system is mounted, its
volumes and binds in their places, for as long as the view is open; it cannot be started or removed meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.aio import in_thread, in_thread_to_the_end
from wherry.containers import remap, rootfs, storage
from wherry.containers.context import Context
from wherry.containers.model import Container, MountPoint
from wherry.errors import Conflict, SystemFailure
from wherry.native import UNSHIFTED, IdMaps

DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True)
class Root:
    """A root directory by its descriptor, and how the owners in it are mapped."""

    descriptor: int
    ids: IdMaps = UNSHIFTED


class Views:
    """The root file systems of containers that do not run, mounted while anybody looks at them.

    A container's lock is taken with its first view and given back with its last, so that clients that read at the same
    time do not wait for one another.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: dict[str, _View] = {}

    @asynccontextmanager
    async def opened(self, container_id: str) -> AsyncIterator[Root]:
        """The root directory, with volumes and binds in their places.

        Every path is to be looked up below it (openat2, RESOLVE_IN_ROOT).
        """
        container = self._context.registry.find(container_id)
        if container.state.is_running and container.state.pid:
            with _directory(Path(f"/proc/{container.state.pid}/root")) as descriptor:
                yield Root(descriptor, self.ids(container))
            return
        async with self._shared(container.id) as place:
            with _directory(place) as descriptor:
                yield Root(descriptor)

    def ids(self, container: Container) -> IdMaps:
        """The owners of what a running container shows; of one that does not run they are as on disk."""
        if not container.state.is_running or not container.state.pid:
            return UNSHIFTED
        return remap.ids_of(self._context.layout(container.id), container.state.pid)

    @asynccontextmanager
    async def root(self, container_id: str) -> AsyncIterator[Path]:
        """The root file system alone, without what is mounted into it; waits until all other views are closed."""
        container = self._context.registry.find(container_id)
        if container.state.is_running:
            yield self._context.layout(container.id).rootfs
            return
        async with self._context.registry.lock(container.id):
            async with _mounted(self._context, _still(self._context, container.id), with_volumes=False) as place:
                yield place

    @asynccontextmanager
    async def _shared(self, container_id: str) -> AsyncIterator[Path]:
        view = self._open.get(container_id)
        if view is None:
            view = self._open[container_id] = _View(self._context, container_id)
        view.users += 1
        try:
            yield await asyncio.shield(view.place)
        finally:
            view.users -= 1
            if not view.users:
                del self._open[container_id]
                view.done.set()
                await asyncio.shield(view.task)


class _View:
    """One mounted root file system: a task holds the lock and the mounts until the last user says that it is done."""

    def __init__(self, context: Context, container_id: str) -> None:
        self.users = 0
        self.done = asyncio.Event()
        self.place: asyncio.Future[Path] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._hold(context, container_id))

    async def _hold(self, context: Context, container_id: str) -> None:
        try:
            async with context.registry.lock(container_id):
                async with _mounted(context, _still(context, container_id)) as place:
                    self.place.set_result(place)
                    await self.done.wait()
        except Exception as error:
            if self.place.done():
                raise
            self.place.set_exception(error)
            self.place.exception()  # whoever asked may have left


def _still(context: Context, container_id: str) -> Container:
    """The container, if it is still there and does not run."""
    container = context.registry.find(container_id)
    if container.removing:
        raise Conflict(f"container {container.id} is marked for removal")
    if container.state.is_running:
        raise Conflict(f"container {container.id} has been started meanwhile")
    return container


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, DIRECTORY)
    except OSError as error:
        raise Conflict(f"the container has ended meanwhile: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@asynccontextmanager
async def _mounted(context: Context, container: Container, *, with_volumes: bool = True) -> AsyncIterator[Path]:
    layout = context.layout(container.id)
    layers = context.images.layer_directories(context.images.find(container.image_id))
    try:
        await in_thread_to_the_end(rootfs.mount, layout, layers)
        if with_volumes:
            points = await storage.mount_volumes(context, container)
            await in_thread_to_the_end(_bind_all, layout.rootfs, points)
        yield layout.rootfs
    finally:
        await in_thread(rootfs.unmount, layout)
        if with_volumes:
            await storage.unmount_volumes(context, container)


def _bind_all(root: Path, points: tuple[MountPoint, ...]) -> None:
    for point in sorted(points, key=lambda one: one.destination.count("/")):
        if point.type != "tmpfs":
            _bind(root, point)


def _bind(root: Path, point: MountPoint) -> None:
    """Mounts by descriptor at what the place means inside the root, whatever links the image or a volume has."""
    source = native.open_in_root(point.source, point.subpath, os.O_PATH) if point.subpath else _open(point.source)
    try:
        target = _place(root, point.destination, is_directory=_is_directory(source))
        try:
            _mount(point, "--bind", source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)
    if not point.rw:
        mounted = native.open_in_root(root, point.destination, os.O_PATH)
        try:
            _mount(point, "--options=remount,bind,ro", mounted)
        finally:
            os.close(mounted)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_CLOEXEC)


def _mount(point: MountPoint, how: str, *places: int) -> None:
    command = ["mount", "--no-canonicalize", how, *(f"/proc/self/fd/{place}" for place in places)]
    done = subprocess.run(command, pass_fds=places, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemFailure(f"cannot mount {point.destination}: {done.stderr.strip()}")


def _is_directory(descriptor: int) -> bool:
    return stat.S_ISDIR(os.fstat(descriptor).st_mode)


def _place(root: Path, path: str, *, is_directory: bool) -> int:
    """Opens the place of a mount, made where it is missing, as a start would make it."""
    directory = os.open(root, DIRECTORY)
    names = [name for name in path.split("/") if name]
    for depth, name in enumerate(names, 1):
        below = "/".join(names[:depth])
        try:
            found = native.open_in_root(root, below, os.O_PATH)
        except native.NativeError:
            last = depth == len(names)
            if last and not is_directory:
                os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=directory))
            else:
                os.mkdir(name, 0o755, dir_fd=directory)
            found = native.open_in_root(root, below, os.O_PATH)
        os.close(directory)
        directory = found
    return directory
