"""The documents of /version and /info."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from wherry import __version__
from wherry.api.dispatch import MAX_VERSION, MIN_VERSION
from wherry.containers.context import OWN_RUNTIME, USUAL_NAMES
from wherry.containers.log_options import OPTIONS
from wherry.host.facts import HostFacts, filesystem_of, forwards_ipv4, open_descriptors

if TYPE_CHECKING:
    from wherry.agent import Agent

_GO_ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64", "i686": "386", "armv7l": "arm"}
_INDEX = "https://index.docker.io/v1/"
_ALWAYS_INSECURE = ("::1/128", "127.0.0.0/8")


def version(agent: Agent) -> dict[str, Any]:
    """What ``docker version`` shows of the server."""
    engine = {
        "ApiVersion": "{}.{}".format(*MAX_VERSION),
        "MinAPIVersion": "{}.{}".format(*MIN_VERSION),
        "Os": "linux",
        "Arch": _go_architecture(agent.host),
        "KernelVersion": agent.host.kernel,
        "GitCommit": "",
        "GoVersion": "none (Python {}.{}.{})".format(*sys.version_info[:3]),
        "BuildTime": "",
    }
    details = {**engine, "Experimental": "false"}
    return {
        "Platform": {"Name": f"Wherry {__version__}"},
        "Components": [{"Name": "Engine", "Version": __version__, "Details": details}],
        "Version": __version__,
        **engine,
    }


async def info(agent: Agent, now: datetime) -> dict[str, Any]:
    """What ``docker info`` shows; every value is true of this agent and this host at this moment."""
    return {
        "ID": agent.identity,
        **_counts(agent),
        **_storage(agent),
        **_limits(agent.host),
        "SecurityOptions": [*agent.host.security, *(["name=userns"] if agent.config.userns_remap else [])],
        "CgroupDriver": "systemd" if agent.config.systemd_cgroups else "cgroupfs",
        **_host(agent.host),
        **_registries(agent),
        **_engine(agent),
        "SystemTime": now.isoformat().replace("+00:00", "Z"),
        "Swarm": _NO_SWARM,
        "Warnings": _warnings(agent.host),
    }


_NO_SWARM = {
    "NodeID": "",
    "NodeAddr": "",
    "LocalNodeState": "inactive",
    "ControlAvailable": False,
    "Error": "",
    "RemoteManagers": None,
}


def _counts(agent: Agent) -> dict[str, Any]:
    states = [container.state.status for container in agent.containers.all()]
    return {
        "Containers": len(states),
        "ContainersRunning": sum(status in {"running", "restarting"} for status in states),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": sum(status in {"created", "exited", "dead", "removing"} for status in states),
        "Images": len(agent.images.list({})),
        "NEventsListener": agent.events.listeners,
    }


def _storage(agent: Agent) -> dict[str, Any]:
    return {
        "Driver": "overlay2",
        "DriverStatus": [["Backing Filesystem", filesystem_of(agent.paths.data_root)], ["Supports d_type", "true"]],
        "DockerRootDir": str(agent.paths.data_root),
        "Plugins": {
            "Volume": list(agent.volumes.drivers),
            "Network": ["bridge", "host", "macvlan", "null"],
            "Authorization": None,
            "Log": sorted(OPTIONS),
        },
    }


def _limits(host: HostFacts) -> dict[str, Any]:
    return {
        "MemoryLimit": "memory" in host.limits,
        "SwapLimit": "swap" in host.limits,
        "CpuCfsPeriod": "cpu_quota" in host.limits,
        "CpuCfsQuota": "cpu_quota" in host.limits,
        "CPUShares": "cpu_shares" in host.limits,
        "CPUSet": "cpuset" in host.limits,
        "PidsLimit": "pids" in host.limits,
        "OomKillDisable": "memory" in host.limits and host.cgroup_version == 1,
        "CgroupVersion": str(host.cgroup_version),
        "IPv4Forwarding": forwards_ipv4(),
    }


def _host(host: HostFacts) -> dict[str, Any]:
    return {
        "Name": host.hostname,
        "KernelVersion": host.kernel,
        "OperatingSystem": host.system,
        "OSVersion": host.system_version,
        "OSType": "linux",
        "Architecture": host.architecture,
        "NCPU": host.cpus,
        "MemTotal": host.memory,
        "NFd": open_descriptors(),
        "Isolation": "",
    }


def _registries(agent: Agent) -> dict[str, Any]:
    config = agent.config
    networks, names = _split_insecure(config.insecure_registries)
    indexes = {
        "docker.io": {
            "Name": "docker.io",
            "Mirrors": [mirror + "/" for mirror in config.registry_mirrors],
            "Secure": True,
            "Official": True,
        }
    }
    for name in names:
        indexes[name] = {"Name": name, "Mirrors": [], "Secure": False, "Official": False}
    return {
        "IndexServerAddress": _INDEX,
        "RegistryConfig": {
            "InsecureRegistryCIDRs": [*_ALWAYS_INSECURE, *networks],
            "IndexConfigs": indexes,
            "Mirrors": [mirror + "/" for mirror in config.registry_mirrors] or None,
        },
        "HttpProxy": config.http_proxy,
        "HttpsProxy": config.https_proxy,
        "NoProxy": config.no_proxy,
    }


def _split_insecure(registries: tuple[str, ...]) -> tuple[list[str], list[str]]:
    networks, names = [], []
    for registry in registries:
        try:
            networks.append(str(ip_network(registry)))
        except ValueError:
            names.append(registry)
    return networks, names


def _engine(agent: Agent) -> dict[str, Any]:
    config = agent.config
    own = {"path": "wherry-runtime"}
    runtimes: dict[str, dict[str, Any]] = dict.fromkeys((OWN_RUNTIME, *USUAL_NAMES), own)
    for name, runtime in config.runtimes.items():
        runtimes[name] = {"path": runtime.path, "runtimeArgs": list(runtime.arguments)}
    pools = [{"Base": pool.base, "Size": pool.size} for pool in config.default_address_pools]
    return {
        "ServerVersion": __version__,
        "Debug": config.debug,
        "NGoroutines": len(os.listdir("/proc/self/task")),  # noqa: PTH208 - a count, no paths
        "LoggingDriver": config.log_driver,
        "Labels": list(config.labels),
        "ExperimentalBuild": False,
        "LiveRestoreEnabled": True,
        "Runtimes": runtimes,
        "DefaultRuntime": config.default_runtime,
        "CDISpecDirs": [str(directory) for directory in config.cdi_spec_dirs],
        "InitBinary": "wherry-init",
        "ContainerdCommit": {"ID": ""},
        "RuncCommit": {"ID": ""},
        "InitCommit": {"ID": ""},
        "GenericResources": None,
        "ProductLicense": "Apache-2.0",
        "DefaultAddressPools": pools,
        "FirewallBackend": {"Driver": "nftables"},
    }


def _warnings(host: HostFacts) -> list[str] | None:
    """In Docker's words where it has them."""
    texts = {
        "memory": "No memory limit support",
        "swap": "No swap limit support",
        "cpu_quota": "No cpu cfs quota support",
        "cpu_shares": "No cpu shares support",
        "cpuset": "No cpuset support",
        "pids": "No pids limit support",
    }
    warnings = [f"WARNING: {text}" for limit, text in texts.items() if limit not in host.limits]
    if not forwards_ipv4():
        warnings.append("WARNING: IPv4 forwarding is disabled")
    return warnings or None


def _go_architecture(host: HostFacts) -> str:
    return _GO_ARCHITECTURE.get(host.architecture, host.architecture)
