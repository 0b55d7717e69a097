"""What the parts of the containers noun share: the other nouns, the records and what this machine is like."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from wherry import native
from wherry.config import Config
from wherry.containers.layout import ContainerLayout
from wherry.containers.registry import Registry
from wherry.containers.remap import Remap
from wherry.containers.spec.capabilities import own_capabilities
from wherry.errors import InvalidParameter
from wherry.paths import Paths

if TYPE_CHECKING:
    from wherry.images.service import Images
    from wherry.networks.service import Networks
    from wherry.volumes.service import Volumes

SWAP_LIMIT_V1 = Path("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes")
UNIFIED_CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")
SLICE_NAME = re.compile(r"-\.slice|[A-Za-z0-9:_.\\@]+(-[A-Za-z0-9:_.\\@]+)*\.slice")
"""systemd.slice(5): the parts between dashes are the slices above."""
OWN_RUNTIME = "wherry-runtime"
USUAL_NAMES = ("runc", "io.containerd.runc.v2")
"""What clients call the runtime of every engine; it is ours, unless the configuration names another of that name."""


@dataclass(frozen=True)
class Runtime:
    """The program of an OCI runtime, and the arguments that stand before those that every runtime gets."""

    program: Path
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Context:
    """Handed to every part; facts of the machine are read once, when first needed."""

    config: Config
    paths: Paths
    registry: Registry
    images: Images
    networks: Networks
    volumes: Volumes
    remap: Remap | None = None

    def layout(self, container_id: str) -> ContainerLayout:
        """The paths of a container."""
        return ContainerLayout(self.paths, container_id)

    @cached_property
    def capabilities(self) -> tuple[str, ...]:
        """What this agent can hand on."""
        return own_capabilities()

    @cached_property
    def oom_score_adj(self) -> int:
        """This agent's own, which its children inherit."""
        return int(Path("/proc/self/oom_score_adj").read_text(encoding="ascii"))

    @cached_property
    def swap_accounting(self) -> bool:
        """Whether the kernel can bound memory and swap together."""
        return SWAP_LIMIT_V1.exists() or UNIFIED_CONTROLLERS.exists()

    def runtime(self, name: str) -> Runtime:
        """An OCI runtime as it is called; ``""`` is the configured default one."""
        name = name or self.config.default_runtime
        choice = self.config.runtimes.get(name)
        if choice is not None:
            return Runtime(Path(choice.path), choice.arguments)
        if name in (OWN_RUNTIME, *USUAL_NAMES):
            return Runtime(native.program(OWN_RUNTIME))
        raise InvalidParameter(f"unknown or invalid runtime name: {name}")

    def init(self, wanted: bool | None) -> Path | None:
        """The program that is to be a container's first process, by what was asked for and what is configured."""
        if wanted is False or (wanted is None and not self.config.init):
            return None
        if not self.config.init_path:
            return native.program("wherry-init")
        path = Path(self.config.init_path)
        if not os.access(path, os.X_OK) or path.is_dir():
            raise InvalidParameter("is not a program that can be run", field="init-path", value=str(path))
        return path

    def cgroups_path(self, container_id: str, parent: str) -> str:
        """Below the given parent, the configured one or the instance's own group.

        With systemd the parent is a slice, system.slice where none is given, and the result ``SLICE:PREFIX:NAME``.
        """
        given = parent or self.config.cgroup_parent
        if self.config.systemd_cgroups:
            if given and not SLICE_NAME.fullmatch(given):
                raise InvalidParameter(
                    'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"',
                    field="HostConfig.CgroupParent" if parent else "cgroup-parent",
                    value=given,
                )
            return f"{given or 'system.slice'}:{self.paths.instance}:{container_id}"
        group = given or self.paths.instance
        return f"/{group.strip('/')}/{container_id}"
