"""``process`` of config.json: command line, user, environment, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.containers.environment import process_environment
from wherry.containers.identity import Identity
from wherry.containers.model import ExecRequest, Ulimit
from wherry.containers.security_options import SecurityOptions
from wherry.containers.spec import capabilities
from wherry.containers.spec.inputs import BundleInputs
from wherry.errors import InvalidParameter

INIT_PLACE = "/sbin/docker-init"
"""Where the init process is in a container, as in Docker."""
UNLIMITED = (1 << 64) - 1
RLIMIT_NAMES = frozenset(
    {
        "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue",
        "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
    }
)  # fmt: skip


def build_process(inputs: BundleInputs, security: SecurityOptions, bounding: Sequence[str]) -> dict[str, Any]:
    """The first process of the container."""
    container = inputs.container
    config, host_config = container.config, container.host_config
    process: dict[str, Any] = {
        "terminal": config.tty,
        "user": _user(inputs.identity),
        "args": [*([INIT_PLACE, "--"] if inputs.init else []), container.path, *container.args],
        "env": process_environment(config, inputs.hostname, inputs.identity.home, inputs.link_environment),
        "cwd": config.working_dir or "/",
        "capabilities": capabilities.oci_sets(bounding, inputs.identity.uid),
        "noNewPrivileges": security.no_new_privileges,
        "rlimits": [_rlimit(limit) for limit in host_config.ulimits],
    }
    height, width = host_config.console_size
    if config.tty and height and width:
        process["consoleSize"] = {"height": height, "width": width}
    if security.apparmor and not host_config.privileged:
        process["apparmorProfile"] = security.apparmor
    if host_config.oom_score_adj != inputs.own_oom_score_adj:
        process["oomScoreAdj"] = host_config.oom_score_adj
    return process


def build_exec_process(
    inputs: BundleInputs, security: SecurityOptions, bounding: Sequence[str], request: ExecRequest
) -> dict[str, Any]:
    """A further process: the container's settings with what the request changes. ``inputs.identity`` is the exec's."""
    config = inputs.container.config
    terminal = ["TERM=xterm"] if request.tty and not config.tty else []
    if request.privileged:
        bounding = inputs.own_capabilities
    return {
        "terminal": request.tty,
        "user": _user(inputs.identity),
        "args": list(request.command),
        "env": process_environment(
            config, inputs.hostname, inputs.identity.home, inputs.link_environment, (*terminal, *request.env)
        ),
        "cwd": request.working_dir or config.working_dir or "/",
        "capabilities": capabilities.oci_sets(bounding, inputs.identity.uid, privileged_user=request.privileged),
        "noNewPrivileges": security.no_new_privileges,
        "rlimits": [_rlimit(limit) for limit in inputs.container.host_config.ulimits],
    }


def check_ulimits(limits: Sequence[Ulimit]) -> None:
    """Raises ``InvalidParameter`` for names that the kernel lacks and a soft limit above the hard one."""
    for index, limit in enumerate(limits):
        field = f"HostConfig.Ulimits[{index}]"
        if limit.name not in RLIMIT_NAMES:
            raise InvalidParameter(f"invalid ulimit type: {limit.name}", field=field)
        if min(limit.soft, limit.hard) < -1:
            raise InvalidParameter("limits must be -1 (unlimited), zero or positive", field=field, value=limit.name)
        if _value(limit.soft) > _value(limit.hard):
            raise InvalidParameter(
                f"ulimit soft limit must be less than or equal to hard limit: {limit.soft} > {limit.hard}", field=field
            )


def _user(identity: Identity) -> dict[str, Any]:
    return {"uid": identity.uid, "gid": identity.gid, "additionalGids": list(identity.groups)}


def _rlimit(limit: Ulimit) -> dict[str, Any]:
    return {"type": f"RLIMIT_{limit.name.upper()}", "soft": _value(limit.soft), "hard": _value(limit.hard)}


def _value(limit: int) -> int:
    return UNLIMITED if limit == -1 else limit
