"""The table of a container's compared options: where each stands in the records, and how it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.containers.log_options import OPTIONS
from wherry.containers.model import Container
from wherry.engine.documents import container_values as values
from wherry.engine.documents import fields, healthcheck, links, ports, quantities, storage
from wherry.engine.documents.property import Draft, Property, Shape, assignments, in_config, in_host
from wherry.images.model import ImageConfig

RESTART_POLICIES = ("no", "always", "on-failure", "unless-stopped")


def _limit(name: str, option: str, read: Any, **more: Any) -> Property:
    return in_host(name, option, read, limit=name, **more)


def _with_restart(draft: Draft, **change: Any) -> Draft:
    return draft.with_host(restart_policy=replace(draft.host.restart_policy, **change))


def _with_log(draft: Draft, **change: Any) -> Draft:
    return draft.with_host(log_config=replace(draft.host.log_config, **change))


def _capabilities(names: tuple[str, ...]) -> set[str]:
    """``NET_ADMIN``, ``net_admin`` and ``CAP_NET_ADMIN`` are one."""
    return {name.upper().removeprefix("CAP_") for name in names}


def _devices_json(devices: Any) -> list[str]:
    return [values.device_text(device) for device in devices]


def _rates_json(rates: Any) -> list[dict[str, Any]]:
    return [{"path": rate.path, "rate": rate.rate} for rate in rates]


def _ulimits_json(ulimits: Any) -> list[str]:
    return [f"{limit.name}:{limit.soft}:{limit.hard}" for limit in ulimits]


def _security(options: tuple[str, ...]) -> set[str]:
    """``no-new-privileges`` alone, with ``:true`` and with ``=true`` are one."""
    texts = (option.replace(":", "=", 1) for option in options)
    return {"no-new-privileges" if text == "no-new-privileges=true" else text for text in texts}


def _published_now(container: Container) -> ports.Published:
    host = container.host_config
    return ports.Published(host.port_bindings, host.publish_all_ports)


def _write_published(draft: Draft, value: ports.Published) -> Draft:
    exposed = tuple(dict.fromkeys((*draft.config.exposed_ports, *value.bindings)))
    draft = draft.with_config(exposed_ports=exposed).with_host(port_bindings=dict(value.bindings))
    return draft.with_host(publish_all_ports=True) if value.every else draft


def _canonical_published(value: ports.Published) -> set[Any]:
    found: set[Any] = set(ports.canonical(value.bindings))
    return found | {"all"} if value.every else found


def _published_json(value: ports.Published) -> list[str]:
    texts = []
    for port, hosts in value.bindings.items():
        for host in hosts:
            address = f"[{host.host_ip}]" if ":" in host.host_ip else host.host_ip
            before = f"{address}:{host.host_port}:" if address else f"{host.host_port}:" if host.host_port else ""
            texts.append(before + port)
    return [*sorted(texts), *(["all"] if value.every else [])]


def _exposed_now(container: Container) -> tuple[str, ...]:
    """Ports that the record holds as ranges, too, each by itself."""
    return ports.exposed(container.config.exposed_ports, "exposed_ports")


def _volumes_now(container: Container) -> tuple[str, ...]:
    named = {entry.partition(":")[2].partition(":")[0] for entry in container.host_config.binds}
    anonymous = (path for path in container.config.volumes if path not in named)
    return (*container.host_config.binds, *anonymous)


def _write_volumes(draft: Draft, entries: tuple[str, ...]) -> Draft:
    binds = tuple(entry for entry in entries if ":" in entry)
    anonymous = tuple(entry for entry in entries if ":" not in entry)
    return draft.with_host(binds=binds).with_config(volumes=anonymous)


def _canonical_mounts(mounts: Any) -> list[Any]:
    return [storage.canonical_mount(mount) for mount in mounts]


def _image_labels(image: ImageConfig) -> Mapping[str, str]:
    return image.labels


def _text_choice(*allowed: str) -> Any:
    return fields.choice(*allowed)


def _text(option: str, name: str = "", read: Any = fields.text, **more: Any) -> Property:
    return in_config(name or option, option, read, **more)


CONFIGURATION = (
    in_config("cmd", "command", values.command, shape=Shape.LIST),
    in_config("entrypoint", "entrypoint", values.command, shape=Shape.LIST),
    in_config(
        "env",
        "env",
        values.environment,
        shape=Shape.DICT,
        canonical=assignments,
        inherited=lambda image: image.env,
        show=assignments,
    ),
    Property(
        "labels",
        values.labels,
        lambda container: values.without_owner(container.config.labels),
        lambda draft, value: draft.with_config(labels=value),
        Shape.DICT,
        canonical=dict,
        inherited=_image_labels,
        show=dict,
    ),
    Property(
        "exposed_ports",
        ports.exposed,
        _exposed_now,
        lambda draft, value: draft.with_config(
            exposed_ports=tuple(dict.fromkeys((*draft.config.exposed_ports, *value)))
        ),
        Shape.SET,
        canonical=set,
        inherited=lambda image: ports.exposed(image.exposed_ports, "exposed_ports"),
        show=list,
    ),
    _text("domainname"),
    _text("hostname", read=values.hostname),
    _text("mac_address", read=values.mac_address),
    _text("user"),
    _text("working_dir", read=fields.absolute_path),
    _text("stop_signal", read=values.stop_signal, canonical=lambda text: values.signal_number(text) if text else 0),
    _text("stop_timeout", read=fields.whole(-1)),
    _text("tty", read=fields.flag),
    _text("interactive", "open_stdin", fields.flag),
    healthcheck.PROPERTY,
)

LIMITS = (
    _limit("blkio_weight", "blkio_weight", fields.whole(0, 1000)),
    _limit("cpu_period", "cpu_period", fields.whole(0)),
    _limit("cpu_quota", "cpu_quota", fields.whole(-1)),
    _limit("cpu_shares", "cpu_shares", fields.whole(0)),
    _limit("nano_cpus", "cpus", quantities.nano_cpus, show=lambda nano: nano / quantities.NANO),
    _limit("cpuset_cpus", "cpuset_cpus", quantities.cpu_set, canonical=quantities.canonical_cpu_set),
    _limit("cpuset_mems", "cpuset_mems", quantities.cpu_set, canonical=quantities.canonical_cpu_set),
    _limit("memory", "memory", quantities.memory()),
    _limit("memory_reservation", "memory_reservation", quantities.memory()),
    _limit("memory_swap", "memory_swap", quantities.memory(unlimited=True)),
    _limit("pids_limit", "pids_limit", fields.whole(-1), canonical=lambda limit: 0 if limit in (None, -1) else limit),
    Property(
        "restart_policy",
        _text_choice(*RESTART_POLICIES),
        lambda container: container.host_config.restart_policy.name or "no",
        lambda draft, value: _with_restart(draft, name=value),
        limit="restart_policy",
    ),
    Property(
        "restart_retries",
        fields.whole(0),
        lambda container: container.host_config.restart_policy.maximum_retry_count,
        lambda draft, value: _with_restart(draft, maximum_retry_count=value),
        limit="restart_policy",
    ),
)
"""What the kernel or the monitor changes in a container that runs."""

HOST = (
    in_host("auto_remove", "auto_remove", fields.flag),
    in_host("cap_add", "capabilities", fields.texts, shape=Shape.SET, canonical=_capabilities),
    in_host("cap_drop", "cap_drop", fields.texts, shape=Shape.SET, canonical=_capabilities),
    in_host("cgroup_parent", "cgroup_parent", fields.text),
    in_host("cgroupns_mode", "cgroupns_mode", _text_choice("private", "host")),
    in_host("device_cgroup_rules", "device_cgroup_rules", fields.texts, shape=Shape.LIST),
    in_host(
        "blkio_device_read_bps", "device_read_bps", values.rates(True), shape=Shape.SET, canonical=set, show=_rates_json
    ),
    in_host(
        "blkio_device_read_iops",
        "device_read_iops",
        values.rates(False),
        shape=Shape.SET,
        canonical=set,
        show=_rates_json,
    ),
    in_host(
        "blkio_device_write_bps",
        "device_write_bps",
        values.rates(True),
        shape=Shape.SET,
        canonical=set,
        show=_rates_json,
    ),
    in_host(
        "blkio_device_write_iops",
        "device_write_iops",
        values.rates(False),
        shape=Shape.SET,
        canonical=set,
        show=_rates_json,
    ),
    in_host("devices", "devices", fields.list_of(values.device), shape=Shape.SET, canonical=set, show=_devices_json),
    in_host(
        "device_requests",
        "device_requests",
        fields.list_of(values.device_request),
        shape=Shape.LIST,
        show=lambda requests: [values.device_request_json(one) for one in requests],
    ),
    in_host("dns_options", "dns_opts", fields.texts, shape=Shape.SET, canonical=set),
    in_host("dns_search", "dns_search_domains", fields.texts, shape=Shape.LIST),
    in_host("dns", "dns_servers", fields.list_of(fields.address()), shape=Shape.LIST),
    in_host("extra_hosts", "etc_hosts", values.extra_hosts, shape=Shape.SET, canonical=values.canonical_hosts),
    in_host("group_add", "groups", fields.texts, shape=Shape.SET, canonical=set),
    in_host("init", "init", fields.flag, canonical=bool, show=bool),
    in_host("ipc_mode", "ipc_mode", fields.filled),
    in_host("links", "links", links.read, shape=Shape.SET, canonical=set),
    Property(
        "log_driver",
        _text_choice(*OPTIONS),
        lambda container: container.host_config.log_config.type,
        lambda draft, value: _with_log(draft, type=value),
    ),
    Property(
        "log_options",
        values.log_options,
        lambda container: container.host_config.log_config.config,
        lambda draft, value: _with_log(draft, config=value),
        Shape.DICT,
        canonical=dict,
        show=dict,
    ),
    in_host("memory_swappiness", "memory_swappiness", fields.whole(0, 100)),
    in_host(
        "mounts",
        "mounts",
        storage.mounts,
        shape=Shape.SET,
        canonical=_canonical_mounts,
        show=lambda mounts: [storage.mount_json(mount) for mount in mounts],
    ),
    in_host("oom_kill_disable", "oom_killer", fields.flag),
    in_host("oom_score_adj", "oom_score_adj", fields.whole(-1000, 1000)),
    in_host("pid_mode", "pid_mode", fields.filled),
    in_host("privileged", "privileged", fields.flag),
    in_host("publish_all_ports", "publish_all_ports", fields.flag),
    in_host("readonly_rootfs", "read_only", fields.flag),
    in_host("runtime", "runtime", fields.filled),
    in_host("security_opt", "security_opts", fields.texts, shape=Shape.SET, canonical=_security),
    in_host("shm_size", "shm_size", quantities.size),
    in_host("storage_opt", "storage_opts", values.string_map, shape=Shape.DICT, canonical=dict, show=dict),
    in_host("sysctls", "sysctls", values.sysctls, shape=Shape.DICT, canonical=dict, show=dict),
    in_host("tmpfs", "tmpfs", storage.tmpfs, shape=Shape.DICT, canonical=storage.canonical_tmpfs, show=dict),
    in_host(
        "ulimits",
        "ulimits",
        fields.list_of(values.ulimit),
        shape=Shape.SET,
        canonical=set,
        show=_ulimits_json,
    ),
    in_host("userns_mode", "userns_mode", _text_choice("host")),
    in_host("uts_mode", "uts", fields.filled),
    in_host("volume_driver", "volume_driver", fields.filled),
    in_host("volumes_from", "volumes_from", fields.texts, shape=Shape.SET, canonical=set),
    Property(
        "volumes",
        storage.volumes,
        _volumes_now,
        _write_volumes,
        Shape.SET,
        canonical=storage.canonical_volumes,
        inherited=lambda image: image.volumes,
        show=list,
    ),
)

PUBLISHED = Property(
    "published_ports",
    ports.published,
    _published_now,
    _write_published,
    Shape.DICT,
    canonical=_canonical_published,
    show=_published_json,
)
"""Read apart from the others: ``default_ip`` has a say in it."""

PROPERTIES: Mapping[str, Property] = {made.option: made for made in (*CONFIGURATION, *LIMITS, *HOST, PUBLISHED)}
