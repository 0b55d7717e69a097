"""What is known of a container: frozen records, in the words of the Engine API, snake case.

``api/container_json.py`` parses them from request bodies and renders them; ``state/containers.py`` keeps them. An empty
text, ``None`` or an empty tuple means "not given"; sizes are bytes, times are RFC 3339 with nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

NEVER = "0001-01-01T00:00:00Z"
"""The time that the Engine API shows for what has not happened."""

DEFAULT_STOP_TIMEOUT = 10
RUNNING_STATES = frozenset({"running", "paused", "restarting"})


@dataclass(frozen=True)
class Ulimit:
    """One resource limit; -1 is unlimited."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True)
class DeviceMapping:
    """A device of the host offered to the container; permissions are out of ``rwm``."""

    path_on_host: str
    path_in_container: str
    permissions: str = "rwm"


@dataclass(frozen=True)
class DeviceRequest:
    """Devices by driver: ``device_ids`` of it, or ``count`` (-1: all) that have one of the sets of capabilities."""

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[tuple[str, ...], ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightDevice:
    """Block I/O weight of one device."""

    path: str
    weight: int


@dataclass(frozen=True)
class ThrottleDevice:
    """Block I/O rate of one device, bytes or operations a second."""

    path: str
    rate: int


@dataclass(frozen=True)
class RestartPolicy:
    """``no``, ``always``, ``unless-stopped`` or ``on-failure`` with at most so many tries (0: no bound)."""

    name: str = "no"
    maximum_retry_count: int = 0

    def as_text(self) -> str:
        """The form that the monitor reads: ``on-failure:3``."""
        if self.name == "on-failure" and self.maximum_retry_count:
            return f"on-failure:{self.maximum_retry_count}"
        return self.name or "no"


@dataclass(frozen=True)
class LogConfig:
    """Log driver and its options; ``log_options.py`` knows them."""

    type: str = ""
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HostPort:
    """One side of a port binding as given: address and port (``""``, ``"80"`` or ``"8000-8010"``) on the host."""

    host_ip: str = ""
    host_port: str = ""


@dataclass(frozen=True)
class BindOptions:
    """How a bind mount behaves."""

    propagation: str = ""
    non_recursive: bool = False
    create_mountpoint: bool = False
    read_only_non_recursive: bool = False
    read_only_force_recursive: bool = False


@dataclass(frozen=True)
class VolumeOptions:
    """How a volume mount behaves, and how the volume is made if it is missing."""

    no_copy: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    driver: str = ""
    driver_options: Mapping[str, str] = field(default_factory=dict)
    subpath: str = ""


@dataclass(frozen=True)
class ImageOptions:
    """Which part of an image is mounted."""

    subpath: str = ""


@dataclass(frozen=True)
class TmpfsOptions:
    """Size in bytes (0: the kernel's default), mode bits (0: 1777) of a tmpfs mount."""

    size: int = 0
    mode: int = 0
    options: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class MountSpec:
    """An entry of ``HostConfig.Mounts``."""

    type: str
    target: str
    source: str = ""
    read_only: bool = False
    consistency: str = ""
    bind: BindOptions | None = None
    volume: VolumeOptions | None = None
    tmpfs: TmpfsOptions | None = None
    image: ImageOptions | None = None


@dataclass(frozen=True)
class MountPoint:
    """A mount as resolved at creation: what inspect shows and what the bundle gets."""

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    recursive: bool = True
    read_only_below: bool = True
    subpath: str = ""
    anonymous: bool = False
    copy_up: bool = False
    create_source: bool = False
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class HealthConfig:
    """How a container's health is checked. Durations are nanoseconds; 0 is the default (``health.py`` has them).

    ``test`` is empty (inherited from the image), ``("NONE",)``, ``("CMD", word, …)`` or ``("CMD-SHELL", line)``.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0

    @property
    def is_run(self) -> bool:
        """Whether there is something to run."""
        return bool(self.test) and self.test[0] != "NONE"


@dataclass(frozen=True)
class ContainerConfig:
    """What runs: the part of a container that an image can give defaults for."""

    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: tuple[str, ...] = ()
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] | None = None
    image: str = ""
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    entrypoint: tuple[str, ...] | None = None
    network_disabled: bool = False
    mac_address: str = ""
    on_build: tuple[str, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    stop_timeout: int | None = None
    shell: tuple[str, ...] | None = None
    healthcheck: HealthConfig | None = None


@dataclass(frozen=True)
class HostConfig:
    """How it runs on this host: limits, namespaces, mounts, ports, policies."""

    binds: tuple[str, ...] = ()
    container_id_file: str = ""
    log_config: LogConfig = LogConfig()
    network_mode: str = "default"
    port_bindings: Mapping[str, tuple[HostPort, ...]] = field(default_factory=dict)
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: tuple[str, ...] = ()
    mounts: tuple[MountSpec, ...] = ()
    console_size: tuple[int, ...] = (0, 0)
    annotations: Mapping[str, str] = field(default_factory=dict)
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    cgroupns_mode: str = ""
    dns: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    dns_search: tuple[str, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    init: bool | None = None
    group_add: tuple[str, ...] = ()
    ipc_mode: str = ""
    links: tuple[str, ...] = ()
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: tuple[str, ...] = ()
    storage_opt: Mapping[str, str] = field(default_factory=dict)
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size: int = 0
    sysctls: Mapping[str, str] = field(default_factory=dict)
    runtime: str = ""
    isolation: str = ""
    masked_paths: tuple[str, ...] | None = None
    readonly_paths: tuple[str, ...] | None = None
    cpu_shares: int = 0
    memory: int = 0
    nano_cpus: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_device: tuple[WeightDevice, ...] = ()
    blkio_device_read_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_bps: tuple[ThrottleDevice, ...] = ()
    blkio_device_read_iops: tuple[ThrottleDevice, ...] = ()
    blkio_device_write_iops: tuple[ThrottleDevice, ...] = ()
    cpu_period: int = 0
    cpu_quota: int = 0
    cpu_realtime_period: int = 0
    cpu_realtime_runtime: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[DeviceMapping, ...] = ()
    device_cgroup_rules: tuple[str, ...] = ()
    device_requests: tuple[DeviceRequest, ...] = ()
    memory_reservation: int = 0
    memory_swap: int = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool = False
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] = ()


@dataclass(frozen=True)
class EndpointSettings:
    """How the container wishes to be plugged into one network."""

    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    aliases: tuple[str, ...] = ()
    driver_options: Mapping[str, str] = field(default_factory=dict)
    gw_priority: int = 0
    links: tuple[str, ...] = ()
    link_local: tuple[str, ...] = ()


@dataclass(frozen=True)
class NetworkingConfig:
    """The networks asked for, by name or id, in the order given."""

    endpoints: Mapping[str, EndpointSettings] = field(default_factory=dict)


@dataclass(frozen=True)
class CreateRequest:
    """All that is said about a container that shall be made; an empty name has one generated."""

    name: str
    platform: str
    config: ContainerConfig
    host_config: HostConfig
    networking: NetworkingConfig


@dataclass(frozen=True)
class ProbeResult:
    """One run of a health check: times, exit code (0 is healthy, -1 did not finish), the beginning of its output."""

    start: str
    end: str
    exit_code: int
    output: str


@dataclass(frozen=True)
class Health:
    """``status`` is starting, healthy or unhealthy; ``run`` is the ``started_at`` of the run that it speaks of."""

    run: str
    status: str = "starting"
    failing_streak: int = 0
    log: tuple[ProbeResult, ...] = ()


@dataclass(frozen=True)
class ContainerState:
    """What is true of a container now; the monitor's record is the source while it runs.

    ``status`` is created, running, paused, restarting, exited or dead. ``manually_stopped`` keeps ``unless-stopped``
    from starting it again.
    """

    status: str = "created"
    pid: int = 0
    exit_code: int = 0
    error: str = ""
    oom_killed: bool = False
    started_at: str = NEVER
    finished_at: str = NEVER
    restart_count: int = 0
    manually_stopped: bool = False
    health: Health | None = None
    oom_kills: int = 0
    log_lost_entries: int = 0
    log_lost_bytes: int = 0

    @property
    def is_running(self) -> bool:
        """Whether a monitor has it: running, paused or between two runs."""
        return self.status in RUNNING_STATES


@dataclass(frozen=True)
class Link:
    """Another container of the default network, known by a further name."""

    container_id: str
    alias: str


@dataclass(frozen=True)
class Container:
    """One container: what was asked, with the image's defaults merged in, and its state.

    ``path`` and ``args`` are the command line after the merge of entrypoint and command. ``removing``: somebody is
    about to remove it. ``takes_volumes``: its anonymous volumes go with it.
    """

    id: str
    name: str
    created: str
    image_id: str
    path: str
    args: tuple[str, ...]
    config: ContainerConfig
    host_config: HostConfig
    networking: NetworkingConfig
    mounts: tuple[MountPoint, ...]
    state: ContainerState = ContainerState()
    removing: bool = False
    links: tuple[Link, ...] = ()
    takes_volumes: bool = False

    @property
    def short_id(self) -> str:
        """The first twelve digits, as people type them."""
        return self.id[:12]


@dataclass(frozen=True)
class ResourceUpdate:
    """What ``update`` changes: HostConfig fields by name, and a restart policy when given."""

    limits: Mapping[str, Any]
    restart_policy: RestartPolicy | None = None

    def applied_to(self, host_config: HostConfig) -> HostConfig:
        """The configuration after the update."""
        changed = replace(host_config, **self.limits)
        return changed if self.restart_policy is None else replace(changed, restart_policy=self.restart_policy)


@dataclass(frozen=True)
class ExecRequest:
    """A further process in a running container; ``tty`` and the attach flags say which streams it has."""

    command: tuple[str, ...]
    env: tuple[str, ...] = ()
    user: str = ""
    working_dir: str = ""
    tty: bool = False
    privileged: bool = False
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    detach_keys: str = ""
