"""What a health check shall do: the request's, the image's below it, and what is allowed.

Source: Engine API ``HealthConfig``; Docker image specification 1.2, ``Healthcheck``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.containers.model import HealthConfig
from wherry.errors import InvalidParameter

MILLISECOND = 1_000_000
FORMS = "NONE, CMD with a command, or CMD-SHELL with one line"
DURATIONS = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
}


def with_image(given: HealthConfig | None, image: Mapping[str, Any] | None) -> HealthConfig | None:
    """The check that holds: each part that the request leaves open is the image's."""
    if image is None:
        return given
    below = _of_image(image)
    if given is None:
        return below
    return replace(
        below,
        **{name: value for name, value in vars(given).items() if value},
    )


def check(health: HealthConfig | None) -> None:
    """Raises ``InvalidParameter`` naming the part that cannot be."""
    if health is None:
        return
    for key, name in DURATIONS.items():
        value = getattr(health, name)
        if value != 0 and value < MILLISECOND:
            raise InvalidParameter(f"{key} in Healthcheck cannot be less than 1ms")
    if health.retries < 0:
        raise InvalidParameter("Retries in Healthcheck cannot be negative")
    if not health.test:
        return
    kind, words = health.test[0], health.test[1:]
    fits = {"NONE": not words, "CMD": bool(words), "CMD-SHELL": len(words) == 1}
    if not fits.get(kind, False):
        raise InvalidParameter(
            "is not a health check", field="Healthcheck.Test", value=list(health.test), allowed=FORMS
        )


def _of_image(raw: Mapping[str, Any]) -> HealthConfig:
    """An image is a stranger's word: what is not of the right type is refused by name."""
    test = raw.get("Test") or []
    if not isinstance(test, list) or not all(isinstance(word, str) and "\0" not in word for word in test):
        raise InvalidParameter("must be a list of strings", field="image.Healthcheck.Test", value=test)
    numbers = {name: _number(raw, key) for key, name in (*DURATIONS.items(), ("Retries", "retries"))}
    return HealthConfig(test=tuple(test), **numbers)


def _number(raw: Mapping[str, Any], key: str) -> int:
    value = raw.get(key) or 0
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 1 << 63:
        raise InvalidParameter("must be a whole number", field=f"image.Healthcheck.{key}", value=value)
    return value
