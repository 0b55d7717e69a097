"""Plans: ordered actions, each with what differs and the call that carries it out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from wherry.containers.model import Container
from wherry.images.model import Image
from wherry.networks.model import Network
from wherry.registry.mirror_rules import MirrorRule
from wherry.volumes.model import Volume

Run = Callable[[], Awaitable[Mapping[str, Any] | None]]
Object = Container | Image | MirrorRule | Network | Volume
Key = tuple[str, str]
"""Kind and identity of a resource."""


@dataclass(frozen=True)
class Action:
    """One thing that is, or would be, done. ``before`` and ``after`` hold only what differs, in option names.

    ``outcome`` is what came of it when there is more to say than that it was done: the exit code and the output of a
    container that was waited for.
    """

    kind: str
    name: str
    action: str
    reason: str = ""
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    outcome: Mapping[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """Whether it makes a difference; ``none`` and looking at an exit do not."""
        return self.action not in {"none", "wait"}


@dataclass(frozen=True)
class Step:
    """An action with the call that carries it out and returns its outcome; ``none`` has none."""

    action: Action
    run: Run | None = None


@dataclass(frozen=True)
class ResourcePlan:
    """The steps of one resource, in order, and the resources of the same request that must be settled before."""

    key: Key
    steps: tuple[Step, ...]
    needs: frozenset[Key] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What has to be done so that all documents hold, in an order that works."""

    resources: tuple[ResourcePlan, ...]

    @property
    def actions(self) -> tuple[Action, ...]:
        """All actions, in order."""
        return tuple(step.action for resource in self.resources for step in resource.steps)

    @property
    def changed(self) -> bool:
        """Whether anything is to be done."""
        return any(action.changed for action in self.actions)


@dataclass(frozen=True)
class Result:
    """What was done (or would be), and the object of every document as it is now; ``None`` is absent."""

    actions: tuple[Action, ...]
    objects: tuple[tuple[Key, Object | None], ...]

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return any(action.changed for action in self.actions)


def nothing(kind: str, name: str, reason: str = "") -> Step:
    """The step of a resource that is as it shall be."""
    return Step(Action(kind, name, "none", reason))
