"""The option ``healthcheck`` of a container: how it is read, compared and shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wherry.containers import health_config
from wherry.containers.model import Container, HealthConfig
from wherry.engine.documents import fields
from wherry.engine.documents.property import Draft, Property, Shape
from wherry.errors import InvalidParameter
from wherry.images.model import ImageConfig

_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3}
_PART = re.compile(r"(\d+)(ms|us|h|m|s)")
_DURATIONS = ("interval", "timeout", "start_period", "start_interval")
_ALLOWED_DURATION = "numbers with h, m, s, ms or us, such as 1m30s"
DISABLED = ("NONE",)

Check = Mapping[str, Any]
"""The declared parts by the names of ``HealthConfig``; what is not in it is open."""


def read(value: Any, where: str) -> Check:
    """The parts of the check that are declared."""
    options = fields.suboptions(value, where)
    compatible = options.default("test_cli_compatible", fields.flag, False)
    check: dict[str, Any] = {}
    test = options.get("test", _test)
    if test is not None or not compatible:
        check["test"] = test or DISABLED
    for name in _DURATIONS:
        duration = options.get(name, _duration)
        if duration is not None:
            check[name] = duration
    retries = options.get("retries", fields.whole(0))
    if retries is not None:
        check["retries"] = retries
    options.finish()
    return {"test": DISABLED} if check.get("test") == DISABLED else check


def _test(value: Any, where: str) -> tuple[str, ...]:
    words = ("CMD-SHELL", value) if isinstance(value, str) else fields.texts(value, where)
    if not words or words[0] in {"", "NONE"} or words == ("CMD-SHELL", ""):
        return DISABLED
    try:
        health_config.check(HealthConfig(test=words))
    except InvalidParameter:
        allowed = f"a command as a string, or a list: {health_config.FORMS}"
        raise InvalidParameter("is not a health check", field=where, value=value, allowed=allowed) from None
    return words


def _duration(value: Any, where: str) -> int:
    text = fields.text(value, where)
    if text == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidParameter("is not a duration", field=where, value=value, allowed=_ALLOWED_DURATION)
    found = sum(int(number) * _UNITS[unit] for number, unit in parts)
    if 0 < found < health_config.MILLISECOND:
        raise InvalidParameter("is too short", field=where, value=value, allowed="at least 1ms")
    return found


def _parts(health: HealthConfig | None) -> Check:
    if health is None or health.test == DISABLED:
        return {"test": DISABLED}
    return dict(vars(health))


def _current(container: Container) -> Check:
    return _parts(container.config.healthcheck)


def _inherited(image: ImageConfig) -> Check:
    return _parts(health_config.with_image(None, image.healthcheck))


def _write(draft: Draft, check: Check) -> Draft:
    return draft.with_config(healthcheck=HealthConfig(**check))


def show(check: Check) -> dict[str, Any]:
    """The parts in the words of the option."""
    return {
        name: list(value) if name == "test" else _duration_text(value) if name in _DURATIONS else value
        for name, value in check.items()
    }


def _duration_text(nanoseconds: int) -> str:
    if nanoseconds == 0:
        return "0"
    text = ""
    for unit, factor in _UNITS.items():
        count, nanoseconds = divmod(nanoseconds, factor)
        text += f"{count}{unit}" if count else ""
    return text


PROPERTY = Property("healthcheck", read, _current, _write, Shape.DICT, canonical=dict, inherited=_inherited, show=show)
