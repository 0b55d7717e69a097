"""config.json as a whole (OCI runtime specification 1.0.2, config.md and config-linux.md)."""

from __future__ import annotations

from typing import Any

from wherry.containers import seccomp, security_options
from wherry.containers.model import ExecRequest
from wherry.containers.spec import capabilities, cdi_edits, devices
from wherry.containers.spec.inputs import BundleInputs
from wherry.containers.spec.mounts import build_mounts
from wherry.containers.spec.namespaces import build_namespaces
from wherry.containers.spec.process import build_exec_process, build_process
from wherry.containers.spec.resources import build_resources

OCI_VERSION = "1.0.2"

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def build(inputs: BundleInputs) -> dict[str, Any]:
    """The configuration that ``wherry-runtime create`` is given."""
    host_config = inputs.container.host_config
    security = security_options.parse(host_config.security_opt)
    bounding = capabilities.bounding_set(host_config, inputs.own_capabilities)
    config: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "process": build_process(inputs, security, bounding),
        "root": {"path": str(inputs.rootfs), "readonly": host_config.readonly_rootfs},
        "mounts": build_mounts(inputs),
        "linux": _linux(inputs, security, bounding),
    }
    if inputs.namespaces.uts == "":
        config["hostname"] = inputs.hostname
        if inputs.container.config.domainname:
            config["domainname"] = inputs.container.config.domainname
    if host_config.annotations:
        config["annotations"] = dict(host_config.annotations)
    cdi_edits.apply(config, inputs.edits)
    return config


def build_exec(inputs: BundleInputs, request: ExecRequest) -> dict[str, Any]:
    """The process.json of ``wherry-runtime exec``."""
    host_config = inputs.container.host_config
    security = security_options.parse(host_config.security_opt)
    bounding = capabilities.bounding_set(host_config, inputs.own_capabilities)
    return build_exec_process(inputs, security, bounding, request)


def _linux(
    inputs: BundleInputs, security: security_options.SecurityOptions, bounding: tuple[str, ...]
) -> dict[str, Any]:
    host_config = inputs.container.host_config
    nodes = devices.build_nodes(host_config)
    resources = build_resources(host_config, swap_accounting=inputs.swap_accounting)
    resources["devices"] = devices.build_rules(host_config, nodes)
    linux: dict[str, Any] = {
        "cgroupsPath": inputs.cgroups_path,
        "namespaces": build_namespaces(inputs.namespaces),
        "resources": resources,
        "devices": devices.without_permissions(nodes),
        "sysctl": _sysctls(inputs),
        **_hidden_paths(inputs, security),
    }
    if inputs.container.host_config.privileged or security.seccomp == "unconfined":
        return linux
    linux["seccomp"] = (
        seccomp.custom_profile(security.seccomp, bounding) if security.seccomp else seccomp.default_profile(bounding)
    )
    return linux


def _hidden_paths(inputs: BundleInputs, security: security_options.SecurityOptions) -> dict[str, list[str]]:
    host_config = inputs.container.host_config
    if host_config.privileged or security.system_paths_unconfined:
        return {"maskedPaths": [], "readonlyPaths": []}
    masked = MASKED_PATHS if host_config.masked_paths is None else host_config.masked_paths
    read_only = READONLY_PATHS if host_config.readonly_paths is None else host_config.readonly_paths
    return {"maskedPaths": list(masked), "readonlyPaths": list(read_only)}


def _sysctls(inputs: BundleInputs) -> dict[str, str]:
    """Those that the runtime sets; ``net.*`` of an own network are set by whoever makes its namespace."""
    given = inputs.container.host_config.sysctls
    return {name: value for name, value in given.items() if not name.startswith("net.")}
