"""The noun ``volume``: what can be done to volumes."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from weakref import WeakValueDictionary

from wherry.aio import in_thread, in_thread_to_the_end
from wherry.errors import Conflict, InvalidParameter, NotFound, WherryError
from wherry.events import Events
from wherry.ids import new_id
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.state.volumes import Phase, VolumesTable
from wherry.volumes import directory, loop_device
from wherry.volumes.driver import Driver
from wherry.volumes.filters import Filters, matches, prunes
from wherry.volumes.local import LocalDriver
from wherry.volumes.loop import LoopDriver
from wherry.volumes.model import ANONYMOUS_LABEL, LOCAL_DRIVER, LOOP_DRIVER, Volume, VolumeSpec

log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LARGEST_NAME = 255 - len(directory.REMOVING_PREFIX)
_NO_FILTERS: Filters = {}


@dataclass(frozen=True)
class Pruned:
    """What a prune took: names, and bytes given back."""

    names: tuple[str, ...]
    reclaimed: int


class Volumes:
    """All volumes of one agent.

    ``in_use`` names the containers, running or not, that refer to a volume; the composition root sets it.
    """

    def __init__(self, paths: Paths, database: Database, events: Events) -> None:
        self._directory = paths.volumes
        self._drivers: Mapping[str, Driver] = {LOCAL_DRIVER: LocalDriver(), LOOP_DRIVER: LoopDriver(paths.instance)}
        self._table = VolumesTable(database)
        self._events = events
        self._volumes: dict[str, Volume] = {}
        # A lock lives for as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.in_use: Callable[[str], Sequence[str]] = self._table.users

    @property
    def drivers(self) -> tuple[str, ...]:
        """Names of the drivers."""
        return tuple(self._drivers)

    async def start(self) -> None:
        """Undoes what a crash cut short: volumes half made or half removed, and loop devices without a mount."""
        for volume, phase in self._table.all():
            if phase is not Phase.SETTLED:
                await in_thread(self._undo, volume)
                self._table.delete(volume.name)
                continue
            self._volumes[volume.name] = volume
        for device in await in_thread(loop_device.give_back_below, self._directory):
            log.info("%s belongs to no mounted volume and is given back when its last user leaves", device)

    async def stop(self) -> None:
        """Lets go; volumes stay mounted for the containers that run on."""

    def driver_of(self, volume: Volume) -> Driver:
        """The driver that made the volume."""
        return self._drivers[volume.driver]

    def _lock(self, name: str) -> asyncio.Lock:
        lock = self._locks.get(name)
        if lock is None:
            lock = self._locks[name] = asyncio.Lock()
        return lock

    def check(self, spec: VolumeSpec) -> None:
        """Whether a volume could be made as asked for; raises what ``create`` would, as far as that can be known."""
        driver = self._drivers.get(spec.driver or LOCAL_DRIVER)
        if driver is None:
            raise NotFound(
                f'create {spec.name}: error looking up volume plugin {spec.driver}: plugin "{spec.driver}" not found'
            )
        driver.check_options(spec.options)

    async def create(self, spec: VolumeSpec) -> Volume:
        """A volume of that name: the one that exists when it is the same, else a new one."""
        name = spec.name or new_id()
        async with self._lock(name):
            known = self._volumes.get(name)
            return await self._create(name, spec) if known is None else self._same(known, spec)

    async def _create(self, name: str, spec: VolumeSpec) -> Volume:
        _check_name(name)
        self.check(replace(spec, name=name))
        labels = dict(spec.labels)
        if spec.anonymous or not spec.name:
            labels.setdefault(ANONYMOUS_LABEL, "")
        mountpoint = str(self._directory / name / directory.DATA)
        driver = spec.driver or LOCAL_DRIVER
        volume = Volume(name, mountpoint, _now(), driver=driver, options=dict(spec.options), labels=labels)
        self._table.save(volume, Phase.MAKING)
        try:
            await in_thread_to_the_end(self.driver_of(volume).make, volume)
        except BaseException:
            await in_thread(self._undo, volume)
            self._table.delete(name)
            raise
        self._table.save(volume, Phase.SETTLED)
        self._volumes[name] = volume
        self._tell("create", volume)
        return volume

    def _same(self, known: Volume, spec: VolumeSpec) -> Volume:
        """The volume that exists, if what is asked for is no other: options count when given, labels never."""
        if spec.driver not in ("", known.driver):
            raise Conflict(f"create {known.name}: volume name must be unique: it exists with the driver {known.driver}")
        if spec.options and self.differ(known, spec.options):
            raise Conflict(
                f"a volume named {known.name} already exists with other options. Choose a different volume name",
                field="DriverOpts",
                value=_shown(spec.options),
                allowed=_shown(known.options) or "none",
            )
        return known

    def differ(self, volume: Volume, options: Mapping[str, str]) -> bool:
        """Whether options mean something else than those that the volume was made with."""
        driver = self.driver_of(volume)
        return dict(driver.canonical(options)) != dict(driver.canonical(volume.options))

    async def grow(self, name: str, options: Mapping[str, str]) -> Volume:
        """Makes a volume larger in place, in use or not, to what its options now say."""
        async with self._lock(name):
            before = self.find(name)
            driver = self.driver_of(before)
            driver.check_options(options)
            after = replace(before, options=dict(options))
            # The record follows the act: after a crash in between it can be asked for again, and is done then.
            await in_thread_to_the_end(driver.grow, after, before)
            self._table.save(after, Phase.SETTLED)
            self._volumes[name] = after
        self._tell("update", after)
        return after

    def _undo(self, volume: Volume) -> None:
        driver = self.driver_of(volume)
        driver.unmount(volume)
        driver.remove(volume)

    def find(self, name: str) -> Volume:
        """The volume of that name; NotFound otherwise."""
        volume = self._volumes.get(name)
        if volume is None:
            raise NotFound(f"get {name}: no such volume")
        return volume

    def list(self, filters: Filters = _NO_FILTERS) -> Sequence[Volume]:
        """The volumes that pass the filters, oldest first."""
        return [one for one in self._volumes.values() if matches(one, filters, in_use=bool(self.users(one.name)))]

    def users(self, name: str) -> Sequence[str]:
        """IDs of the containers that refer to the volume or have it mounted."""
        return tuple(dict.fromkeys((*self.in_use(name), *self._table.users(name))))

    async def remove(self, name: str, force: bool = False, *, besides: str = "") -> None:
        """Removes a volume and its content; one that is in use never, one that is missing only with ``force``.

        ``besides`` is the ID of a container that goes together with it and stands not in the way.
        """
        async with self._lock(name):
            await self._remove(name, force, besides)

    async def _remove(self, name: str, force: bool, besides: str) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        users = [user for user in self.users(name) if user != besides]
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        driver = self.driver_of(volume)
        # What cannot be let go of, because a process of the host is in it, stays as it is.
        await in_thread_to_the_end(driver.unmount, volume)
        self._table.save(volume, Phase.REMOVING)
        self._volumes.pop(name)
        await in_thread_to_the_end(driver.remove, volume)
        self._table.delete(name)
        self._tell("destroy", volume)

    async def prune(self, filters: Filters = _NO_FILTERS, *, named_too: bool = False) -> Pruned:
        """Removes unused volumes: the anonymous ones, with ``named_too`` or the filter ``all=true`` all of them."""
        names, reclaimed = [], 0
        for volume in tuple(self._volumes.values()):
            if prunes(volume, filters, named_too=named_too) and not self.users(volume.name):
                size = await self.size_of(volume)
                try:
                    await self.remove(volume.name)
                except WherryError as error:
                    log.warning("prune: volume %s: %s", volume.name, error)
                    continue
                names.append(volume.name)
                reclaimed += size
        self._events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return Pruned(tuple(names), reclaimed)

    async def mount(self, name: str, user_id: str) -> Path:
        """Holds the volume for a container and returns the directory of its content, mounted where it must be."""
        async with self._lock(name):
            volume = self.find(name)
            self._table.add_user(name, user_id)
            try:
                await in_thread_to_the_end(self.driver_of(volume).mount, volume)
            except BaseException:
                await self._release(volume, user_id)
                raise
        self._tell("mount", volume, {"container": user_id})
        return Path(volume.mountpoint)

    async def unmount(self, name: str, user_id: str) -> None:
        """Gives the volume back; the last user takes its mount away. Harmless for who does not hold it."""
        async with self._lock(name):
            volume = self._volumes.get(name)
            if volume is None or user_id not in self._table.users(name):
                return
            await self._release(volume, user_id)
        self._tell("unmount", volume, {"container": user_id})

    async def _release(self, volume: Volume, user_id: str) -> None:
        if self._table.users(volume.name) == [user_id]:
            await in_thread_to_the_end(self.driver_of(volume).unmount, volume)
        self._table.delete_user(volume.name, user_id)

    async def release_all_but(self, users: Collection[str]) -> None:
        """Takes volumes back from holders that are not among ``users``: a crash can come between any two steps."""
        for name, user_id in self._table.all_users():
            if user_id not in users:
                log.info("volume %s is taken back from %s", name, user_id[:12])
                await self.unmount(name, user_id)

    async def size_of(self, volume: Volume) -> int:
        """Bytes that the volume takes on the host's disk."""
        return await in_thread(self.driver_of(volume).size_of, volume)

    async def status(self, volume: Volume) -> Mapping[str, object]:
        """What the driver has to say of the volume's state."""
        return await in_thread(self.driver_of(volume).status, volume)

    def _tell(self, action: str, volume: Volume, more: Mapping[str, str] | None = None) -> None:
        self._events.publish("volume", action, volume.name, {"driver": volume.driver, **(more or {})})


def _check_name(name: str) -> None:
    if len(name) < 2:
        raise InvalidParameter("volume name is too short, names should be at least two alphanumeric characters")
    if not _NAME.fullmatch(name):
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )
    if len(name) > _LARGEST_NAME:
        raise InvalidParameter(f"volume name is too long, names should be at most {_LARGEST_NAME} characters")


def _shown(options: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(options.items()))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")
