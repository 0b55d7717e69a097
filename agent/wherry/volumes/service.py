"""The noun ``volume``: what can be done to volumes."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from wherry.aio import in_thread
from wherry.errors import Conflict, InvalidParameter, NotFound, WherryError
from wherry.events import Events
from wherry.ids import new_id
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.state.volumes import Phase, VolumesTable
from wherry.volumes import local
from wherry.volumes.filters import Filters, matches, prunes
from wherry.volumes.model import ANONYMOUS_LABEL, LOCAL_DRIVER, Volume, VolumeSpec

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_LARGEST_NAME = 255 - len(local.REMOVING_PREFIX)
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
        self._table = VolumesTable(database)
        self._events = events
        self._volumes: dict[str, Volume] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self.in_use: Callable[[str], Sequence[str]] = self._table.users

    async def start(self) -> None:
        """Undoes what a crash cut short."""
        for volume, phase in self._table.all():
            if phase is not Phase.SETTLED:
                await in_thread(local.remove_directory, volume)
                self._table.delete(volume.name)
                continue
            self._volumes[volume.name] = volume

    async def stop(self) -> None:
        """Lets go; volumes stay mounted for the containers that run on."""

    async def create(self, spec: VolumeSpec) -> Volume:
        """A volume of that name: the one that exists when it is the same, else a new one."""
        if spec.driver not in {"", LOCAL_DRIVER}:
            raise NotFound(f'error looking up volume plugin {spec.driver}: plugin "{spec.driver}" not found')
        local.check_options(spec.options)
        name = spec.name or new_id()
        async with self._locks[name]:
            known = self._volumes.get(name)
            return await self._create(name, spec) if known is None else _same(known, spec)

    async def _create(self, name: str, spec: VolumeSpec) -> Volume:
        _check_name(name)
        labels = dict(spec.labels)
        if spec.anonymous or not spec.name:
            labels.setdefault(ANONYMOUS_LABEL, "")
        mountpoint = str(self._directory / name / local.DATA)
        volume = Volume(name, mountpoint, _now(), options=dict(spec.options), labels=labels)
        self._table.save(volume, Phase.MAKING)
        try:
            await in_thread(local.make_directory, volume)
        except WherryError:
            self._table.delete(name)
            raise
        self._table.save(volume, Phase.SETTLED)
        self._volumes[name] = volume
        self._tell("create", volume)
        return volume

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

    async def remove(self, name: str, force: bool = False) -> None:
        """Removes a volume and its content; one that is in use never, one that is missing only with ``force``."""
        async with self._locks[name]:
            await self._remove(name, force)

    async def _remove(self, name: str, force: bool) -> None:
        volume = self._volumes.get(name)
        if volume is None:
            if force:
                return
            raise NotFound(f"get {name}: no such volume")
        users = self.users(name)
        if users:
            raise Conflict(f"remove {name}: volume is in use - [{', '.join(users)}]")
        self._table.save(volume, Phase.REMOVING)
        self._volumes.pop(name)
        await in_thread(local.remove_directory, volume)
        self._table.delete(name)
        self._tell("destroy", volume)

    async def prune(self, filters: Filters = _NO_FILTERS, *, named_too: bool = False) -> Pruned:
        """Removes unused volumes: the anonymous ones, with ``named_too`` or the filter ``all=true`` all of them."""
        names, reclaimed = [], 0
        for volume in tuple(self._volumes.values()):
            if prunes(volume, filters, named_too=named_too) and not self.users(volume.name):
                size = 0 if volume.needs_mount else await in_thread(local.size_of, volume)
                await self.remove(volume.name)
                names.append(volume.name)
                reclaimed += size
        self._events.publish("volume", "prune", "", {"reclaimed": str(reclaimed)})
        return Pruned(tuple(names), reclaimed)

    async def mount(self, name: str, user_id: str) -> Path:
        """Holds the volume for a container and returns the directory of its content, mounted where it must be."""
        async with self._locks[name]:
            volume = self.find(name)
            self._table.add_user(name, user_id)
            try:
                # A directory that somebody took away under us is made anew, as Docker does.
                await in_thread(local.make_directory if not volume.needs_mount else local.mount, volume)
            except WherryError:
                self._table.delete_user(name, user_id)
                raise
        self._tell("mount", volume, {"container": user_id})
        return Path(volume.mountpoint)

    async def unmount(self, name: str, user_id: str) -> None:
        """Gives the volume back; the last user takes its mount away. Harmless for who does not hold it."""
        async with self._locks[name]:
            volume = self._volumes.get(name)
            if volume is None or user_id not in self._table.users(name):
                return
            if volume.needs_mount and self._table.users(name) == [user_id]:
                await in_thread(local.unmount, volume)
            self._table.delete_user(name, user_id)
        self._tell("unmount", volume, {"container": user_id})

    def _tell(self, action: str, volume: Volume, more: Mapping[str, str] | None = None) -> None:
        self._events.publish("volume", action, volume.name, {"driver": volume.driver, **(more or {})})


def _same(known: Volume, spec: VolumeSpec) -> Volume:
    """The volume that exists, if what is asked for is no other: options count when given, labels never."""
    if spec.options and dict(spec.options) != dict(known.options):
        raise Conflict(
            f"a volume named {known.name} already exists with other options. Choose a different volume name",
            field="DriverOpts",
            value=_shown(spec.options),
            allowed=_shown(known.options) or "none",
        )
    return known


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
