"""Bodies of container requests, parsed once into the records of ``containers/model.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.api import json_fields as j
from wherry.api.container_fields import (
    CONFIG_FIELDS,
    HOST_FIELDS,
    LIMIT_FIELDS,
    NEUTRAL_HOST_VALUES,
    RESTART_FIELDS,
    read_endpoint,
)
from wherry.api.json_fields import Field
from wherry.containers.model import (
    ContainerConfig,
    CreateRequest,
    ExecRequest,
    HostConfig,
    NetworkingConfig,
    ResourceUpdate,
    RestartPolicy,
)
from wherry.errors import InvalidParameter

CONFIG_KEYS = frozenset(field.key for field in CONFIG_FIELDS) | {"HostConfig", "NetworkingConfig", "Runtime"}
HOST_KEYS = frozenset(field.key for field in HOST_FIELDS)
UPDATE_KEYS = frozenset(field.key for field in LIMIT_FIELDS) | {"RestartPolicy"}

AUTO_REMOVE_SINCE = (1, 25)  # before, the client removed the container itself
SEVERAL_NETWORKS_SINCE = (1, 44)
PIDS_LIMIT_SINCE = (1, 40)  # of an update
PRIVATE_IPC_SINCE = (1, 40)  # before, others could join a container's IPC namespace by default

EXEC_FIELDS = (
    Field("AttachStdin", "attach_stdin", j.flag),
    Field("AttachStdout", "attach_stdout", j.flag),
    Field("AttachStderr", "attach_stderr", j.flag),
    Field("Tty", "tty", j.flag),
    Field("User", "user", j.text),
    Field("Privileged", "privileged", j.flag),
    Field("Env", "env", j.texts),
    Field("WorkingDir", "working_dir", j.text),
    Field("Cmd", "command", j.text_or_texts),
    Field("DetachKeys", "detach_keys", j.text),
)
EXEC_KEYS = frozenset(field.key for field in EXEC_FIELDS) | {"Detach", "ConsoleSize", "Container"}


def parse_create(body: Mapping[str, Any], name: str, platform: str, version: tuple[int, int]) -> CreateRequest:
    """The body of ``POST /containers/create``; refuses by name what is not honoured.

    ``version`` is the API's that the client speaks: what it left open means what it meant then.
    """
    body = j.known_only(body, CONFIG_KEYS, "")
    config = ContainerConfig(**j.read_fields(CONFIG_FIELDS, body, ""))
    host_config = parse_host_config(body.get("HostConfig"))
    if body.get("Runtime") and not host_config.runtime:  # where old clients put it
        host_config = replace(host_config, runtime=j.text(body["Runtime"], "Runtime"))
    if version < PRIVATE_IPC_SINCE and not host_config.ipc_mode:
        host_config = replace(host_config, ipc_mode="shareable")
    if version < AUTO_REMOVE_SINCE:
        host_config = replace(host_config, auto_remove=False)
    networking = _networking(body.get("NetworkingConfig"))
    if version < SEVERAL_NETWORKS_SINCE and len(networking.endpoints) > 1:
        names = ", ".join(sorted(networking.endpoints))
        raise InvalidParameter(f"Container cannot be connected to network endpoints: {names}")
    return CreateRequest(name, platform, config, host_config, networking)


def parse_host_config(value: Any) -> HostConfig:
    """``HostConfig``, with every value that is not honoured refused by name."""
    body = j.spelled(j.mapping(value, "HostConfig"), HOST_KEYS)
    settled = {key: item for key, item in body.items() if item not in NEUTRAL_HOST_VALUES.get(key, ())}
    settled = dict(j.known_only(settled, HOST_KEYS, "HostConfig"))
    given = j.read_fields(HOST_FIELDS, settled, "HostConfig")
    host_config = HostConfig(**given)
    if host_config.pids_limit is not None and host_config.pids_limit <= 0:
        host_config = replace(host_config, pids_limit=None)
    if not host_config.network_mode:
        host_config = replace(host_config, network_mode="default")
    return host_config


def parse_update(body: Mapping[str, Any], version: tuple[int, int]) -> ResourceUpdate:
    """The body of ``POST /containers/{id}/update``: zero and empty mean "leave it", as in Docker.

    ``PidsLimit`` is another matter: since 1.40 it counts when it is there, and is no limit when it is not positive.
    """
    body = j.spelled(body, UPDATE_KEYS)
    changes = {key: value for key, value in body.items() if value not in NEUTRAL_HOST_VALUES.get(key, ())}
    j.known_only(changes, UPDATE_KEYS, "")
    given = j.read_fields(LIMIT_FIELDS, changes, "")
    processes = given.pop("pids_limit", None)
    limits = {name: value for name, value in given.items() if value not in (0, "")}
    if processes is not None and version >= PIDS_LIMIT_SINCE:
        limits["pids_limit"] = max(processes, 0)
    policy = None
    if changes.get("RestartPolicy") and not j.is_neutral(changes["RestartPolicy"]):
        policy = RestartPolicy(**j.read_fields(RESTART_FIELDS, changes["RestartPolicy"], "RestartPolicy"))
    return ResourceUpdate(limits, policy)


def parse_exec(body: Mapping[str, Any]) -> ExecRequest:
    """The body of ``POST /containers/{id}/exec``."""
    body = j.known_only(body, EXEC_KEYS, "")
    given = j.read_fields(EXEC_FIELDS, body, "")
    if not given.get("command"):
        raise InvalidParameter("No exec command specified")
    return ExecRequest(**given)


def _networking(value: Any) -> NetworkingConfig:
    body = j.known_only(value, frozenset({"EndpointsConfig"}), "NetworkingConfig")
    where = "NetworkingConfig.EndpointsConfig"
    endpoints = j.mapping(body.get("EndpointsConfig"), where)
    return NetworkingConfig({name: read_endpoint(entry, f"{where}.{name}") for name, entry in endpoints.items()})
