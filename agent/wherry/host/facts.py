"""Facts about this machine, read where the kernel and the distribution publish them."""

from __future__ import annotations

import os
import platform
import socket
from dataclasses import dataclass
from pathlib import Path

CGROUP_ROOT = Path("/sys/fs/cgroup")
# Files that are there exactly when the kernel can set the limit, by cgroup version (a v1 path is below its controller).
_V1_LIMITS = {
    "memory": "memory/memory.limit_in_bytes",
    "swap": "memory/memory.memsw.limit_in_bytes",
    "cpu_quota": "cpu/cpu.cfs_quota_us",
    "cpu_shares": "cpu/cpu.shares",
    "cpuset": "cpuset/cpuset.cpus",
    "pids": "pids/cgroup.procs",
}
_V2_LIMITS = {
    "memory": "memory",
    "swap": "memory",
    "cpu_quota": "cpu",
    "cpu_shares": "cpu",
    "cpuset": "cpuset",
    "pids": "pids",
}


@dataclass(frozen=True)
class HostFacts:
    """What does not change while the machine is up."""

    hostname: str
    kernel: str
    architecture: str
    system: str
    system_version: str
    cpus: int
    memory: int
    cgroup_version: int
    limits: frozenset[str]
    security: tuple[str, ...]


def read_facts() -> HostFacts:
    """Reads everything; cheap, some dozen small files."""
    name, version = _os_release()
    cgroup_version = 2 if (CGROUP_ROOT / "cgroup.controllers").exists() else 1
    return HostFacts(
        hostname=socket.gethostname(),
        kernel=os.uname().release,
        architecture=platform.machine(),
        system=name,
        system_version=version,
        cpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        cgroup_version=cgroup_version,
        limits=_limits(cgroup_version),
        security=_security(),
    )


def forwards_ipv4() -> bool:
    """Whether the network namespace that this is called in forwards IPv4."""
    return _text(Path("/proc/sys/net/ipv4/ip_forward")) == "1"


def filesystem_of(path: Path) -> str:
    """The type of the file system that holds ``path``, as proc_pid_mountinfo(5) names it."""
    device = path.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in _text(Path("/proc/self/mountinfo")).splitlines():
        fields = line.split()
        if fields[2] == wanted:
            return fields[fields.index("-") + 1]
    return "unknown"


def open_descriptors() -> int:
    """How many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths


def _limits(version: int) -> frozenset[str]:
    if version == 1:
        return frozenset(limit for limit, path in _V1_LIMITS.items() if (CGROUP_ROOT / path).exists())
    controllers = _text(CGROUP_ROOT / "cgroup.controllers").split()
    return frozenset(limit for limit, controller in _V2_LIMITS.items() if controller in controllers)


def _security() -> tuple[str, ...]:
    """What confines containers here, in the form of ``docker info``'s SecurityOptions."""
    modules = _text(Path("/sys/kernel/security/lsm")).split(",")
    options = ["name=apparmor"] if "apparmor" in modules else []
    if "Seccomp:" in _text(Path("/proc/self/status")):
        options.append("name=seccomp,profile=builtin")
    if _cgroup_namespaces():
        options.append("name=cgroupns")
    return tuple(options)


def _cgroup_namespaces() -> bool:
    return Path("/proc/self/ns/cgroup").exists()


def _os_release() -> tuple[str, str]:
    """Name and version of the distribution, os-release(5)."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "Linux", ""
    return release.get("PRETTY_NAME", release.get("NAME", "Linux")), release.get("VERSION_ID", "")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
