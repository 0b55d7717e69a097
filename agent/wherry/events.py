"""What happens, told to whoever listens: published by the nouns, recorded for replay, read by ``/events``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

from wherry.errors import SystemFailure
from wherry.state.database import Database
from wherry.state.events import Event, EventsTable

log = logging.getLogger(__name__)

__all__ = ["Event", "Events", "SlowReader", "Subscription"]

Filters = Mapping[str, Sequence[str]]

QUEUED_EVENTS = 2048
NANOSECONDS = 1_000_000_000

# Kinds whose filter names an object by ID or name, by prefix (Engine API, GET /events, "filters").
_NAMED_KINDS = ("container", "daemon", "network", "plugin", "volume", "node", "service", "secret", "config")


class SlowReader(SystemFailure):
    """A subscriber left more events unread than are kept for it: it is told, and its subscription has ended."""


class Events:
    """The agent's event bus. All calls are made on the event loop's thread."""

    def __init__(self, database: Database) -> None:
        self._table = EventsTable(database)
        self._subscriptions: set[Subscription] = set()
        self._last_ns = 0

    @property
    def listeners(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def publish(self, kind: str, action: str, actor_id: str, attributes: Mapping[str, str] | None = None) -> Event:
        """Records an event and hands it to every subscriber; never waits for one."""
        # Strictly rising times: a client that asks again "since" the last event it saw misses none.
        self._last_ns = max(time.time_ns(), self._last_ns + 1)
        event = Event(self._last_ns, kind, action, actor_id, dict(attributes or {}))
        try:
            self._table.add(event)
        except SystemFailure as error:
            # It has happened all the same, and those who listen are told; only a later replay lacks it.
            log.error("event %s %s of %s is not recorded: %s", kind, action, actor_id, error)
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)
        return event

    def subscribe(
        self, since_ns: int | None = None, until_ns: int | None = None, filters: Filters | None = None
    ) -> Subscription:
        """Starts listening at once: nothing published after this call is missed, even before the first is read.

        With ``since_ns`` the recorded events from that time on come first. With ``until_ns`` the iteration ends at
        that time. Close the subscription, or use it as a context manager.
        """
        accepts = event_filter(filters or {})
        past: list[Event] = []
        if since_ns is not None:
            past = [event for event in self._table.between(since_ns, until_ns) if accepts(event)]
        subscription = Subscription(past, until_ns, accepts, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        return subscription


class Subscription:
    """An async iterator over events."""

    def __init__(
        self,
        past: Sequence[Event],
        until_ns: int | None,
        accepts: Callable[[Event], bool],
        forget: Callable[[Subscription], None],
    ) -> None:
        self._past = deque(past)
        self._queue: deque[Event] = deque()
        self._until_ns = until_ns
        self._accepts = accepts
        self._forget = forget
        self._overflowed = False
        self._closed = False
        self._wake = asyncio.Event()

    def offer(self, event: Event) -> None:
        """Takes an event from the bus; a reader that is too far behind is cut off."""
        if not self._accepts(event):
            return
        if len(self._queue) >= QUEUED_EVENTS:
            self._overflowed = True
            self._forget(self)
        else:
            self._queue.append(event)
        self._wake.set()

    def close(self) -> None:
        """Ends the subscription; an iteration that waits ends too."""
        self._closed = True
        self._forget(self)
        self._wake.set()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        if self._past:
            return self._past.popleft()
        while not self._queue:
            if self._overflowed:
                raise SlowReader(f"more than {QUEUED_EVENTS} events were left unread; the subscription has ended")
            if self._closed or not await self._woken():
                self.close()
                raise StopAsyncIteration
        event = self._queue.popleft()
        if self._until_ns is not None and event.time_ns > self._until_ns:
            self.close()
            raise StopAsyncIteration
        return event

    async def _woken(self) -> bool:
        """Waits for the next event or the end of the time asked for; False at that end."""
        self._wake.clear()
        if self._until_ns is None:
            await self._wake.wait()
            return True
        remaining = (self._until_ns - time.time_ns()) / NANOSECONDS
        if remaining <= 0:
            return False
        try:
            await asyncio.wait_for(self._wake.wait(), remaining)
        except asyncio.TimeoutError:
            return False
        return True


def event_filter(filters: Filters) -> Callable[[Event], bool]:
    """The predicate for the Engine API's event filters: alternatives within a key, all keys together."""
    tests: list[Callable[[Event], bool]] = []
    if wanted := filters.get("event"):
        tests.append(lambda event: any(_same_action(event.action, want) for want in wanted))
    if kinds := filters.get("type"):
        tests.append(lambda event: event.kind in kinds)
    if scopes := filters.get("scope"):
        tests.append(lambda _: "local" in scopes)
    if labels := filters.get("label"):
        tests.append(lambda event: all(_has_label(event.attributes, label) for label in labels))
    if images := filters.get("image"):
        tests.append(lambda event: any(_names_image(event, image) for image in images))
    for kind in _NAMED_KINDS:
        if names := filters.get(kind):
            tests.append(lambda event, names=tuple(names): _names_object(event, names))  # type: ignore[misc]
    return lambda event: all(test(event) for test in tests)


def _same_action(action: str, want: str) -> bool:
    """``exec_create`` also means ``exec_create: /bin/sh``, ``health_status`` also ``health_status: healthy``."""
    return action == want or action.startswith(want + ":")


def _has_label(attributes: Mapping[str, str], label: str) -> bool:
    name, equals, value = label.partition("=")
    return name in attributes and (not equals or attributes[name] == value)


def _names_object(event: Event, names: Sequence[str]) -> bool:
    name = event.attributes.get("name", "")
    return any(event.actor_id.startswith(want) or name.startswith(want) for want in names)


def _names_image(event: Event, want: str) -> bool:
    name = event.attributes.get("name" if event.kind == "image" else "image", "")
    return want in (event.actor_id, name, _without_tag(event.actor_id), _without_tag(name))


def _without_tag(reference: str) -> str:
    head, slash, last = reference.rpartition("/")
    return head + slash + last.partition("@")[0].partition(":")[0]
