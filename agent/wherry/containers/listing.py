"""Which containers a list shows, in which order, and the words for their state."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from wherry.containers import times
from wherry.containers.model import NEVER, Container, ContainerState
from wherry.containers.ports import canonical, exposed
from wherry.containers.registry import Registry
from wherry.containers.removal import has_label
from wherry.errors import InvalidParameter

Filters = Mapping[str, Sequence[str]]
Test = Callable[[Container], bool]

STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
HEALTH_STATES = ("none", "starting", "healthy", "unhealthy")
TRUE_FORMS = {"1": True, "true": True, "0": False, "false": False}


def select(
    registry: Registry, filters: Filters, *, everything: bool, limit: int | None, image_id: Callable[[str], str | None]
) -> list[Container]:
    """Newest first. Without ``everything``, ``limit`` or a filter on the state, only those that run.

    ``image_id`` finds the id that an image name stands for now.
    """
    tests = _tests(registry, filters, image_id)
    shown = [container for container in registry if all(test(container) for test in tests)]
    if (
        not everything
        and limit is None
        and not any(name in filters for name in ("status", "exited", "before", "since"))
    ):
        shown = [container for container in shown if container.state.is_running]
    shown.sort(key=lambda container: (times.parse(container.created), container.id), reverse=True)
    return shown if limit is None or limit < 0 else shown[:limit]


def shown_state(container: Container) -> str:
    """The one word for it."""
    return "removing" if container.removing else container.state.status


def status_text(container: Container) -> str:
    """``Up 3 minutes``, ``Exited (1) 2 hours ago``, as the list shows it."""
    state = container.state
    if container.removing:
        return "Removal In Progress"
    if state.status == "created":
        return "Created"
    if state.status == "dead":
        return "Dead"
    if state.status == "exited":
        return f"Exited ({state.exit_code}) {age(times.seconds_since(state.finished_at))} ago"
    if state.status == "restarting":
        return f"Restarting ({state.exit_code}) {age(times.seconds_since(state.finished_at))} ago"
    return f"Up {age(times.seconds_since(state.started_at))}{_remark(state)}"


def _remark(state: ContainerState) -> str:
    if state.status == "paused":
        return " (Paused)"
    if state.health is None:
        return ""
    return " (health: starting)" if state.health.status == "starting" else f" ({state.health.status})"


def age(seconds: float) -> str:
    """A duration in the rough words that people know from Docker."""
    minutes, hours = int(seconds // 60), int(seconds / 3600 + 0.5)
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if minutes < 60:
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    if hours < 48:
        return "About an hour" if hours == 1 else f"{hours} hours"
    for unit, length in (("days", 24 * 14), ("weeks", 24 * 60), ("months", 24 * 365 * 2)):
        if hours < length:
            return f"{hours // {'days': 24, 'weeks': 168, 'months': 720}[unit]} {unit}"
    return f"{hours // (24 * 365)} years"


def _tests(registry: Registry, filters: Filters, image_id: Callable[[str], str | None]) -> list[Test]:
    makers: dict[str, Callable[[Sequence[str]], Test]] = {
        "id": lambda values: lambda c: any(c.id.startswith(value) for value in values),
        "name": _name_test,
        "label": lambda values: lambda c: all(has_label(c.config.labels, value) for value in values),
        "status": _status_test,
        "exited": _exited_test,
        "ancestor": lambda values: _ancestor_test(values, image_id),
        "before": lambda values: _age_test(registry, values, older=True),
        "since": lambda values: _age_test(registry, values, older=False),
        "volume": _volume_test,
        "network": lambda values: lambda c: any(_in_network(c, value) for value in values),
        "expose": lambda values: _port_test(values, "expose"),
        "publish": lambda values: _port_test(values, "publish"),
        "is-task": _never_test,
        "health": _health_test,
    }
    unknown = sorted(set(filters) - set(makers))
    if unknown:
        raise InvalidParameter(f"invalid filter '{unknown[0]}'")
    return [makers[name](values) for name, values in filters.items() if values]


def _name_test(values: Sequence[str]) -> Test:
    """Regular expressions against the name with and without its slash, as in Docker."""
    try:
        patterns = [re.compile(value) for value in values]
    except re.error as error:
        raise InvalidParameter(f"invalid filter 'name={values}': {error}") from None
    return lambda c: any(pattern.search(c.name) or pattern.search(f"/{c.name}") for pattern in patterns)


def _status_test(values: Sequence[str]) -> Test:
    for value in values:
        if value not in STATES:
            raise InvalidParameter(f"invalid filter 'status={value}'", allowed="one of " + ", ".join(STATES))
    return lambda c: shown_state(c) in values


def _health_test(values: Sequence[str]) -> Test:
    for value in values:
        if value not in HEALTH_STATES:
            raise InvalidParameter(f"invalid filter 'health={value}'", allowed="one of " + ", ".join(HEALTH_STATES))
    return lambda c: ("none" if c.state.health is None else c.state.health.status) in values


def _exited_test(values: Sequence[str]) -> Test:
    if not all(re.fullmatch(r"\d{1,9}", value) for value in values):
        raise InvalidParameter(f"invalid filter 'exited={values[0]}'")
    codes = {int(value) for value in values}
    return lambda c: not c.state.is_running and c.state.finished_at != NEVER and c.state.exit_code in codes


def _ancestor_test(values: Sequence[str], image_id: Callable[[str], str | None]) -> Test:
    wanted = {found for value in values if (found := image_id(value)) is not None}
    return lambda c: c.image_id in wanted or c.config.image in values


def _age_test(registry: Registry, values: Sequence[str], *, older: bool) -> Test:
    moments = [times.parse(registry.find(value).created) for value in values]
    if older:
        return lambda c: all(times.parse(c.created) < moment for moment in moments)
    return lambda c: all(times.parse(c.created) > moment for moment in moments)


def _volume_test(values: Sequence[str]) -> Test:
    return lambda c: any(
        value in (point.name, point.source, point.destination) for point in c.mounts for value in values
    )


def _in_network(container: Container, name: str) -> bool:
    return name in container.networking.endpoints or name == container.host_config.network_mode


def _port_test(values: Sequence[str], kind: str) -> Test:
    wanted = {port for value in values for port in canonical(value, f"filters.{kind}")}

    def test(container: Container) -> bool:
        if kind == "expose":
            return not wanted.isdisjoint(exposed(container))
        bound = (port for key in container.host_config.port_bindings for port in canonical(key, "PortBindings"))
        return not wanted.isdisjoint(bound)

    return test


def _never_test(values: Sequence[str]) -> Test:
    """Nothing here is a swarm task."""
    wanted = TRUE_FORMS.get(values[0].lower())
    if wanted is None:
        raise InvalidParameter(f"invalid filter 'is-task={values[0]}'")
    return lambda _: not wanted
