"""Processes of a container, as the host sees them, in the table that ``ps`` prints."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from wherry.containers.model import Container
from wherry.errors import InvalidParameter, SystemFailure

CGROUP_ROOT = Path("/sys/fs/cgroup")
PREFERRED_CONTROLLERS = ("pids", "freezer", "memory", "name=systemd", "")
DEFAULT_OPTIONS = "-ef"


def pids(container: Container) -> set[int]:
    """Every process in the container's control group, and in groups that it made below; blocks."""
    group = _group_of(container.state.pid)
    found: set[int] = set()
    for file in (group / "cgroup.procs", *group.glob("**/cgroup.procs")):
        try:
            found.update(int(line) for line in file.read_text(encoding="ascii").split())
        except OSError:
            continue
    return found


def table(container: Container, options: str) -> tuple[list[str], list[list[str]]]:
    """Titles and rows of ``ps OPTIONS``, with only the container's processes; blocks.

    ``ps`` of procps runs on the host over all processes; its PID column tells which are the container's.
    """
    options = options or DEFAULT_OPTIONS
    if re.search(r"\s+o?\s*(-o|o|--format)?\s*(pid|PID)=", options):
        raise InvalidParameter("specifying the PID column's title is not allowed", field="ps_args", value=options)
    try:
        done = subprocess.run(["ps", *options.split()], capture_output=True, text=True, check=False, errors="replace")
    except OSError as error:
        raise SystemFailure(f"cannot run ps: {error.strerror}") from error
    if done.returncode:
        raise InvalidParameter(f"error running ps: {done.stderr.strip()}", field="ps_args", value=options)
    titles, *lines = (line for line in done.stdout.splitlines() if line.strip())
    return _select(titles.split(), lines, pids(container))


def _select(titles: list[str], lines: Iterable[str], wanted: set[int]) -> tuple[list[str], list[list[str]]]:
    if "PID" not in titles:
        raise SystemFailure("Couldn't find PID field in ps output")
    column = titles.index("PID")
    rows = (line.split(None, len(titles) - 1) for line in lines)
    return titles, [row for row in rows if len(row) > column and row[column].isdigit() and int(row[column]) in wanted]


def _group_of(pid: int) -> Path:
    """The directory of the process's group in the hierarchy that tells best (cgroups(7), "/proc/pid/cgroup")."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise SystemFailure(f"process {pid} has gone") from error
    groups = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), path))
    for controller in PREFERRED_CONTROLLERS:
        if controller not in groups:
            continue
        name = controller.removeprefix("name=")
        mounts = [CGROUP_ROOT / name] if name else [CGROUP_ROOT, CGROUP_ROOT / "unified"]
        for mount in mounts:
            if (mount / "cgroup.procs").exists() and (group := mount / groups[controller].lstrip("/")).is_dir():
                return group
    raise SystemFailure("no control group of the container is mounted")
