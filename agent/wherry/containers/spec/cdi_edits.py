"""What CDI's files ask for, put into config.json: the containerEdits of the CDI specification."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wherry.containers.cdi import CdiHook, CdiMount, DeviceNode, Edits
from wherry.errors import SystemFailure


def apply(config: dict[str, Any], edits: Iterable[Edits]) -> None:
    """Changes what ``bundle.build`` makes; of variables, nodes or mounts of one name the last counts."""
    for edit in edits:
        process, linux = config["process"], config["linux"]
        for variable in edit.env:
            name = variable.partition("=")[0]
            process["env"] = [kept for kept in process["env"] if not kept.startswith(f"{name}=")] + [variable]
        for node in edit.device_nodes:
            _add_node(linux, node, process["user"])
        for mount in edit.mounts:
            kept = [one for one in config["mounts"] if one["destination"] != mount.container_path]
            config["mounts"] = [*kept, _mount(mount)]
        for hook in edit.hooks:
            config.setdefault("hooks", {}).setdefault(hook.name, []).append(_hook(hook))
        groups = process["user"].setdefault("additionalGids", [])
        groups += [gid for gid in edit.additional_gids if gid not in groups]
        for device in edit.net_devices:
            linux.setdefault("netDevices", {})[device.host_name] = {"name": device.name}


def _add_node(linux: dict[str, Any], node: DeviceNode, user: dict[str, Any]) -> None:
    """The owner, where none is said, is the container's user (SPEC.md, "deviceNodes")."""
    made = _completed(node)
    made["uid"] = user["uid"] if node.uid is None else node.uid
    made["gid"] = user["gid"] if node.gid is None else node.gid
    linux["devices"] = [kept for kept in linux["devices"] if kept["path"] != node.path] + [made]
    if made["type"] != "p":
        rule = {"allow": True, "type": made["type"], "access": node.permissions}
        rule.update(major=made["major"], minor=made["minor"])
        linux["resources"]["devices"].append(rule)


def _completed(node: DeviceNode) -> dict[str, Any]:
    made: dict[str, Any] = {"path": node.path}
    kind, major, minor = node.kind, node.major, node.minor
    if not kind or (kind != "p" and (major is None or minor is None)):
        found = _found(node)
        if kind and kind != found[0]:
            raise SystemFailure(
                f"CDI device injection failed: device node {node.host_path} is of type {found[0]}, not {kind}"
            )
        kind, major, minor = found
    made["type"] = kind
    if kind != "p":
        made.update(major=major, minor=minor)
    if node.file_mode is not None:
        made["fileMode"] = node.file_mode
    return made


def _found(node: DeviceNode) -> tuple[str, int, int]:
    try:
        status = Path(node.host_path).stat()
    except OSError as error:
        raise SystemFailure(f"CDI device injection failed: {node.host_path}: {error.strerror}") from error
    kinds = {stat.S_IFCHR: "c", stat.S_IFBLK: "b", stat.S_IFIFO: "p"}
    kind = kinds.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise SystemFailure(f"CDI device injection failed: {node.host_path} is not a device node")
    return kind, os.major(status.st_rdev), os.minor(status.st_rdev)


def _mount(mount: CdiMount) -> dict[str, Any]:
    kind = mount.kind or "bind"
    options = list(mount.options) or ["bind"]
    if kind == "bind" and not {"bind", "rbind"} & set(options):
        options = ["bind", *options]
    return {"destination": mount.container_path, "type": kind, "source": mount.host_path, "options": options}


def _hook(hook: CdiHook) -> dict[str, Any]:
    document: dict[str, Any] = {"path": hook.path, "args": list(hook.args) or [hook.path], "env": list(hook.env)}
    if hook.timeout:
        document["timeout"] = hook.timeout
    return document
