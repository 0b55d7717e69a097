"""Log drivers and their options: what a container may ask for, and what its monitor is told.

Names and meanings are Docker's (its manual, "Configure logging drivers"). What is not offered is refused by name.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from wherry.containers.layout import ContainerLayout
from wherry.containers.model import Container, LogConfig
from wherry.errors import InvalidParameter, Unsupported

FACILITIES = {
    name: number
    for number, name in enumerate(
        ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")
    )
} | {f"local{number}": 16 + number for number in range(8)}
LARGEST_FACILITY = 23
SYSLOG_FORMATS = ("rfc3164", "rfc5424", "rfc5424micro")
SYSLOG_PORT = 514
DEFAULT_TAG = "{{.ID}}"
DAEMON_NAME = "wherry"
LOCAL_SIZE, LOCAL_FILES = 20 << 20, 5
DEFAULT_BUFFER = 1 << 20
MOST_FILES = 1000
_SIZE = re.compile(r"([0-9]+)\s*([kmgt]?)b?", re.IGNORECASE)
_FIELD = re.compile(r"\{\{\s*\.([A-Za-z]+)\s*\}\}")
_CHOSEN = frozenset({"labels", "labels-regex", "env", "env-regex"})
_FILES = frozenset({"max-size", "max-file", "compress"})
_DELIVERY = frozenset({"mode", "max-buffer-size"})
_TLS = frozenset({"syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "json-file": _FILES | _CHOSEN | _DELIVERY | {"tag"},
    "local": _FILES | _DELIVERY,
    "syslog": _DELIVERY | {"tag", "syslog-address", "syslog-facility", "syslog-format"},
    "journald": _CHOSEN | _DELIVERY | {"tag"},
    "none": frozenset(),
}
"""The drivers, each with its options."""
READABLE = frozenset({"json-file", "local"})
"""Drivers whose logs can be read back."""


@dataclass(frozen=True)
class LogSettings:
    """What a monitor is told about the log: the fields are its options ``--log-…``; sizes are bytes."""

    driver: str = "none"
    path: Path | None = None
    max_size: int = 0
    max_file: int = 1
    compress: bool = False
    non_blocking: bool = False
    max_buffer: int = DEFAULT_BUFFER
    attributes: tuple[tuple[str, str], ...] = ()
    address: str = ""
    facility: int = FACILITIES["daemon"]
    format: str = ""
    tag: str = ""

    def arguments(self) -> list[str]:
        """The command line."""
        words = ["--log-driver", self.driver, "--log-max-file", str(self.max_file)]
        words += ["--log-max-buffer", str(self.max_buffer), "--log-facility", str(self.facility)]
        texts = {"path": self.path or "", "address": self.address, "format": self.format, "tag": self.tag}
        for name, text in texts.items():
            words += [f"--log-{name}", str(text)] if text else []
        words += ["--log-max-size", str(self.max_size)] if self.max_size else []
        words += ["--log-compress"] if self.compress else []
        words += ["--log-non-blocking"] if self.non_blocking else []
        for key, value in self.attributes:
            words += ["--log-attribute", f"{key}={value}"]
        return words


NO_LOG = LogSettings()


def with_defaults(given: LogConfig, driver: str, options: Mapping[str, str]) -> LogConfig:
    """The agent's own driver where none is named, and its options wherever that driver is used, as in Docker."""
    if given.type and given.type != driver:
        return given
    return LogConfig(driver, {**options, **given.config})


def check(log: LogConfig) -> None:
    """Raises ``InvalidParameter`` for a driver, an option or a value that is not offered."""
    if log.type not in OPTIONS:
        raise InvalidParameter(f"logger: no log driver named '{log.type}' is registered")
    for name in log.config:
        if log.type == "syslog" and name in _TLS:
            raise Unsupported(f"not supported: log opt '{name}': TLS to a syslog server")
        if name not in OPTIONS[log.type]:
            raise InvalidParameter(f"unknown log opt '{name}' for {log.type} log driver")
    _syslog(_buffer(_files(log), log.config), log.config)
    _render_tag(log.config.get("tag", ""), dict.fromkeys(TAG_FIELDS, ""))
    for name in ("labels-regex", "env-regex"):
        _pattern(name, log.config.get(name, ""))


def settings(container: Container, layout: ContainerLayout) -> LogSettings:
    """What a checked configuration means for this container. A syslog server's name is looked up; blocks."""
    log = container.host_config.log_config
    made = _buffer(replace(_files(log), driver=log.type), log.config)
    if log.type in READABLE:
        made = replace(made, path=path_of(container, layout))
    if log.type == "json-file":
        extra = _chosen(container, lambda key: key)
        if log.config.get("tag"):
            extra["tag"] = tag(container)
        made = replace(made, attributes=tuple(sorted(extra.items())))
    elif log.type == "syslog":
        made = replace(_syslog(made, log.config), tag=tag(container))
        made = replace(made, address=_resolved(made.address))
    elif log.type == "journald":
        made = replace(made, attributes=tuple(_journal_fields(container).items()))
    return made


def path_of(container: Container, layout: ContainerLayout) -> Path:
    """The current file of a log that can be read."""
    return layout.local_log if container.host_config.log_config.type == "local" else layout.log


def size(text: str, name: str = "max-size") -> int:
    """``10m`` in bytes; ``-1`` is no bound (0)."""
    if text == "-1" and name == "max-size":
        return 0
    match = _SIZE.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise InvalidParameter("is not a size", field=name, value=text, allowed="a number with k, m or g")
    return int(match[1]) << (10 * " kmgt".index(match[2].lower() or " "))


def _files(log: LogConfig) -> LogSettings:
    """Rotation. The driver local rotates and compresses unless it is told otherwise."""
    config, is_local = log.config, log.type == "local"
    count = config.get("max-file", str(LOCAL_FILES if is_local else 1))
    if not (count.isascii() and count.isdigit() and 1 <= int(count) <= MOST_FILES):
        raise InvalidParameter(f"must be a number from 1 to {MOST_FILES}", field="max-file", value=count)
    files = int(count)
    default = LOCAL_SIZE if is_local else 0
    bound = size(config["max-size"]) if "max-size" in config else default
    compress = _flag("compress", config.get("compress", "true" if is_local and files > 1 and bound else "false"))
    if compress and (files < 2 or not bound):
        raise InvalidParameter("compress cannot be true when max-file is less than 2 or max-size is not set")
    return LogSettings(max_size=bound, max_file=files, compress=compress)


def _buffer(made: LogSettings, config: Mapping[str, str]) -> LogSettings:
    mode = config.get("mode", "")
    if mode not in ("", "blocking", "non-blocking"):
        raise InvalidParameter(f"logger: logging mode not supported: {mode}", allowed="blocking or non-blocking")
    if "max-buffer-size" in config and mode != "non-blocking":
        raise InvalidParameter("logger: max-buffer-size option is only supported with 'mode=non-blocking'")
    bound = config.get("max-buffer-size")
    return replace(
        made,
        non_blocking=mode == "non-blocking",
        max_buffer=DEFAULT_BUFFER if bound is None else size(bound, "max-buffer-size"),
    )


def _syslog(made: LogSettings, config: Mapping[str, str]) -> LogSettings:
    facility = config.get("syslog-facility", "daemon")
    number = FACILITIES.get(facility, int(facility) if facility.isascii() and facility.isdigit() else -1)
    if not 0 <= number <= LARGEST_FACILITY:
        allowed = f"{', '.join(FACILITIES)}, or a number from 0 to {LARGEST_FACILITY}"
        raise InvalidParameter("invalid syslog facility", field="syslog-facility", value=facility, allowed=allowed)
    form = config.get("syslog-format", "")
    if form and form not in SYSLOG_FORMATS:
        raise InvalidParameter(
            "Invalid syslog format", field="syslog-format", value=form, allowed=", ".join(SYSLOG_FORMATS)
        )
    address = config.get("syslog-address", "")
    _split_address(address)
    return replace(made, facility=number, format=form, address=address)


def _split_address(address: str) -> tuple[str, str, int]:
    """Scheme, host or path, and port; all empty for the host's own daemon."""
    if not address:
        return "", "", 0
    scheme, separator, rest = address.partition("://")
    if scheme == "tcp+tls":
        raise Unsupported("not supported: syslog-address with tcp+tls: TLS to a syslog server")
    if separator and scheme in ("unix", "unixgram") and rest.startswith("/"):
        return scheme, rest, 0
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/]+)(?::([0-9]{1,5}))?", rest)
    port = int(match[2] or SYSLOG_PORT) if match else 0
    if scheme not in ("udp", "tcp") or match is None or not 1 <= port <= 65535:
        allowed = "udp://HOST[:PORT], tcp://HOST[:PORT], unix:///PATH or unixgram:///PATH"
        raise InvalidParameter("is not a syslog address", field="syslog-address", value=address, allowed=allowed)
    return scheme, match[1], port


def _resolved(address: str) -> str:
    """The address with the server's number in place of its name: a monitor asks no name server."""
    scheme, host, port = _split_address(address)
    if scheme not in ("udp", "tcp"):
        return address
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    try:
        family, _, _, _, found = socket.getaddrinfo(host.strip("[]"), port, type=kind)[0]
    except OSError as error:
        raise InvalidParameter(f"failed to initialize logging driver: {host}: {error.strerror}") from error
    return f"{scheme}://[{found[0]}]:{port}" if family == socket.AF_INET6 else f"{scheme}://{found[0]}:{port}"


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("1", "t", "true", "0", "f", "false"):
        raise InvalidParameter("is not a boolean", field=name, value=text, allowed="true or false")
    return text.lower() in ("1", "t", "true")


# ---- what is said beside each entry


TAG_FIELDS: Mapping[str, Callable[[Container], str]] = {
    "ID": lambda container: container.short_id,
    "FullID": lambda container: container.id,
    "Name": lambda container: container.name,
    "ImageID": lambda container: container.image_id.removeprefix("sha256:")[:12],
    "ImageFullID": lambda container: container.image_id,
    "ImageName": lambda container: container.config.image,
    "DaemonName": lambda _: DAEMON_NAME,
}
"""What the option ``tag`` can name, as ``{{.Name}}``."""


def tag(container: Container) -> str:
    """The tag of a container's entries; without the option it is the short id."""
    template = container.host_config.log_config.config.get("tag") or DEFAULT_TAG
    return _render_tag(template, {name: read(container) for name, read in TAG_FIELDS.items()})


def _render_tag(template: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            raise _wrong_tag(template)
        return values[match[1]]

    if "{{" in _FIELD.sub("", template):
        raise _wrong_tag(template)
    return _FIELD.sub(value, template)


def _wrong_tag(template: str) -> InvalidParameter:
    allowed = "text and " + ", ".join(f"{{{{.{name}}}}}" for name in TAG_FIELDS)
    return InvalidParameter("is not a template that is supported", field="tag", value=template, allowed=allowed)


def _pattern(name: str, text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise InvalidParameter(f"is not a regular expression: {error}", field=name, value=text) from None


def _chosen(container: Container, rename: Callable[[str], str]) -> dict[str, str]:
    """Labels and variables that ``labels``, ``labels-regex``, ``env`` and ``env-regex`` name."""
    config = container.host_config.log_config.config
    variables = dict(entry.split("=", 1) for entry in container.config.env if "=" in entry)
    found: dict[str, str] = {}
    for option, source in (("labels", container.config.labels), ("env", variables)):
        names = [name for name in config.get(option, "").split(",") if name in source]
        pattern = _pattern(f"{option}-regex", config.get(f"{option}-regex", ""))
        if pattern is not None:
            names += [name for name in source if pattern.search(name)]
        found.update({rename(name): source[name] for name in names})
    return found


def _journal_fields(container: Container) -> dict[str, str]:
    own = {
        "CONTAINER_ID": container.short_id,
        "CONTAINER_ID_FULL": container.id,
        "CONTAINER_NAME": container.name,
        "CONTAINER_TAG": tag(container),
        "IMAGE_NAME": container.config.image,
        "SYSLOG_IDENTIFIER": tag(container),
    }
    chosen = _chosen(container, lambda key: re.sub(r"[^A-Z0-9]", "_", key.upper()).lstrip("_"))
    return {name: value for name, value in {**chosen, **own}.items() if name}
