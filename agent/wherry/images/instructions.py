"""Dockerfile instructions that change an image's configuration, for ``docker import --change``.

Source: Dockerfile reference. What an instruction says is read here; nothing is executed.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wherry.errors import InvalidParameter

ConfigBody = dict[str, Any]
Variables = Mapping[str, str]

DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_WORD = re.compile(r"""((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)(?:\s+|$)""", re.DOTALL)
_VARIABLE = r"\$(?:(?P<name>\w+)|\{(?P<braced>\w+)(?::(?P<rule>[-+])(?P<other>[^}]*))?\})"
_IN_TEXT = re.compile(rf"\\(?P<escaped>\$)|{_VARIABLE}")
_IN_QUOTES = re.compile(rf"""\\(?P<escaped>["\\$])|{_VARIABLE}""")
_IN_WORD = re.compile(rf""""(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>[^']*)'|\\(?P<escaped>.)|{_VARIABLE}""", re.DOTALL)
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}


def apply_changes(config: ConfigBody, changes: Sequence[str]) -> ConfigBody:
    """The configuration after the instructions, in order; the given one is left as it is.

    Errors: ``InvalidParameter`` naming the instruction.
    """
    made: ConfigBody = json.loads(json.dumps(config))
    for number, line in enumerate(changes):
        name, _, rest = line.strip().partition(" ")
        handler = _HANDLERS.get(name.upper())
        if handler is None:
            raise InvalidParameter(
                f"{name} is not a valid change command",
                field=f"changes[{number}]",
                value=line,
                allowed=f"known are {', '.join(sorted(_HANDLERS))}",
            )
        try:
            handler(made, rest.strip())
        except InvalidParameter as error:
            raise InvalidParameter(str(error), field=f"changes[{number}]", value=line) from None
    return made


def _argument(text: str) -> str:
    if not text:
        raise InvalidParameter("an argument is missing")
    return text


def _exec_form(text: str) -> list[str] | None:
    """The list of a JSON form, ``None`` when the text is not one."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else None


def _command(config: ConfigBody, text: str) -> list[str]:
    found = _exec_form(text)
    return found if found is not None else [*(config.get("Shell") or DEFAULT_SHELL), text]


def _cmd(config: ConfigBody, text: str) -> None:
    config["Cmd"] = _command(config, _argument(text))


def _entrypoint(config: ConfigBody, text: str) -> None:
    config["Entrypoint"] = _command(config, _argument(text))


def _env(config: ConfigBody, text: str) -> None:
    variables = _variables(config)
    variables.update(_pairs(text, variables))
    config["Env"] = [f"{name}={value}" for name, value in variables.items()]


def _variables(config: ConfigBody) -> dict[str, str]:
    return dict(entry.partition("=")[::2] for entry in config.get("Env") or [])


def _label(config: ConfigBody, text: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **dict(_pairs(text, _variables(config)))}


def _pairs(text: str, variables: Variables) -> list[tuple[str, str]]:
    """``name=value …`` with quotes, or the old form ``name the rest is the value``."""
    words = _words(_argument(text))
    if "=" not in words[0]:
        name, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidParameter("must be written name=value")
        return [(name, _plain(value.strip(), variables))]
    found = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not _plain(name, variables):
            raise InvalidParameter(f'"{word}" must be written name=value')
        found.append((_plain(name, variables), _plain(value, variables)))
    return found


def _words(text: str) -> list[str]:
    words, position = [], 0
    while position < len(text):
        match = _WORD.match(text, position)
        if match is None:
            raise InvalidParameter("a quote is not closed")
        words.append(match.group(1))
        position = match.end()
    return words


def _plain(word: str, variables: Variables) -> str:
    """Without its quotes, with the values of variables where they are named."""

    def plain(match: re.Match[str]) -> str:
        if (double := match["double"]) is not None:
            return _IN_QUOTES.sub(lambda inner: _value(inner, variables), double)
        return match["single"] if match["single"] is not None else _value(match, variables)

    return _IN_WORD.sub(plain, word)


def _expanded(text: str, config: ConfigBody) -> str:
    """An argument that is no list of quoted words."""
    variables = _variables(config)
    return _IN_TEXT.sub(lambda match: _value(match, variables), _argument(text))


def _value(match: re.Match[str], variables: Variables) -> str:
    """``$NAME``, ``${NAME}``, ``${NAME:-when empty}``, ``${NAME:+when not}``, or an escaped character."""
    if match["escaped"] is not None:
        return match["escaped"]
    found = variables.get(match["name"] or match["braced"], "")
    other: str = match["other"] or ""
    return {"-": found or other, "+": other if found else ""}.get(match["rule"], found)


def _expose(config: ConfigBody, text: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in _expanded(text, config).split():
        match = _PORT.fullmatch(word)
        first = int(match.group(1)) if match else 0
        last = int(match.group(2) or first) if match else 0
        if match is None or not 1 <= first <= last <= 65535:
            raise InvalidParameter(f"invalid containerPort: {word}")
        protocol = (match.group(3) or "tcp").lower()
        ports.update({f"{port}/{protocol}": {} for port in range(first, last + 1)})
    config["ExposedPorts"] = ports


def _user(config: ConfigBody, text: str) -> None:
    config["User"] = _expanded(text, config)


def _volume(config: ConfigBody, text: str) -> None:
    found = _exec_form(text)
    paths = found if found is not None else _expanded(text, config).split()
    if not all(path.strip() for path in paths):
        raise InvalidParameter("VOLUME specified can not be an empty string")
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _workdir(config: ConfigBody, text: str) -> None:
    config["WorkingDir"] = posixpath.normpath(
        posixpath.join("/", config.get("WorkingDir") or "/", _expanded(text, config))
    )


def _onbuild(config: ConfigBody, text: str) -> None:
    trigger = _argument(text).partition(" ")[0].upper()
    if trigger in ("ONBUILD", "FROM", "MAINTAINER"):
        raise InvalidParameter(f"{trigger} isn't allowed as an ONBUILD trigger")
    config["OnBuild"] = [*(config.get("OnBuild") or []), text]


def _stopsignal(config: ConfigBody, text: str) -> None:
    signal = _expanded(text, config)
    if not re.fullmatch(r"(?:SIG)?[A-Z0-9+-]+|\d{1,2}", signal, re.IGNORECASE):
        raise InvalidParameter(f"invalid signal: {signal}")
    config["StopSignal"] = signal


def _shell(config: ConfigBody, text: str) -> None:
    found = _exec_form(text)
    if not found:
        raise InvalidParameter("SHELL requires the arguments to be in JSON form")
    config["Shell"] = found


def _healthcheck(config: ConfigBody, text: str) -> None:
    options: dict[str, Any] = {}
    rest = _argument(text)
    while rest.startswith("--"):
        option, _, rest = rest.partition(" ")
        name, _, value = option[2:].partition("=")
        options |= _health_option(name, value)
        rest = rest.strip()
    kind, _, command = rest.partition(" ")
    if kind.upper() == "NONE" and not command:
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if kind.upper() != "CMD" or not command.strip():
        raise InvalidParameter("HEALTHCHECK takes NONE, or CMD with a command")
    found = _exec_form(command.strip())
    test = ["CMD", *found] if found is not None else ["CMD-SHELL", command.strip()]
    config["Healthcheck"] = {"Test": test, **options}


def _health_option(name: str, value: str) -> dict[str, int]:
    if name == "retries":
        if not value.isdecimal() or len(value) > 9:
            raise InvalidParameter(f"--retries={value} must be a whole number")
        return {"Retries": int(value)}
    keys = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start-period": "StartPeriod",
        "start-interval": "StartInterval",
    }
    if name not in keys:
        raise InvalidParameter(f"unknown flag: --{name}")
    if not _DURATION.fullmatch(value):
        raise InvalidParameter(f"--{name}={value} must be a duration such as 30s")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", value)
    return {keys[name]: int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))}


_HANDLERS: dict[str, Callable[[ConfigBody, str], None]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "SHELL": _shell,
    "STOPSIGNAL": _stopsignal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
