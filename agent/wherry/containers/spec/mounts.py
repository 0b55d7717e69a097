"""``mounts`` of config.json: the default ones of every container, the agent's files, and what was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wherry.containers.model import MountPoint
from wherry.containers.spec.inputs import BundleInputs
from wherry.containers.spec.namespaces import HOST
from wherry.containers.spec.process import INIT_PLACE

Mount = dict[str, Any]


def build_mounts(inputs: BundleInputs) -> list[Mount]:
    """In the order in which they are made: a mount never hides one that comes before it by accident.

    A mount that was asked for stands in for the default one of the same place; one on /dev takes its children too.
    """
    asked = {mount.destination: mount for mount in inputs.container.mounts}
    defaults = [mount for mount in (*_system_mounts(inputs), *_files(inputs)) if not _replaced(mount, asked)]
    ordered = sorted(asked.values(), key=lambda mount: mount.destination.rstrip("/").count("/"))
    return [*defaults, *(_asked_mount(mount, mapped=bool(inputs.namespaces.user)) for mount in ordered)]


def _replaced(mount: Mount, asked: Iterable[str]) -> bool:
    destination: str = mount["destination"]
    return destination in asked or ("/dev" in asked and destination.startswith("/dev/"))


def _system_mounts(inputs: BundleInputs) -> list[Mount]:
    privileged = inputs.container.host_config.privileged
    system_access = "rw" if privileged else "ro"
    mounts = [
        _mount("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
        _mount("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        _mount("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", system_access]),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", [system_access, "nosuid", "noexec", "nodev"]),
    ]
    return [*mounts, *_ipc_mounts(inputs)]


def _ipc_mounts(inputs: BundleInputs) -> list[Mount]:
    """Message queues and shared memory belong to the IPC namespace.

    A new mount of mqueue shows the queues of the namespace that it is made in; shared memory is a directory, so that of
    the host, or of the container that is joined, has to be bound.
    """
    queue = _mount("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"])
    shared = Path("/dev/shm") if inputs.namespaces.ipc == HOST else inputs.shm
    if inputs.container.host_config.ipc_mode == "none":
        return [queue]
    if shared is not None:
        return [queue, _bind("/dev/shm", str(shared), ["rbind", "rw", "nosuid", "noexec", "nodev"])]
    size = f"size={inputs.container.host_config.shm_size}"
    return [queue, _mount("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", size])]


def _files(inputs: BundleInputs) -> list[Mount]:
    access = "ro" if inputs.container.host_config.readonly_rootfs else "rw"
    mapped = ["idmap"] if inputs.namespaces.user else []
    files = [_bind(place, str(file), ["rbind", "rprivate", access, *mapped]) for place, file in inputs.files.items()]
    # Read-only: the program is the host's, and serves every container.
    init = [_bind(INIT_PLACE, str(inputs.init), ["bind", "rprivate", "ro", "nosuid", "nodev"])] if inputs.init else []
    return [*files, *init]


def _asked_mount(mount: MountPoint, *, mapped: bool) -> Mount:
    """Volumes are kept with the owners that containers know; directories of the host are nobody's but the host's."""
    access = "rw" if mount.rw else "ro"
    if mount.type == "tmpfs":
        return _mount(mount.destination, "tmpfs", "tmpfs", [*mount.options, access])
    if not mount.rw and mount.recursive and mount.read_only_below:
        access = "rro"
    depth = "rbind" if mount.recursive else "bind"
    options = [depth, access, mount.propagation or "rprivate"]
    if mapped and mount.type == "volume":
        options.append("ridmap" if mount.recursive else "idmap")
    return _bind(mount.destination, mount.source, options)


def _mount(destination: str, kind: str, source: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": kind, "source": source, "options": options}


def _bind(destination: str, source: str, options: list[str]) -> Mount:
    return _mount(destination, "bind", source, options)
