"""GET /events: what happens, as it happens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from wherry.api.http import Request, Response, StreamResponse
from wherry.api.router import Router
from wherry.api.timestamps import parse_time
from wherry.errors import InvalidParameter
from wherry.events import NANOSECONDS, Event, SlowReader, Subscription

if TYPE_CHECKING:
    from wherry.agent import Agent

FILTERS = frozenset(
    {"config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret"}
    | {"service", "type", "volume"}
)


async def events(agent: Agent, request: Request) -> Response:
    """Streams events as JSON objects, one a line: those since a time first, then new ones until a time."""
    filters = request.query.filters()
    for name in filters:
        if name not in FILTERS:
            raise InvalidParameter(f"invalid filter '{name}'", allowed="one of " + ", ".join(sorted(FILTERS)))
    since = parse_time(request.query.text("since"), "since")
    until = parse_time(request.query.text("until"), "until")
    if since is not None and until is not None and since > until:
        raise InvalidParameter("`since` time cannot be after `until` time")
    if until is not None and since is None:
        since = 0  # whoever only says where to end wants what has been
    subscription = agent.events.subscribe(since, until, filters)

    async def end() -> None:
        subscription.close()

    return StreamResponse(_lines(subscription), on_close=end)


async def _lines(subscription: Subscription) -> AsyncIterator[bytes]:
    try:
        async for event in subscription:
            yield json.dumps(event_json(event), separators=(",", ":")).encode() + b"\n"
    except SlowReader as slow:
        # Told, then cut off: a client that believes that it has seen all must not be one that has not.
        yield json.dumps({"errorDetail": {"message": str(slow)}, "error": str(slow)}).encode() + b"\n"


def event_json(event: Event) -> dict[str, Any]:
    """An event as the Engine API has it, with the keys that were there before API 1.22 where they still are."""
    attributes = dict(event.attributes)
    body: dict[str, Any] = {}
    if event.kind in {"container", "image"}:
        body = {"status": event.action, "id": event.actor_id}
    if event.kind == "container" and "image" in attributes:
        body["from"] = attributes["image"]
    return {
        **body,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor_id, "Attributes": attributes},
        "scope": "local",
        "time": event.time_ns // NANOSECONDS,
        "timeNano": event.time_ns,
    }


def register(router: Router) -> None:
    """Adds the route."""
    router.add("GET", "/events", events)
