"""Readers of the container options that have a form of their own: environment, ulimits, devices, rates, commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wherry.containers import signals
from wherry.containers.model import DeviceMapping, DeviceRequest, ThrottleDevice, Ulimit
from wherry.engine.documents import fields
from wherry.engine.documents.quantities import size
from wherry.errors import InvalidParameter

OWNER_LABEL = "io.wherry.owner"
"""Says whose declaration has made an object."""
LARGEST_ENV_FILE = 1 << 20
_HOSTNAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def environment(value: Any, where: str) -> tuple[str, ...]:
    """Reads ``env``: a dictionary of texts. A number or boolean is refused: YAML would have changed its spelling."""
    if not isinstance(value, dict):
        raise InvalidParameter("must be a dictionary", field=where, value=value)
    entries = []
    for name, content in value.items():
        place = f"{where}.{name}"
        if not isinstance(content, str):
            raise InvalidParameter("must be a string", field=place, value=content, allowed="put it in quotes")
        if not name or "=" in name or "\0" in name + content:
            raise InvalidParameter("is not a variable's name", field=place, value=name, allowed="no = and no NUL byte")
        entries.append(f"{name}={content}")
    return tuple(entries)


def environment_file(path: str, where: str) -> tuple[str, ...]:
    """Reads the file of ``env_file``: lines ``NAME=value``; empty lines and lines with ``#`` in front say nothing."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(LARGEST_ENV_FILE + 1)
    except OSError as error:
        raise InvalidParameter(f"cannot be read: {error.strerror}", field=where, value=path) from None
    if len(content) > LARGEST_ENV_FILE:
        raise InvalidParameter("is larger than 1 MiB", field=where, value=path)
    entries = []
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        name, equals, _ = stripped.partition("=")
        if not equals or not name:
            raise InvalidParameter(f"line {number} is not NAME=value", field=where, value=path)
        entries.append(stripped)
    return tuple(entries)


def string_map(value: Any, where: str) -> dict[str, str]:
    """A dictionary of texts (``labels``, ``sysctls``); other values are refused, YAML would have changed them."""
    return fields.text_map(value, where)


def log_options(value: Any, where: str) -> dict[str, str]:
    """``log_options``: numbers are taken, for they have but one spelling."""
    if not isinstance(value, dict):
        raise InvalidParameter("must be a dictionary", field=where, value=value)
    return {str(name): str(content) for name, content in value.items()}


def sysctls(value: Any, where: str) -> dict[str, str]:
    """``sysctls``: names with texts or numbers."""
    return log_options(value, where)


def command(value: Any, where: str) -> tuple[str, ...]:
    """``command`` and ``entrypoint``: a list of words, or one text that is split as a shell splits it."""
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError as error:
            raise InvalidParameter(f"cannot be split into words: {error}", field=where, value=value) from None
    words = value if isinstance(value, (list, tuple)) else None
    if words is None:
        raise InvalidParameter("must be a list of words or a string", field=where, value=value)
    return tuple(
        fields.text(str(word) if isinstance(word, int) else word, f"{where}[{n}]") for n, word in enumerate(words)
    )


def ulimit(value: Any, where: str) -> Ulimit:
    """``nofile:1024`` or ``nofile:1024:2048``."""
    name, _, limits = fields.text(value, where).partition(":")
    soft, _, hard = limits.partition(":")
    try:
        found = Ulimit(name, int(soft), int(hard or soft))
    except ValueError:
        allowed = '"NAME:SOFT[:HARD]", such as "nofile:1024:2048"'
        raise InvalidParameter("is not a limit", field=where, value=value, allowed=allowed) from None
    if found.hard != -1 and found.soft > found.hard:
        raise InvalidParameter("the soft limit is above the hard one", field=where, value=value)
    return found


def device(value: Any, where: str) -> DeviceMapping:
    """``/dev/sda``, ``/dev/sda:/dev/xvda`` or ``/dev/sda:/dev/xvda:r``."""
    parts = fields.text(value, where).split(":")
    path, target, permissions = parts[0], parts[0], "rwm"
    if len(parts) == 2 and not parts[1].startswith("/"):
        permissions = parts[1]
    elif len(parts) >= 2:
        target = parts[1]
    if len(parts) == 3:
        permissions = parts[2]
    if len(parts) > 3 or not path.startswith("/") or not permissions or set(permissions) - set("rwm"):
        allowed = '"PATH_ON_HOST[:PATH_IN_CONTAINER][:rwm]"'
        raise InvalidParameter("is not a device", field=where, value=value, allowed=allowed)
    return DeviceMapping(path, target, permissions)


def device_text(mapping: DeviceMapping) -> str:
    """A device in the words of the option."""
    return f"{mapping.path_on_host}:{mapping.path_in_container}:{mapping.permissions}"


def rates(sizes: bool) -> Callable[[Any, str], tuple[ThrottleDevice, ...]]:
    """The reader of ``device_*_bps`` (sizes) or ``device_*_iops`` (numbers)."""

    def read(value: Any, where: str) -> ThrottleDevice:
        options = fields.suboptions(value, where)
        path = options.required("path", fields.absolute_path)
        amount = options.required("rate", size if sizes else fields.whole(0))
        options.finish()
        return ThrottleDevice(path, amount)

    return fields.list_of(read)


def extra_hosts(value: Any, where: str) -> tuple[str, ...]:
    """``etc_hosts``: a dictionary of names with addresses, or ``host-gateway``."""
    found = []
    for name, target in fields.text_map(value, where).items():
        place = f"{where}.{name}"
        found.append(f"{name}:{target if target == 'host-gateway' else fields.address()(target, place)}")
    return tuple(found)


def hostname(value: Any, where: str) -> str:
    """A host's name (RFC 1123, and the underscore that people use)."""
    if not _HOSTNAME.fullmatch(fields.text(value, where)):
        raise InvalidParameter("is not a host name", field=where, value=value, allowed="letters, digits, dots, dashes")
    return str(value)


def stop_signal(value: Any, where: str) -> str:
    """A signal by name or number."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else fields.filled(value, where)
    try:
        signals.parse(text)
    except InvalidParameter:
        raise InvalidParameter("is not a signal", field=where, value=value, allowed="such as SIGTERM or 15") from None
    return text


def mac_address(value: Any, where: str) -> str:
    """A MAC address of six bytes, lower case."""
    text = fields.text(value, where).lower().replace("-", ":")
    if not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        raise InvalidParameter("is not a MAC address", field=where, value=value, allowed="such as 02:42:ac:11:00:02")
    return text


def signal_number(text: str) -> int:
    """The number of a signal that was read before."""
    return signals.parse(text)


def canonical_hosts(entries: tuple[str, ...]) -> set[str]:
    """``name:address`` and ``name=address``, brackets or not, are one."""
    found = set()
    for entry in entries:
        name, _, target = entry.replace("=", ":", 1).partition(":")
        found.add(f"{name}:{target.strip('[]')}")
    return found


def device_request(value: Any, where: str) -> DeviceRequest:
    """An entry of ``device_requests``."""
    options = fields.suboptions(value, where)
    request = DeviceRequest(
        driver=options.default("driver", fields.text, ""),
        count=options.default("count", fields.whole(-1), 0),
        device_ids=options.default("device_ids", fields.texts, ()),
        capabilities=options.default("capabilities", fields.list_of(fields.texts), ()),
        options=options.default("options", fields.text_map, {}),
    )
    options.finish()
    return request


def device_request_json(request: DeviceRequest) -> dict[str, Any]:
    """It in the words of the option, without what says nothing."""
    body = {
        "driver": request.driver,
        "count": request.count,
        "device_ids": list(request.device_ids),
        "capabilities": [list(names) for names in request.capabilities],
        "options": dict(request.options),
    }
    return {name: value for name, value in body.items() if value}


def labels(value: Any, where: str) -> dict[str, str]:
    """Labels of a container; the one that says who owns it is not for others to write."""
    found: dict[str, str] = string_map(value, where)
    if OWNER_LABEL in found:
        raise InvalidParameter("is a label that the agent writes itself", field=f"{where}.{OWNER_LABEL}")
    return found


def without_owner(found: Mapping[str, str]) -> dict[str, str]:
    """Labels as far as they are compared."""
    return {name: value for name, value in found.items() if name != OWNER_LABEL}
