"""Devices by the Container Device Interface: what ``vendor.com/class=name`` stands for, read from CDI's files.

Source: the CDI specification (cncf-tags/container-device-interface, SPEC.md), versions 0.3.0 to 1.1.0. The files are
root's own (``cdi-spec-dirs``); of two directories the later one counts, and two files of one directory that describe
the same device contradict each other. ``spec/cdi_edits.py`` carries out what is found here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry.errors import InvalidParameter

FILE_LIMIT = 4 << 20
VERSIONS = frozenset({"0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0"})
HOOKS = frozenset({"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"})
QUALIFIED = re.compile(
    r"(?P<kind>[A-Za-z](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?/[A-Za-z](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)"
    r"=(?P<device>[A-Za-z0-9](?:[A-Za-z0-9_.:-]*[A-Za-z0-9])?)"
)
_ROOT_KEYS = frozenset({"cdiVersion", "kind", "annotations", "containerEdits", "devices"})
_DEVICE_KEYS = frozenset({"name", "annotations", "containerEdits"})


@dataclass(frozen=True)
class DeviceNode:
    """A node to make; what is ``None`` is as on the host."""

    path: str
    host_path: str
    kind: str = ""
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    permissions: str = "rwm"
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True)
class CdiMount:
    """A mount to make; without ``kind`` and options that say so, a bind."""

    host_path: str
    container_path: str
    kind: str = ""
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class CdiHook:
    """A program of the host to run at a moment of the container's life; ``timeout`` in seconds, 0: none."""

    name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int = 0


@dataclass(frozen=True)
class NetDevice:
    """A link of the host that goes into the container."""

    host_name: str
    name: str


@dataclass(frozen=True)
class Edits:
    """``containerEdits``."""

    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    hooks: tuple[CdiHook, ...] = ()
    additional_gids: tuple[int, ...] = ()
    net_devices: tuple[NetDevice, ...] = ()


@dataclass(frozen=True)
class _File:
    path: Path
    kind: str
    edits: Edits
    devices: Mapping[str, Edits]


def check_name(name: str, field: str) -> None:
    """Raises ``InvalidParameter`` for what is no qualified device name."""
    if not QUALIFIED.fullmatch(name):
        raise InvalidParameter("is not a CDI device", field=field, value=name, allowed="vendor.com/class=name")


def resolve(names: Sequence[str], directories: Sequence[Path]) -> list[Edits]:
    """What the devices ask for, in order, each file's own edits once and before its devices'; blocks.

    Raises ``InvalidParameter`` in Docker's words for devices that no file describes, or two files of one directory.
    """
    if not names:
        return []
    found: list[Edits] = []
    begun: set[Path] = set()
    problems: list[str] = []
    files = [_read_directory(directory, problems) for directory in directories]
    missing = []
    for name in dict.fromkeys(names):
        kind, _, device = name.partition("=")
        file = _choose(kind, device, files, problems)
        if file is None:
            missing.append(name)
            continue
        if file.path not in begun:
            begun.add(file.path)
            found.append(file.edits)
        found.append(file.devices[device])
    if missing:
        reason = f" ({'; '.join(problems)})" if problems else ""
        raise InvalidParameter(f"CDI device injection failed: unresolvable CDI devices {', '.join(missing)}{reason}")
    return found


def _choose(kind: str, device: str, directories: Sequence[Sequence[_File]], problems: list[str]) -> _File | None:
    """The file of the last directory that describes the device."""
    for files in reversed(directories):
        able = [file for file in files if file.kind == kind and device in file.devices]
        if len(able) > 1:
            places = " and ".join(str(file.path) for file in able)
            problems.append(f"{kind}={device} is described by {places}")
            return None
        if able:
            return able[0]
    return None


def _read_directory(directory: Path, problems: list[str]) -> list[_File]:
    """Every file that is right; of a wrong one only the devices are missing, as the specification demands."""
    try:
        paths = sorted(path for path in directory.iterdir() if path.suffix in (".json", ".yaml") and path.is_file())
    except OSError:
        return []
    files = []
    for path in paths:
        try:
            files.append(_read_file(path))
        except (InvalidParameter, OSError, ValueError) as error:
            problems.append(f"{path}: {error}")
    return files


def _read_file(path: Path) -> _File:
    with path.open("rb") as file:
        content = file.read(FILE_LIMIT + 1)
    if len(content) > FILE_LIMIT:
        raise InvalidParameter(f"is larger than {FILE_LIMIT} bytes")
    document = _mapping(_parsed(path, content), "the document", _ROOT_KEYS)
    if document.get("cdiVersion") not in VERSIONS:
        allowed = ", ".join(sorted(VERSIONS))
        raise InvalidParameter(
            "is not known", field="cdiVersion", value=str(document.get("cdiVersion")), allowed=allowed
        )
    kind = _text(document.get("kind"), "kind")
    devices: dict[str, Edits] = {}
    for index, entry in enumerate(_list(document.get("devices"), "devices")):
        where = f"devices[{index}]"
        device = _mapping(entry, where, _DEVICE_KEYS)
        name = _text(device.get("name"), f"{where}.name")
        if not QUALIFIED.fullmatch(f"{kind}={name}"):
            raise InvalidParameter("is not a device's name", field=f"{where}.name", value=f"{kind}={name}")
        if name in devices:
            raise InvalidParameter("stands there twice", field=f"{where}.name", value=name)
        devices[name] = _edits(device.get("containerEdits"), f"{where}.containerEdits")
    if not devices:
        raise InvalidParameter("has no devices")
    return _File(path, kind, _edits(document.get("containerEdits"), "containerEdits"), devices)


def _parsed(path: Path, content: bytes) -> Any:
    if path.suffix == ".json":
        return json.loads(content)
    import yaml

    try:
        return yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise InvalidParameter(f"is not YAML: {error}") from error


_EDIT_KEYS = frozenset({"env", "deviceNodes", "netDevices", "mounts", "hooks", "additionalGids", "intelRdt"})
_NODE_KEYS = frozenset({"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"})
_MOUNT_KEYS = frozenset({"hostPath", "containerPath", "type", "options"})
_HOOK_KEYS = frozenset({"hookName", "path", "args", "env", "timeout"})
_NET_KEYS = frozenset({"hostInterfaceName", "name"})


def _edits(value: Any, where: str) -> Edits:
    body = _mapping(value or {}, where, _EDIT_KEYS)
    if body.get("intelRdt"):
        raise InvalidParameter("is not supported", field=f"{where}.intelRdt")
    return Edits(
        env=tuple(_variable(item, place) for item, place in _items(body, "env", where)),
        device_nodes=tuple(_node(item, place) for item, place in _items(body, "deviceNodes", where)),
        mounts=tuple(_mount(item, place) for item, place in _items(body, "mounts", where)),
        hooks=tuple(_hook(item, place) for item, place in _items(body, "hooks", where)),
        additional_gids=tuple(_number(item, place) for item, place in _items(body, "additionalGids", where)),
        net_devices=tuple(_net_device(item, place) for item, place in _items(body, "netDevices", where)),
    )


def _variable(value: Any, where: str) -> str:
    text = _text(value, where)
    if text.find("=") < 1:
        raise InvalidParameter("is not NAME=VALUE", field=where, value=text)
    return text


def _node(value: Any, where: str) -> DeviceNode:
    body = _mapping(value, where, _NODE_KEYS)
    path = _absolute(body.get("path"), f"{where}.path")
    kind = body.get("type") or ""
    if kind not in ("", "b", "c", "u", "p"):
        raise InvalidParameter("is not a type of device", field=f"{where}.type", value=kind, allowed="b, c, u or p")
    permissions = body.get("permissions") or "rwm"
    if not isinstance(permissions, str) or not set(permissions) <= set("rwm"):
        raise InvalidParameter("must be out of rwm", field=f"{where}.permissions", value=permissions)
    numbers = {
        field: None if body.get(key) is None else _number(body[key], f"{where}.{key}")
        for key, field in (("major", "major"), ("minor", "minor"), ("fileMode", "file_mode"), ("uid", "uid"),
                           ("gid", "gid"))
    }  # fmt: skip
    host_path = _absolute(body["hostPath"], f"{where}.hostPath") if body.get("hostPath") else path
    return DeviceNode(path, host_path, kind, permissions=permissions, **numbers)


def _mount(value: Any, where: str) -> CdiMount:
    body = _mapping(value, where, _MOUNT_KEYS)
    return CdiMount(
        host_path=_text(body.get("hostPath"), f"{where}.hostPath"),
        container_path=_absolute(body.get("containerPath"), f"{where}.containerPath"),
        kind=_text(body["type"], f"{where}.type") if body.get("type") else "",
        options=tuple(_text(item, place) for item, place in _items(body, "options", where)),
    )


def _hook(value: Any, where: str) -> CdiHook:
    body = _mapping(value, where, _HOOK_KEYS)
    name = _text(body.get("hookName"), f"{where}.hookName")
    if name not in HOOKS:
        raise InvalidParameter("is not known", field=f"{where}.hookName", value=name, allowed=", ".join(sorted(HOOKS)))
    return CdiHook(
        name=name,
        path=_absolute(body.get("path"), f"{where}.path"),
        args=tuple(_text(item, place) for item, place in _items(body, "args", where)),
        env=tuple(_variable(item, place) for item, place in _items(body, "env", where)),
        timeout=_number(body.get("timeout") or 0, f"{where}.timeout"),
    )


def _net_device(value: Any, where: str) -> NetDevice:
    body = _mapping(value, where, _NET_KEYS)
    host_name = _text(body.get("hostInterfaceName"), f"{where}.hostInterfaceName")
    return NetDevice(host_name, _text(body.get("name"), f"{where}.name"))


def _items(body: Mapping[str, Any], key: str, where: str) -> Iterator[tuple[Any, str]]:
    for index, item in enumerate(_list(body.get(key), f"{where}.{key}")):
        yield item, f"{where}.{key}[{index}]"


def _list(value: Any, where: str) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidParameter("must be a list", field=where)
    return value


def _mapping(value: Any, where: str, known: frozenset[str]) -> Mapping[str, Any]:
    """What the specification does not know is refused: it might be what makes a device safe."""
    if not isinstance(value, dict):
        raise InvalidParameter("must be an object", field=where)
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise InvalidParameter("is not known", field=f"{where}.{unknown[0]}")
    return value


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise InvalidParameter("must be a text that is not empty", field=where)
    return value


def _absolute(value: Any, where: str) -> str:
    text = _text(value, where)
    if not text.startswith("/"):
        raise InvalidParameter("must be absolute", field=where, value=text)
    return text


def _number(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 32:
        raise InvalidParameter("must be a number from 0 to 4294967295", field=where)
    return value
