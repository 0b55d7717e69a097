"""What the bundle is built from: everything that is decided before, so that building is pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wherry.containers.cdi import Edits
from wherry.containers.identity import Identity
from wherry.containers.model import Container


@dataclass(frozen=True)
class JoinedNamespaces:
    """Namespaces that are not the container's own: a path to join, ``host``, or ``""`` for a new one.

    ``user`` is a path, or ``""`` for the host's users.
    """

    network: str = ""
    pid: str = ""
    ipc: str = ""
    uts: str = ""
    cgroup: str = ""
    user: str = ""


@dataclass(frozen=True)
class BundleInputs:
    """``files`` maps paths in the container (/etc/hosts, …) to files of the host; ``shm`` is a directory of the host to
    share as /dev/shm, or ``None`` for a tmpfs of the container's own; ``init`` is the program that becomes the first
    process, or ``None`` where the command itself is; ``edits`` are what the container's CDI devices ask for.
    """

    container: Container
    rootfs: Path
    identity: Identity
    namespaces: JoinedNamespaces
    cgroups_path: str
    own_capabilities: tuple[str, ...]
    own_oom_score_adj: int
    files: Mapping[str, Path] = field(default_factory=dict)
    shm: Path | None = None
    hostname: str = ""
    swap_accounting: bool = True
    init: Path | None = None
    link_environment: tuple[str, ...] = ()
    edits: tuple[Edits, ...] = ()
