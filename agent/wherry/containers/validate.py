"""Checks of a create request that need nothing but the request: each error names the field at fault."""

from __future__ import annotations

import ipaddress
import re

from wherry.containers import device_requests, mount_requests, ports, security_options, signals, storage_limit
from wherry.containers.host_files import split_extra_host
from wherry.containers.model import ContainerConfig, CreateRequest, EndpointSettings, HostConfig, RestartPolicy
from wherry.containers.seccomp import custom_profile
from wherry.containers.spec import capabilities, devices
from wherry.containers.spec.process import check_ulimits
from wherry.containers.spec.resources import check_limits
from wherry.errors import InvalidParameter

RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")
SYSCTL_NAMES = re.compile(
    r"net\..+|fs\.mqueue\..+|kernel\.(msgmax|msgmnb|msgmni|sem|shmall|shmmax|shmmni|shm_rmid_forced)"
)
HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?")
LARGEST_OOM_SCORE = 1000
MAC_FORM = re.compile(r"[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}")


def check_request(request: CreateRequest) -> None:
    """Raises ``InvalidParameter`` for the first thing that cannot be."""
    config, host_config = request.config, request.host_config
    _check_config(config)
    _check_modes(config, host_config)
    _check_lists(host_config)
    check_restart_policy(host_config.restart_policy, auto_remove=host_config.auto_remove)
    check_limits(host_config)
    check_ulimits(host_config.ulimits)
    capabilities.check(host_config)
    devices.check(host_config)
    device_requests.check(host_config.device_requests)
    storage_limit.parse(host_config.storage_opt)
    ports.check(config, host_config)
    mount_requests.parse_all(host_config)
    for name, wish in request.networking.endpoints.items():
        check_endpoint(wish, f"NetworkingConfig.EndpointsConfig.{name}")
    security = security_options.parse(host_config.security_opt)
    if security.seccomp not in ("", "unconfined"):
        custom_profile(security.seccomp, ())


def check_endpoint(wish: EndpointSettings, field: str) -> None:
    """Addresses that are none, and a MAC address that no interface can have."""
    for key, text, version in (("IPv4Address", wish.ipv4, 4), ("IPv6Address", wish.ipv6, 6)):
        if text and _address(text, version) is None:
            raise InvalidParameter(f"invalid IPv{version} address: {text}", field=f"{field}.IPAMConfig.{key}")
    for text in wish.link_local:
        address = _address(text)
        if address is None or not address.is_link_local:
            raise InvalidParameter(f"invalid link-local IP address: {text}", field=f"{field}.IPAMConfig.LinkLocalIPs")
    _check_mac(wish.mac, f"{field}.MacAddress")


def _check_mac(text: str, field: str) -> None:
    if text and not (MAC_FORM.fullmatch(text) and int(text[:2], 16) % 2 == 0):
        allowed = "a unicast address like 02:42:ac:11:00:02"
        raise InvalidParameter("invalid MAC address", field=field, value=text, allowed=allowed)


def _address(text: str, version: int | None = None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return address if version in (None, address.version) else None


def check_restart_policy(policy: RestartPolicy, *, auto_remove: bool) -> None:
    """Raises ``InvalidParameter`` in Docker's words."""
    if policy.name and policy.name not in RESTART_POLICIES:
        raise InvalidParameter(
            f"invalid restart policy: unknown policy '{policy.name}'; use one of 'no', 'always', 'on-failure', or "
            "'unless-stopped'"
        )
    if policy.maximum_retry_count < 0:
        raise InvalidParameter("invalid restart policy: maximum retry count cannot be negative")
    if policy.maximum_retry_count and policy.name != "on-failure":
        raise InvalidParameter("invalid restart policy: maximum retry count can only be used with 'on-failure'")
    if auto_remove and policy.name not in ("", "no"):
        raise InvalidParameter("can't create 'AutoRemove' container with restart policy")


def _check_config(config: ContainerConfig) -> None:
    if config.working_dir and not config.working_dir.startswith("/"):
        raise InvalidParameter(
            f"the working directory '{config.working_dir}' is invalid, it needs to be an absolute path"
        )
    for field, name in (("Hostname", config.hostname), ("Domainname", config.domainname)):
        if name and not HOSTNAME.fullmatch(name):
            raise InvalidParameter("is not a host name", field=field, value=name)
    _check_mac(config.mac_address, "MacAddress")
    if config.stop_signal:
        signals.parse(config.stop_signal)
    if config.stop_timeout is not None and config.stop_timeout < -1:
        raise InvalidParameter(
            "must be -1 (no bound), zero or positive", field="StopTimeout", value=config.stop_timeout
        )
    for entry in config.env:
        if not entry or entry.startswith("="):
            raise InvalidParameter(f"invalid environment variable: {entry}")


def _check_modes(config: ContainerConfig, host_config: HostConfig) -> None:
    allowed = {
        "PidMode": (host_config.pid_mode, {"", "host", "private"}, True),
        "IpcMode": (host_config.ipc_mode, {"", "host", "private", "shareable", "none"}, True),
        "UTSMode": (host_config.uts_mode, {"", "host", "private"}, False),
        "UsernsMode": (host_config.userns_mode, {"", "host"}, False),
        "CgroupnsMode": (host_config.cgroupns_mode, {"", "host", "private"}, False),
    }
    for field, (mode, values, may_join) in allowed.items():
        if mode not in values and not (may_join and mode.startswith("container:") and len(mode) > len("container:")):
            raise InvalidParameter("invalid mode", field=f"HostConfig.{field}", value=mode)
    joins_network = host_config.network_mode.startswith("container:")
    if config.hostname and (host_config.uts_mode == "host" or joins_network):
        mode = "UTS mode" if host_config.uts_mode == "host" else "network mode"
        raise InvalidParameter(f"conflicting options: hostname and the {mode}")
    if joins_network and (host_config.port_bindings or host_config.publish_all_ports):
        raise InvalidParameter("conflicting options: port publishing and the container type network mode")
    if joins_network and (host_config.dns or host_config.extra_hosts):
        raise InvalidParameter("conflicting options: dns or custom host-to-IP mapping and the network mode")


def _check_lists(host_config: HostConfig) -> None:
    if not -LARGEST_OOM_SCORE <= host_config.oom_score_adj <= LARGEST_OOM_SCORE:
        raise InvalidParameter(f"Invalid value {host_config.oom_score_adj}, range for oom score adj is [-1000, 1000]")
    if host_config.shm_size < 0:
        raise InvalidParameter("SHM size can not be less than 0")
    if len(host_config.console_size) != 2 or min(host_config.console_size) < 0:
        raise InvalidParameter(
            "must be height and width", field="HostConfig.ConsoleSize", value=host_config.console_size
        )
    for index, text in enumerate(host_config.extra_hosts):
        split_extra_host(text, f"HostConfig.ExtraHosts[{index}]")
    for index, server in enumerate(host_config.dns):
        try:
            ipaddress.ip_address(server)
        except ValueError:
            raise InvalidParameter("is not an IP address", field=f"HostConfig.Dns[{index}]", value=server) from None
    for name in host_config.sysctls:
        _check_sysctl(name, host_config)
    if ".." in host_config.cgroup_parent.split("/"):
        raise InvalidParameter("must not climb", field="HostConfig.CgroupParent", value=host_config.cgroup_parent)
    if "" in host_config.annotations:
        raise InvalidParameter("invalid Annotations: the empty string is not permitted as an annotation key")
    for text in host_config.volumes_from:
        mount_requests.parse_volumes_from(text)
    for path in (*(host_config.masked_paths or ()), *(host_config.readonly_paths or ())):
        if not path.startswith("/"):
            raise InvalidParameter("must be absolute", field="HostConfig.MaskedPaths or ReadonlyPaths", value=path)


def _check_sysctl(name: str, host_config: HostConfig) -> None:
    if not SYSCTL_NAMES.fullmatch(name) or "/" in name:
        raise InvalidParameter(f"sysctl '{name}' is not allowed")
    if name.startswith("net.") and host_config.network_mode == "host":
        raise InvalidParameter(f"sysctl '{name}' not allowed in host network namespace")
    if name.startswith("net.") and host_config.network_mode.startswith("container:"):
        raise InvalidParameter(f"sysctl '{name}' not allowed in the network namespace of another container")
    if not name.startswith("net.") and host_config.ipc_mode == "host":
        raise InvalidParameter(f"sysctl '{name}' not allowed in host ipc namespace")
