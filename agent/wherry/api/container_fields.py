"""The keys of ``ContainerConfig`` and ``HostConfig`` in the Engine API, and the record fields that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.api import json_fields as j
from wherry.api.json_fields import Field
from wherry.containers.model import (
    BindOptions,
    DeviceMapping,
    DeviceRequest,
    EndpointSettings,
    HealthConfig,
    HostPort,
    ImageOptions,
    LogConfig,
    MountSpec,
    RestartPolicy,
    ThrottleDevice,
    TmpfsOptions,
    Ulimit,
    VolumeOptions,
    WeightDevice,
)
from wherry.errors import InvalidParameter


def _isolation(value: Any, where: str) -> str:
    """Another operating system's; here there is one kind."""
    if value not in ("", "default"):
        raise InvalidParameter("is not supported", field=where, value=value, allowed="default")
    return str(value)


def _swappiness(value: Any, where: str) -> int | None:
    """-1 is what clients send for "not given"."""
    given = j.number(value, where)
    return None if given == -1 else given


def _port_map(value: Any, where: str) -> dict[str, tuple[HostPort, ...]]:
    read = j.list_of(j.record_of(HostPort, HOST_PORT_FIELDS))
    return {
        j.text(key, where): read(bindings, f"{where}.{key}") if bindings is not None else ()
        for key, bindings in j.mapping(value, where).items()
    }


def _write_port_map(ports: Mapping[str, tuple[HostPort, ...]]) -> dict[str, Any]:
    return {key: [j.write_fields(HOST_PORT_FIELDS, port) for port in bindings] for key, bindings in ports.items()}


def _volume_driver(value: Any, where: str) -> dict[str, Any]:
    return j.read_fields(VOLUME_DRIVER_FIELDS, value, where)


def _volume_options(value: Any, where: str) -> VolumeOptions:
    body = dict(j.known_only(value, frozenset(field.key for field in VOLUME_FIELDS) | {"DriverConfig"}, where))
    driver = j.mapping(body.pop("DriverConfig", None), f"{where}.DriverConfig")
    return VolumeOptions(**j.read_fields(VOLUME_FIELDS, body, where), **_volume_driver(driver, f"{where}.DriverConfig"))


def _write_volume_options(options: VolumeOptions | None) -> dict[str, Any] | None:
    if options is None:
        return None
    body = j.write_fields(VOLUME_FIELDS, options)
    if options.driver or options.driver_options:
        body["DriverConfig"] = j.write_fields(VOLUME_DRIVER_FIELDS, options)
    return body


def _lists_of_texts(value: Any, where: str) -> tuple[tuple[str, ...], ...]:
    return tuple(j.list_of(j.texts)(value, where))


def _write_lists_of_texts(options: tuple[tuple[str, ...], ...]) -> list[list[str]] | None:
    return [list(option) for option in options] or None


def _exclusive_address(value: Any, where: str) -> dict[str, Any]:
    return j.read_fields(IPAM_FIELDS, value, where)


def read_endpoint(value: Any, where: str) -> EndpointSettings:
    """One entry of ``EndpointsConfig``; what an inspect shows beside the wishes (addresses, ids) is not looked at."""
    body = j.spelled(j.mapping(value, where), {"IPAMConfig", *(field.key for field in ENDPOINT_FIELDS)})
    known = frozenset(field.key for field in IPAM_FIELDS)
    ipam = dict(j.known_only(body.get("IPAMConfig"), known, f"{where}.IPAMConfig"))
    wishes = j.read_fields(ENDPOINT_FIELDS, body, where)
    return EndpointSettings(**wishes, **_exclusive_address(ipam, f"{where}.IPAMConfig"))


HOST_PORT_FIELDS = (Field("HostIp", "host_ip", j.text), Field("HostPort", "host_port", j.text))
ULIMIT_FIELDS = (Field("Name", "name", j.text), Field("Hard", "hard", j.number), Field("Soft", "soft", j.number))
DEVICE_FIELDS = (
    Field("PathOnHost", "path_on_host", j.text),
    Field("PathInContainer", "path_in_container", j.text),
    Field("CgroupPermissions", "permissions", j.text),
)
DEVICE_REQUEST_FIELDS = (
    Field("Driver", "driver", j.text),
    Field("Count", "count", j.number),
    Field("DeviceIDs", "device_ids", j.texts, j.to_list_or_null),
    Field("Capabilities", "capabilities", _lists_of_texts, _write_lists_of_texts),
    Field("Options", "options", j.text_map, dict),
)
WEIGHT_FIELDS = (Field("Path", "path", j.text), Field("Weight", "weight", j.number))
THROTTLE_FIELDS = (Field("Path", "path", j.text), Field("Rate", "rate", j.number))
RESTART_FIELDS = (Field("Name", "name", j.text), Field("MaximumRetryCount", "maximum_retry_count", j.number))
LOG_FIELDS = (Field("Type", "type", j.text), Field("Config", "config", j.text_map, dict))
HEALTH_FIELDS = (
    Field("Test", "test", j.texts, j.to_list_or_null),
    Field("Interval", "interval", j.number),
    Field("Timeout", "timeout", j.number),
    Field("StartPeriod", "start_period", j.number),
    Field("StartInterval", "start_interval", j.number),
    Field("Retries", "retries", j.number),
)
BIND_FIELDS = (
    Field("Propagation", "propagation", j.text),
    Field("NonRecursive", "non_recursive", j.flag),
    Field("CreateMountpoint", "create_mountpoint", j.flag),
    Field("ReadOnlyNonRecursive", "read_only_non_recursive", j.flag),
    Field("ReadOnlyForceRecursive", "read_only_force_recursive", j.flag),
)
VOLUME_FIELDS = (
    Field("NoCopy", "no_copy", j.flag),
    Field("Labels", "labels", j.text_map, dict),
    Field("Subpath", "subpath", j.text),
)
VOLUME_DRIVER_FIELDS = (Field("Name", "driver", j.text), Field("Options", "driver_options", j.text_map, dict))
TMPFS_FIELDS = (
    Field("SizeBytes", "size", j.number),
    Field("Mode", "mode", j.number),
    Field("Options", "options", _lists_of_texts, _write_lists_of_texts),
)
IMAGE_FIELDS = (Field("Subpath", "subpath", j.text),)
MOUNT_FIELDS = (
    Field("Type", "type", j.text),
    Field("Source", "source", j.text),
    Field("Target", "target", j.text),
    Field("ReadOnly", "read_only", j.flag),
    Field("Consistency", "consistency", j.text),
    Field("BindOptions", "bind", j.record_of(BindOptions, BIND_FIELDS), j.written(BIND_FIELDS)),
    Field("VolumeOptions", "volume", _volume_options, _write_volume_options),
    Field("TmpfsOptions", "tmpfs", j.record_of(TmpfsOptions, TMPFS_FIELDS), j.written(TMPFS_FIELDS)),
    Field("ImageOptions", "image", j.record_of(ImageOptions, IMAGE_FIELDS), j.written(IMAGE_FIELDS)),
)
IPAM_FIELDS = (
    Field("IPv4Address", "ipv4", j.text),
    Field("IPv6Address", "ipv6", j.text),
    Field("LinkLocalIPs", "link_local", j.texts, j.to_list),
)
ENDPOINT_FIELDS = (
    Field("Aliases", "aliases", j.texts, j.to_list_or_null),
    Field("MacAddress", "mac", j.text),
    Field("DriverOpts", "driver_options", j.text_map, lambda options: dict(options) or None),
    Field("GwPriority", "gw_priority", j.number),
    Field("Links", "links", j.texts, j.to_list_or_null),
)


def _mount(value: Any, where: str) -> MountSpec:
    body = j.known_only(value, frozenset(field.key for field in MOUNT_FIELDS), where)
    return MountSpec(**{"type": "", "target": "", **j.read_fields(MOUNT_FIELDS, body, where)})


def _write_mount(mount: MountSpec) -> dict[str, Any]:
    return {key: value for key, value in j.write_fields(MOUNT_FIELDS, mount).items() if value}


def _device(value: Any, where: str) -> DeviceMapping:
    given = {"path_on_host": "", "path_in_container": "", **j.read_fields(DEVICE_FIELDS, value, where)}
    return DeviceMapping(**given)


def _write_health(health: HealthConfig | None) -> dict[str, Any] | None:
    if health is None:
        return None
    return {key: value for key, value in j.write_fields(HEALTH_FIELDS, health).items() if value}


def _ulimit(value: Any, where: str) -> Ulimit:
    given = j.read_fields(ULIMIT_FIELDS, value, where)
    if not given.get("name"):
        raise InvalidParameter("needs a Name", field=where)
    return Ulimit(given["name"], given.get("soft", 0), given.get("hard", 0))


def _weight_device(value: Any, where: str) -> WeightDevice:
    return WeightDevice(**{"path": "", "weight": 0, **j.read_fields(WEIGHT_FIELDS, value, where)})


def _throttle_device(value: Any, where: str) -> ThrottleDevice:
    return ThrottleDevice(**{"path": "", "rate": 0, **j.read_fields(THROTTLE_FIELDS, value, where)})


def _throttle(key: str, name: str) -> Field:
    return Field(key, name, j.list_of(_throttle_device), j.written_list(THROTTLE_FIELDS))


CONFIG_FIELDS = (
    Field("Hostname", "hostname", j.text),
    Field("Domainname", "domainname", j.text),
    Field("User", "user", j.text),
    Field("AttachStdin", "attach_stdin", j.flag),
    Field("AttachStdout", "attach_stdout", j.flag),
    Field("AttachStderr", "attach_stderr", j.flag),
    Field("ExposedPorts", "exposed_ports", j.keys, lambda ports: {port: {} for port in ports}),
    Field("Tty", "tty", j.flag),
    Field("OpenStdin", "open_stdin", j.flag),
    Field("StdinOnce", "stdin_once", j.flag),
    Field("Env", "env", j.texts, j.to_list),
    Field("Cmd", "cmd", j.text_or_texts, j.to_list),
    Field("Image", "image", j.text),
    Field("Volumes", "volumes", j.keys, lambda paths: {path: {} for path in paths} or None),
    Field("WorkingDir", "working_dir", j.text),
    Field("Entrypoint", "entrypoint", j.text_or_texts, j.to_list),
    Field("NetworkDisabled", "network_disabled", j.flag),
    Field("MacAddress", "mac_address", j.text),
    Field("OnBuild", "on_build", j.texts, j.to_list),
    Field("Labels", "labels", j.text_map, dict),
    Field("StopSignal", "stop_signal", j.text),
    Field("StopTimeout", "stop_timeout", j.number),
    Field("Shell", "shell", j.texts, j.to_list),
    Field("Healthcheck", "healthcheck", j.record_of(HealthConfig, HEALTH_FIELDS), _write_health),
)

LIMIT_FIELDS = (
    Field("CpuShares", "cpu_shares", j.number),
    Field("Memory", "memory", j.number),
    Field("NanoCpus", "nano_cpus", j.number),
    Field("BlkioWeight", "blkio_weight", j.number),
    Field("CpuPeriod", "cpu_period", j.number),
    Field("CpuQuota", "cpu_quota", j.number),
    Field("CpuRealtimePeriod", "cpu_realtime_period", j.number),
    Field("CpuRealtimeRuntime", "cpu_realtime_runtime", j.number),
    Field("CpusetCpus", "cpuset_cpus", j.text),
    Field("CpusetMems", "cpuset_mems", j.text),
    Field("MemoryReservation", "memory_reservation", j.number),
    Field("MemorySwap", "memory_swap", j.number),
    Field("PidsLimit", "pids_limit", j.number),
)
"""The limits that ``update`` can change in a container that runs."""

HOST_FIELDS = (
    *LIMIT_FIELDS,
    Field("Binds", "binds", j.texts, j.to_list_or_null),
    Field("ContainerIDFile", "container_id_file", j.text),
    Field("LogConfig", "log_config", j.record_of(LogConfig, LOG_FIELDS), j.written(LOG_FIELDS)),
    Field("NetworkMode", "network_mode", j.text),
    Field("PortBindings", "port_bindings", _port_map, _write_port_map),
    Field("RestartPolicy", "restart_policy", j.record_of(RestartPolicy, RESTART_FIELDS), j.written(RESTART_FIELDS)),
    Field("AutoRemove", "auto_remove", j.flag),
    Field("VolumeDriver", "volume_driver", j.text),
    Field("VolumesFrom", "volumes_from", j.texts, j.to_list_or_null),
    Field("Mounts", "mounts", j.list_of(_mount), lambda mounts: [_write_mount(mount) for mount in mounts]),
    Field("ConsoleSize", "console_size", j.numbers, list),
    Field("Annotations", "annotations", j.text_map, lambda given: dict(given) or None),
    Field("CapAdd", "cap_add", j.text_or_texts, j.to_list_or_null),
    Field("CapDrop", "cap_drop", j.text_or_texts, j.to_list_or_null),
    Field("CgroupnsMode", "cgroupns_mode", j.text),
    Field("Dns", "dns", j.texts, j.to_list),
    Field("DnsOptions", "dns_options", j.texts, j.to_list),
    Field("DnsSearch", "dns_search", j.texts, j.to_list),
    Field("ExtraHosts", "extra_hosts", j.texts, j.to_list_or_null),
    Field("GroupAdd", "group_add", j.texts, j.to_list_or_null),
    Field("Init", "init", j.flag),
    Field("IpcMode", "ipc_mode", j.text),
    Field("Links", "links", j.texts, j.to_list_or_null),
    Field("OomScoreAdj", "oom_score_adj", j.number),
    Field("PidMode", "pid_mode", j.text),
    Field("Privileged", "privileged", j.flag),
    Field("PublishAllPorts", "publish_all_ports", j.flag),
    Field("ReadonlyRootfs", "readonly_rootfs", j.flag),
    Field("SecurityOpt", "security_opt", j.texts, j.to_list_or_null),
    Field("StorageOpt", "storage_opt", j.text_map, lambda given: dict(given) or None),
    Field("Tmpfs", "tmpfs", j.text_map, lambda given: dict(given) or None),
    Field("UTSMode", "uts_mode", j.text),
    Field("UsernsMode", "userns_mode", j.text),
    Field("ShmSize", "shm_size", j.number),
    Field("Sysctls", "sysctls", j.text_map, lambda given: dict(given) or None),
    Field("Runtime", "runtime", j.text),
    Field("Isolation", "isolation", _isolation),
    Field("MaskedPaths", "masked_paths", j.texts, j.to_list),
    Field("ReadonlyPaths", "readonly_paths", j.texts, j.to_list),
    Field("CgroupParent", "cgroup_parent", j.text),
    Field("BlkioWeightDevice", "blkio_weight_device", j.list_of(_weight_device), j.written_list(WEIGHT_FIELDS)),
    _throttle("BlkioDeviceReadBps", "blkio_device_read_bps"),
    _throttle("BlkioDeviceWriteBps", "blkio_device_write_bps"),
    _throttle("BlkioDeviceReadIOps", "blkio_device_read_iops"),
    _throttle("BlkioDeviceWriteIOps", "blkio_device_write_iops"),
    Field("Devices", "devices", j.list_of(_device), j.written_list(DEVICE_FIELDS)),
    Field("DeviceCgroupRules", "device_cgroup_rules", j.texts, j.to_list_or_null),
    Field(
        "DeviceRequests",
        "device_requests",
        j.list_of(j.record_of(DeviceRequest, DEVICE_REQUEST_FIELDS)),
        j.written_list(DEVICE_REQUEST_FIELDS),
    ),
    Field("MemorySwappiness", "memory_swappiness", _swappiness),
    Field("OomKillDisable", "oom_kill_disable", j.flag),
    Field("Ulimits", "ulimits", j.list_of(_ulimit), j.written_list(ULIMIT_FIELDS)),
)

NEUTRAL_HOST_VALUES: dict[str, tuple[Any, ...]] = {
    "KernelMemory": (-1,),
    "KernelMemoryTCP": (-1,),
}
"""Values of HostConfig keys that nothing honours and that yet change nothing, beside null, zero and empty."""

NEUTRAL_HOST_DEFAULTS: dict[str, Any] = {
    "Cgroup": "",
    "CpuCount": 0,
    "CpuPercent": 0,
    "IOMaximumIOps": 0,
    "IOMaximumBandwidth": 0,
}
"""What inspect shows for HostConfig keys that are refused when set: clients read them."""
