"""The engine: desired documents in, a plan or a changed world out."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from wherry.containers.service import Containers
from wherry.engine import containers as container_plans
from wherry.engine import images as image_plans
from wherry.engine import logins as login_plans
from wherry.engine import mirrors as mirror_plans
from wherry.engine import networks as network_plans
from wherry.engine import volumes as volume_plans
from wherry.engine.apply import carry_out
from wherry.engine.archives import Archives
from wherry.engine.documents import Document
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.image import ImageDocument
from wherry.engine.documents.network import NetworkDocument
from wherry.engine.documents.registry_login import LoginDocument
from wherry.engine.documents.volume import VolumeDocument
from wherry.engine.model import Action, Key, Object, Plan, ResourcePlan, Result, Step
from wherry.engine.order import in_order, key_of
from wherry.engine.ownership import NOBODY, Owner, undeclared
from wherry.engine.world import Nouns, World
from wherry.images.service import Images
from wherry.networks.service import Networks
from wherry.volumes.service import Volumes


class Engine:
    """Plans and applies. Two requests about one resource are carried out one after the other."""

    def __init__(self, images: Images, networks: Networks, volumes: Volumes, containers: Containers) -> None:
        self._nouns = Nouns(images, networks, volumes, containers)
        self._archives = Archives()
        self._locks: dict[Key, asyncio.Lock] = {}

    async def plan(self, documents: Sequence[Document]) -> Plan:
        """What has to be done so that the documents hold. Changes nothing; raises for what cannot be done."""
        return await self._plan(documents, NOBODY)

    async def check(self, documents: Sequence[Document], owner: Owner = NOBODY) -> Result:
        """The plan as a result: what would be done, and the objects as they are."""
        documents = [*documents, *undeclared(documents, owner, self._nouns)]
        plan = await self._plan([_as_check_mode_asks(document) for document in documents], owner)
        return Result((*plan.actions, *_assumed_pulls(documents)), self._objects(documents))

    async def apply(self, documents: Sequence[Document], owner: Owner = NOBODY) -> Result:
        """Plans, and carries the plan out."""
        documents = [*documents, *undeclared(documents, owner, self._nouns)]
        async with self._held([key_of(document) for document in documents]):
            actions: list[Action] = []
            for part in _parts(documents):
                actions += await carry_out(await self._plan(part, owner))
        return Result(tuple(actions), self._objects(documents))

    async def _plan(self, documents: Sequence[Document], owner: Owner) -> Plan:
        declared = {key_of(document) for document in documents if document.state != "absent"}
        world = World(self._nouns, declared, owner.label)
        resources = []
        for document, needs in in_order(documents):
            steps = await self._steps(document, world)
            resources.append(ResourcePlan(key_of(document), tuple(steps), needs))
        return Plan(tuple(resources))

    async def _steps(self, document: Document, world: World) -> list[Step]:
        if isinstance(document, ContainerDocument):
            return await container_plans.plan(document, world)
        if isinstance(document, ImageDocument):
            return await image_plans.plan(document, world, self._archives)
        if isinstance(document, NetworkDocument):
            return await network_plans.plan(document, world)
        if isinstance(document, VolumeDocument):
            return await volume_plans.plan(document, world)
        if isinstance(document, LoginDocument):
            return await login_plans.plan(document, world)
        return await mirror_plans.plan(document, world)

    def _objects(self, documents: Sequence[Document]) -> tuple[tuple[Key, Object | None], ...]:
        world = World(self._nouns)
        return tuple((key_of(document), world.object_of(key_of(document))) for document in documents)

    @contextlib.asynccontextmanager
    async def _held(self, keys: Sequence[Key]) -> AsyncIterator[None]:
        """Holds the resources, in one order for all, so that two requests never wait for each other."""
        async with contextlib.AsyncExitStack() as stack:
            for key in sorted(set(keys)):
                await stack.enter_async_context(self._locks.setdefault(key, asyncio.Lock()))
            yield


def _as_check_mode_asks(document: Document) -> Document:
    """``pull_check_mode_behavior`` of a container: whoever names one does not want the registry asked."""
    if not isinstance(document, ContainerDocument) or not document.handling.pull_check_mode_behavior:
        return document
    pull = "missing" if document.handling.pull == "always" else document.handling.pull
    return replace(document, handling=replace(document.handling, pull=pull))


def _assumed_pulls(documents: Sequence[Document]) -> list[Action]:
    """Pulls that ``pull_check_mode_behavior: always`` tells as changes."""
    reason = "pull_check_mode_behavior is always"
    return [
        Action("image", document.image, "pull", reason)
        for document in documents
        if isinstance(document, ContainerDocument)
        and document.image
        and document.handling.pull == "always"
        and document.handling.pull_check_mode_behavior == "always"
    ]


def _parts(documents: Sequence[Document]) -> list[list[Document]]:
    """Rules, then logins: a plan asks what a pull would bring, by the rules and credentials that hold then."""
    rules = [document for document in documents if document.kind == "registry_mirror"]
    logins = [document for document in documents if document.kind == "registry_login"]
    others = [document for document in documents if document.kind not in ("registry_mirror", "registry_login")]
    return [part for part in (rules, logins, others) if part]
