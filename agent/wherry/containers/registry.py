"""All containers of this agent: looked up by name, id or prefix; changed only through here, so that table and memory
agree. What the database holds is read once, at the start."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from weakref import WeakValueDictionary

from wherry import names
from wherry.containers.model import Container, ContainerState
from wherry.errors import Conflict, InvalidParameter, NotFound, SystemFailure
from wherry.events import Events
from wherry.state.containers import ContainersTable, Phase

log = logging.getLogger(__name__)

NAME_FORM = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_NAME = re.compile(rf"/?{NAME_FORM}+")
_HEXADECIMAL = re.compile(r"[0-9a-f]+")


class Registry:
    """The records. A lock per container orders what is done to it; reading needs none."""

    def __init__(self, table: ContainersTable, events: Events) -> None:
        self._table = table
        self._events = events
        self._containers: dict[str, Container] = {}
        self._ids: dict[str, str] = {}
        self._phases: dict[str, Phase] = {}
        self._unsaved: set[str] = set()
        # A lock lives for as long as somebody holds it or waits for it.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def load(self) -> list[tuple[Container, Phase]]:
        """Reads the table; returns every container with what was being done to it when the last agent ended."""
        rows = self._table.all()
        for container, phase in rows:
            self._keep(container)
            self._phases[container.id] = phase
        return rows

    def __iter__(self) -> Iterator[Container]:
        return iter(list(self._containers.values()))

    def get(self, container_id: str) -> Container | None:
        """By full id, ``None`` when it is gone."""
        return self._containers.get(container_id)

    def find(self, reference: str) -> Container:
        """By full id, name, ``PARENT/ALIAS`` of a link, or unambiguous id prefix.

        ``NotFound`` and ``InvalidParameter`` in Docker's words.
        """
        name = reference.removeprefix("/")
        exact = self._containers.get(reference) or self._containers.get(self._ids.get(name, ""))
        if exact is not None:
            return exact
        if "/" in name and (linked := self._linked(name)) is not None:
            return linked
        if _HEXADECIMAL.fullmatch(reference):
            matches = [container_id for container_id in self._containers if container_id.startswith(reference)]
            if len(matches) > 1:
                raise InvalidParameter(f"multiple IDs found with provided prefix: {reference}")
            if matches:
                return self._containers[matches[0]]
        raise NotFound(f"No such container: {reference}")

    def _linked(self, name: str) -> Container | None:
        parent, _, alias = name.partition("/")
        above = self._containers.get(self._ids.get(parent, ""))
        found = (self.get(link.container_id) for link in (above.links if above else ()) if link.alias == alias)
        return next(found, None)

    def lock(self, container_id: str) -> asyncio.Lock:
        """Held by whoever changes this container."""
        lock = self._locks.get(container_id)
        if lock is None:
            lock = self._locks[container_id] = asyncio.Lock()
        return lock

    def free_name(self, wanted: str) -> str:
        """The name without its slash if it is well formed and free; a new one when none is wanted."""
        if not wanted:
            return names.generate(self._ids.__contains__)
        if not _NAME.fullmatch(wanted):
            raise InvalidParameter(f"Invalid container name ({wanted}), only {NAME_FORM} are allowed")
        name = wanted.removeprefix("/")
        holder = self._ids.get(name)
        if holder is not None:
            raise Conflict(
                f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
                "You have to remove (or rename) that container to be able to reuse that name."
            )
        return name

    def add(self, container: Container) -> None:
        """A container that is about to be made."""
        self._table.insert(container, Phase.CREATING)
        self._phases[container.id] = Phase.CREATING
        self._keep(container)

    def change(self, container: Container) -> Container:
        """Replaces the record, its name included, but not the state, which may have changed since it was read."""
        before = self._containers[container.id]
        container = replace(container, state=before.state, removing=before.removing)
        self._table.update(container, self._phases[container.id])
        if before.name != container.name:
            del self._ids[before.name]
        self._keep(container)
        return container

    def change_state(self, container_id: str, state: ContainerState) -> Container:
        """Replaces the state only. It is so, whether the disk has room to write it down or not; that follows then."""
        container = self._containers[container_id] = replace(self._containers[container_id], state=state)
        self._unsaved.add(container_id)
        for unsaved in tuple(self._unsaved):
            if unsaved in self._containers:
                try:
                    self._table.update_state(self._containers[unsaved])
                except SystemFailure as error:
                    log.error("the state of container %s is not recorded: %s", unsaved[:12], error)
                    break
            self._unsaved.discard(unsaved)
        return container

    def mark_removing(self, container_id: str, removing: bool) -> Container:
        """Somebody is about to remove the container, or has given that up; no other shall begin anything with it.

        That is no record: what an agent only wanted when it died, the next one does not do. ``Phase.REMOVING`` is.
        """
        container = self._containers[container_id] = replace(self._containers[container_id], removing=removing)
        return container

    def set_phase(self, container_id: str, phase: Phase) -> None:
        """Notes what is about to be done, or that it is done (``SETTLED``)."""
        if self._phases[container_id] is not phase:
            self._table.set_phase(container_id, phase)
            self._phases[container_id] = phase

    def forget(self, container: Container) -> None:
        """The container is gone."""
        self._table.delete(container.id)
        self._containers.pop(container.id, None)
        self._phases.pop(container.id, None)
        if self._ids.get(container.name) == container.id:
            del self._ids[container.name]

    def publish(self, container: Container, action: str, attributes: Mapping[str, str] | None = None) -> None:
        """An event of this container, with the attributes that all of them carry: labels, image and name."""
        actor = {**container.config.labels, "image": container.config.image, "name": container.name}
        self._events.publish("container", action, container.id, {**actor, **(attributes or {})})

    def _keep(self, container: Container) -> None:
        self._containers[container.id] = container
        self._ids[container.name] = container.id
