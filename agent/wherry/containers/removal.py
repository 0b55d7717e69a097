"""Removing containers: by request, by ``--rm``, by prune."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from wherry.aio import in_thread
from wherry.containers import links, rootfs, storage, times
from wherry.containers.attach import AttachHub
from wherry.containers.context import Context
from wherry.containers.exec_sessions import Execs
from wherry.containers.lifecycle import Lifecycle, release
from wherry.containers.model import Container
from wherry.containers.waiting import ExitResult, Waiters
from wherry.errors import Conflict, InvalidParameter, NotFound, WherryError
from wherry.state.containers import Phase

log = logging.getLogger(__name__)


class Remover:
    """Takes containers off the machine; what a crash cut short is finished by calling ``finish`` again."""

    def __init__(
        self, context: Context, lifecycle: Lifecycle, waiters: Waiters, attachments: AttachHub, execs: Execs
    ) -> None:
        self._execs = execs
        self._context = context
        self._registry = context.registry
        self._lifecycle = lifecycle
        self._waiters = waiters
        self._attachments = attachments

    async def remove(self, reference: str, *, force: bool = False, volumes: bool = False, link: bool = False) -> None:
        """Removes a stopped container, with ``force`` a running one too; ``volumes`` takes its anonymous ones along."""
        if link:
            parent, gone = links.find(self._registry, reference)
            kept = tuple(one for one in parent.links if one != gone)
            self._registry.change(replace(parent, links=kept))
            return
        container = self._registry.find(reference)
        if container.removing:
            raise Conflict(f"removal of container {reference} is already in progress")
        if container.state.is_running and not force:
            self._refuse_running(container)
        container = self._registry.mark_removing(container.id, True)
        try:
            if container.state.is_running:
                # Whoever has the lock may be waiting for an end that takes its time.
                await self._lifecycle.stop_for_removal(container)
            async with self._registry.lock(container.id):
                await self._remove_locked(self._registry.find(container.id), force=force, volumes=volumes)
        except BaseException:
            if self._registry.get(container.id) is not None:
                self._registry.mark_removing(container.id, False)
            raise

    async def _remove_locked(self, container: Container, *, force: bool, volumes: bool) -> None:
        if container.state.is_running and not force:
            self._refuse_running(container)
        # From here on the next agent would finish what this one may not live to do.
        self._registry.change(replace(container, takes_volumes=volumes))
        self._registry.set_phase(container.id, Phase.REMOVING)
        try:
            if container.state.is_running:
                await self._lifecycle.stop_for_removal(container)
            await self.finish(self._registry.find(container.id))
        except BaseException:
            if self._registry.get(container.id) is not None:
                self._registry.set_phase(container.id, Phase.SETTLED)
            raise

    async def finish(self, container: Container) -> None:
        """All that follows once nothing of it runs."""
        await self._execs.settled(container.id)
        await release(self._context, container)
        await in_thread(rootfs.remove_directories, self._context.layout(container.id))
        if container.takes_volumes:
            await storage.remove_anonymous(self._context, container)
        self._registry.forget(container)
        self._registry.publish(container, "destroy")
        self._attachments.forget(container.id)
        self._waiters.removed(container.id, ExitResult(container.state.exit_code))

    async def automatic(self, container: Container) -> None:
        """What ``--rm`` asked for; a removal that somebody else has begun serves as well."""
        try:
            await self.remove(container.id, volumes=True)
        except (Conflict, NotFound):
            return
        except WherryError as error:
            log.error("container %s: automatic removal: %s", container.short_id, error)

    async def prune(self, filters: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
        """Removes every stopped container that the filters (``until``, ``label``, ``label!``) let through.

        Returns their ids and how many bytes of their own writing they gave back.
        """
        unknown = set(filters) - {"until", "label", "label!"}
        if unknown:
            raise InvalidParameter(f"invalid filter '{min(unknown)}'")
        removed, reclaimed = [], 0
        for container in self._registry:
            if container.state.is_running or container.removing or not _prunable(container, filters):
                continue
            size = await in_thread(disk_usage, self._context, container)
            try:
                await self.remove(container.id)
            except WherryError as error:
                log.warning("prune: container %s: %s", container.short_id, error)
                continue
            removed.append(container.id)
            reclaimed += size
        return removed, reclaimed

    def _refuse_running(self, container: Container) -> None:
        paused = "Unpause and then stop" if container.state.status == "paused" else "Stop"
        raise Conflict(
            f"You cannot remove a {container.state.status} container {container.id}. "
            f"{paused} the container before attempting removal or force remove"
        )


def disk_usage(context: Context, container: Container) -> int:
    """Bytes that the container wrote over its image; blocks."""
    total = 0
    for directory, _, files in os.walk(context.layout(container.id).upper):
        for name in files:
            # A running container may remove it meanwhile.
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118
    return total


def _prunable(container: Container, filters: Mapping[str, Sequence[str]]) -> bool:
    labels = container.config.labels
    until = [times.parse_until(text) for text in filters.get("until", ())]
    return (
        all(times.parse(container.created) < moment for moment in until)
        and all(has_label(labels, wanted) for wanted in filters.get("label", ()))
        and not any(has_label(labels, wanted) for wanted in filters.get("label!", ()))
    )


def has_label(labels: Mapping[str, str], wanted: str) -> bool:
    """``name`` or ``name=value``."""
    name, equals, value = wanted.partition("=")
    return name in labels and (not equals or labels[name] == value)
