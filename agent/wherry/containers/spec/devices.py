"""Devices: which nodes a container gets, and which its cgroup lets it use."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wherry.containers.model import DeviceMapping, HostConfig
from wherry.errors import InvalidParameter, SystemFailure

RULE = re.compile(r"([abc]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})")
PATTERN = re.compile(r"[*?\[]")
PERMISSIONS = re.compile(r"[rwm]{1,3}")
DEVICE_TREES_OF_THE_CONTAINER = frozenset({"pts", "shm", "fd", "mqueue", "console", "ptmx", "core", "hugepages"})
"""Names below /dev that a privileged container does not get from the host: it has its own."""

DENY_ALL: dict[str, Any] = {"allow": False, "access": "rwm"}


def _allow(kind: str, major: int | None, minor: int | None, access: str) -> dict[str, Any]:
    rule: dict[str, Any] = {"allow": True, "type": kind, "access": access}
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


DEFAULT_RULES: tuple[dict[str, Any], ...] = (
    # Making a node is harmless as long as opening it is not allowed; package managers do it.
    _allow("c", None, None, "m"),
    _allow("b", None, None, "m"),
    _allow("c", 1, 3, "rwm"),  # null
    _allow("c", 1, 5, "rwm"),  # zero
    _allow("c", 1, 7, "rwm"),  # full
    _allow("c", 1, 8, "rwm"),  # random
    _allow("c", 1, 9, "rwm"),  # urandom
    _allow("c", 5, 0, "rwm"),  # tty
    _allow("c", 5, 1, "rwm"),  # console
    _allow("c", 5, 2, "rwm"),  # ptmx
    _allow("c", 136, None, "rwm"),  # pts/*
)


def build_rules(host_config: HostConfig, nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``linux.resources.devices``: everything for a privileged container, else default-deny and what was asked for."""
    if host_config.privileged:
        return [{"allow": True, "access": "rwm"}]
    asked = [_allow(node["type"], node["major"], node["minor"], node["permissions"]) for node in nodes]
    own = [parse_rule(rule, index) for index, rule in enumerate(host_config.device_cgroup_rules)]
    return [DENY_ALL, *DEFAULT_RULES, *asked, *own]


def build_nodes(host_config: HostConfig) -> list[dict[str, Any]]:
    """The nodes to make, each with the ``permissions`` that its rule gets (``without_permissions`` takes them off)."""
    nodes: dict[str, dict[str, Any]] = {}
    if host_config.privileged:
        nodes.update((node["path"], node) for node in _tree(Path("/dev"), "/dev", "rwm", skip_own=True))
    for mapping in host_config.devices:
        nodes.update((node["path"], node) for node in _mapped(mapping))
    return list(nodes.values())


def without_permissions(nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """``linux.devices`` as the specification has it."""
    return [{key: value for key, value in node.items() if key != "permissions"} for node in nodes]


def parse_rule(text: str, index: int) -> dict[str, Any]:
    """A ``--device-cgroup-rule`` (``c 189:* rmw``) as an OCI rule; raises ``InvalidParameter``."""
    match = RULE.fullmatch(text)
    if match is None:
        raise InvalidParameter(
            "invalid device cgroup rule format",
            field=f"HostConfig.DeviceCgroupRules[{index}]",
            value=text,
            allowed="type major:minor access, as in c 189:* rwm",
        )
    kind, major, minor, access = match.groups()
    return _allow(kind, None if major == "*" else int(major), None if minor == "*" else int(minor), access)


def check(host_config: HostConfig) -> None:
    """Raises ``InvalidParameter`` for rules and permissions that are malformed."""
    for index, rule in enumerate(host_config.device_cgroup_rules):
        parse_rule(rule, index)
    for index, device in enumerate(host_config.devices):
        field = f"HostConfig.Devices[{index}]"
        if not device.path_on_host.startswith("/"):
            raise InvalidParameter("PathOnHost must be absolute", field=field, value=device.path_on_host)
        if PATTERN.search(device.path_on_host) and device.path_in_container not in ("", device.path_on_host):
            raise InvalidParameter(
                "devices that a pattern matches keep their paths",
                field=f"{field}.PathInContainer",
                value=device.path_in_container,
                allowed=device.path_on_host,
            )
        if not PERMISSIONS.fullmatch(device.permissions or "rwm"):
            raise InvalidParameter(f"invalid device mode: {device.permissions}", field=field)


def _mapped(mapping: DeviceMapping) -> Iterator[dict[str, Any]]:
    """A device, all devices in a directory, or those that a pattern (glob(7)) matches, each in its own place."""
    source = Path(mapping.path_on_host)
    target = mapping.path_in_container or mapping.path_on_host
    permissions = mapping.permissions or "rwm"
    if PATTERN.search(mapping.path_on_host) and not source.exists():
        for path in _matches(mapping.path_on_host):
            yield from _mapped(DeviceMapping(path, path, permissions))
        return
    try:
        if source.is_dir():
            yield from _tree(source, target, permissions, skip_own=False)
        else:
            yield _node(source.stat(), target, permissions)
    except OSError as error:
        raise SystemFailure(
            f'error gathering device information while adding custom device "{source}": {error.strerror}'
        ) from error


def _matches(pattern: str) -> list[str]:
    """Devices that are there now."""
    found = []
    for path in sorted(Path("/").glob(pattern.strip("/"))):
        mode = path.lstat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
            found.append(str(path))
    if not found:
        raise SystemFailure(f'error gathering device information while adding custom device "{pattern}": no match')
    return found


def _tree(directory: Path, target: str, permissions: str, *, skip_own: bool) -> Iterator[dict[str, Any]]:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if skip_own and entry.name in DEVICE_TREES_OF_THE_CONTAINER:
                continue
            place = f"{target.rstrip('/')}/{entry.name}"
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield from _tree(Path(entry.path), place, permissions, skip_own=skip_own)
            elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                yield _node(status, place, permissions)


def _node(status: os.stat_result, target: str, permissions: str) -> dict[str, Any]:
    if stat.S_ISCHR(status.st_mode):
        kind = "c"
    elif stat.S_ISBLK(status.st_mode):
        kind = "b"
    else:
        raise SystemFailure(
            f'error gathering device information while adding custom device "{target}": not a device node'
        )
    return {
        "path": target,
        "type": kind,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
        "permissions": permissions,
    }
