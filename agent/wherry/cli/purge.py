"""``wherryd --purge``: takes everything of one agent off its host."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

from wherry import native
from wherry.agent import Agent
from wherry.config import Config
from wherry.errors import SystemFailure
from wherry.paths import Paths

log = logging.getLogger(__name__)

CGROUP_ROOT = Path("/sys/fs/cgroup")


def purge(settings: Config) -> None:
    """Removes containers, networks with what they changed on the host, control groups, images, volumes and records.

    The caller holds the locks: no agent runs. Raises what stands against it; what was removed before that stays
    removed, and the purge can be repeated.
    """
    asyncio.run(_clear(settings))
    _remove_groups(settings.paths.instance)
    _remove_files(settings.paths)


async def _clear(settings: Config) -> None:
    agent = Agent(settings)
    await agent.start()
    try:
        for container in agent.containers.all():
            await agent.containers.remove(container.id, force=True, volumes=True)
        await agent.networks.restore_host()
    finally:
        await agent.stop()


def _remove_groups(instance: str) -> None:
    """The agent's own group in every hierarchy, and groups of containers that are empty by now."""
    hierarchies = [CGROUP_ROOT, *(path for path in CGROUP_ROOT.iterdir() if path.is_dir())]
    for root in (hierarchy / instance for hierarchy in hierarchies):
        if not root.is_dir():
            continue
        for group in sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True):
            group.rmdir()
        root.rmdir()


def _remove_files(paths: Paths) -> None:
    left = [str(mount) for mount in _mounts_below(paths.data_root, paths.exec_root)]
    if left:
        raise SystemFailure(f"still mounted, so nothing was deleted: {', '.join(left)}")
    for directory in paths.directories:
        native.remove_tree(directory)
    for suffix in ("", "-wal", "-shm"):
        paths.database.with_name(paths.database.name + suffix).unlink(missing_ok=True)
    paths.database_reserve.unlink(missing_ok=True)
    paths.lock.unlink(missing_ok=True)


def remove_roots(paths: Paths) -> None:
    """The roots themselves, when the locks in them have gone; they stay where they hold what is not Wherry's."""
    for root in (paths.exec_root, paths.data_root):
        with contextlib.suppress(OSError):
            root.rmdir()


def _mounts_below(*roots: Path) -> list[Path]:
    """What is mounted below these directories (proc_pid_mountinfo(5), field 5, spaces as octal escapes)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split()[4].replace("\\040", " ")) for line in lines]
    return [point for point in points if any(root in point.parents for root in roots)]
