"""A container's mounts made real: volumes created, mounted and given back, directories of the host made where asked."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from wherry import native
from wherry.aio import in_thread
from wherry.containers import mount_requests, rootfs
from wherry.containers.context import Context
from wherry.containers.copy_up import fill
from wherry.containers.layout import ContainerLayout
from wherry.containers.model import Container, ContainerConfig, HostConfig, MountPoint
from wherry.containers.remap import Users
from wherry.errors import InvalidParameter, NotFound, SystemFailure, WherryError
from wherry.ids import new_id
from wherry.volumes.model import VolumeSpec


def asked_for(context: Context, config: ContainerConfig, host_config: HostConfig) -> tuple[MountPoint, ...]:
    """Every mount of a new container, with the names of its volumes; none is made yet.

    What is taken over from other containers gives way to what was asked for, and both stand before the image's volumes.
    """
    points = _taken_over(context, host_config)
    points.update(mount_requests.parse_all(host_config))
    own = mount_requests.image_volumes(config.volumes, host_config.volume_driver, points)
    points.update((point.destination, point) for point in own)
    return tuple(_named(point) for point in points.values())


def _named(point: MountPoint) -> MountPoint:
    return replace(point, name=new_id()) if point.type == "volume" and not point.name else point


async def make_volumes(
    context: Context, points: Iterable[MountPoint], host_config: HostConfig
) -> tuple[MountPoint, ...]:
    """The mounts with their volumes made. Their container is on record with them, so nobody can take them away."""
    await in_thread(_check_sources, points)
    return tuple([await _with_volume(context, point, host_config) for point in points])


def _taken_over(context: Context, host_config: HostConfig) -> dict[str, MountPoint]:
    points: dict[str, MountPoint] = {}
    for text in host_config.volumes_from:
        reference, writable = mount_requests.parse_volumes_from(text)
        try:
            other = context.registry.find(reference)
        except NotFound as error:  # as in Docker, it is the request that is wrong
            raise InvalidParameter(str(error)) from None
        for point in other.mounts:
            if point.type != "tmpfs":
                access = point.rw if writable is None else point.rw and writable
                points[point.destination] = replace(point, rw=access, anonymous=False, copy_up=False)
    return points


def _check_sources(points: Iterable[MountPoint]) -> None:
    for point in points:
        if point.type == "bind" and not point.create_source and not Path(point.source).exists():
            raise InvalidParameter(
                f'invalid mount config for type "bind": bind source path does not exist: {point.source}'
            )


async def _with_volume(context: Context, point: MountPoint, host_config: HostConfig) -> MountPoint:
    if point.type == "image" and not point.source:
        return replace(point, source=context.images.find(point.name).id)
    if point.type != "volume" or point.source:
        return point
    asked = next(
        (mount.volume for mount in host_config.mounts if mount.volume and mount.target == point.destination), None
    )
    volume = await context.volumes.create(
        VolumeSpec(
            name=point.name,
            driver=point.driver,
            options=asked.driver_options if asked else {},
            labels=asked.labels if asked else {},
            anonymous=point.anonymous,
        )
    )
    return replace(point, name=volume.name, driver=volume.driver, source=str(volume.mountpoint))


async def mount_volumes(context: Context, container: Container, users: Users | None = None) -> tuple[MountPoint, ...]:
    """The mounts with the paths of volumes and images as they are now.

    Every volume stays held until ``unmount_volumes``; images stay mounted until ``rootfs.unmount``.
    """
    ready = []
    for index, point in enumerate(container.mounts):
        if point.type == "image":
            layers = context.images.layer_directories(context.images.find(point.source))
            place = context.layout(container.id).images / str(index)
            point = replace(point, source=str(await in_thread(_mount_image, place, layers, users)))  # noqa: PLW2901
        if point.type == "volume":
            path = await context.volumes.mount(point.name, container.id)
            point = replace(point, source=str(path))  # noqa: PLW2901
        ready.append(point)
    return tuple(ready)


async def unmount_volumes(context: Context, container: Container) -> None:
    """Gives the volumes back."""
    for point in container.mounts:
        if point.type == "volume":
            await context.volumes.unmount(point.name, container.id)


def prepare(layout: ContainerLayout, mounts: Sequence[MountPoint], content: Path) -> tuple[MountPoint, ...]:
    """Directories of the host that ``Binds`` make, ``content`` for empty volumes, parts of volumes; blocks.

    Returns the mounts with what is there to be bound.
    """
    for point in mounts:
        if point.type == "bind" and point.create_source:
            _make_source(point.source)
        elif point.copy_up and not point.subpath:
            fill(Path(point.source), content, point.destination)
    return tuple(
        _mount_part(layout.parts / str(index), point) if point.subpath else point for index, point in enumerate(mounts)
    )


def _mount_image(place: Path, layers: Sequence[Path], users: Users | None) -> Path:
    """An image as a directory. It is writable as the container's own root is, and what is written goes with the run."""
    root, upper, work = (place / name for name in ("root", "upper", "work"))
    if not os.path.ismount(root):
        native.remove_tree(place)  # what a crash has left
        for directory in (root, upper, work):
            directory.mkdir(mode=0o755, parents=True)
        rootfs.stack(root, layers, upper, work, users)
    return root


def _mount_part(target: Path, point: MountPoint) -> MountPoint:
    """Mounts a part of a volume by itself: what the path means is settled once, and never outside of the volume."""
    try:
        part = native.open_in_root(point.source, point.subpath, os.O_PATH)
    except native.NativeError as error:
        raise InvalidParameter(f"cannot access path {point.subpath} of volume {point.name}: {error}") from error
    try:
        target.parent.mkdir(mode=0o700, exist_ok=True)
        native.unmount(target, lazy=True)  # what a crash has left
        if stat.S_ISDIR(os.fstat(part).st_mode):
            target.mkdir(exist_ok=True)
        else:
            target.touch()
        command = ["mount", "--no-canonicalize", "--bind", f"/proc/self/fd/{part}", str(target)]
        done = subprocess.run(command, pass_fds=(part,), capture_output=True, text=True, check=False)
    finally:
        os.close(part)
    if done.returncode:
        raise SystemFailure(f"cannot mount {point.subpath} of volume {point.name}: {done.stderr.strip()}")
    return replace(point, source=str(target), subpath="")


def _make_source(source: str) -> None:
    try:
        Path(source).mkdir(mode=0o755, parents=True, exist_ok=True)
    except FileExistsError:
        return
    except OSError as error:
        raise SystemFailure(
            f"error while creating mount source path '{source}': mkdir {source}: {error.strerror}"
        ) from error


async def remove_anonymous(context: Context, container: Container) -> None:
    """Removes the volumes that were made for one container alone; one that another has come to use stays."""
    for point in container.mounts:
        if point.type == "volume" and point.anonymous:
            try:
                await context.volumes.remove(point.name, force=True, besides=container.id)
            except WherryError:
                continue
