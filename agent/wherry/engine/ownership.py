"""What a declaration owns: objects that it has made carry its name in a label, and only these can it purge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wherry.engine.documents import Document
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.container_values import OWNER_LABEL
from wherry.engine.documents.network import NetworkDocument
from wherry.engine.documents.volume import VolumeDocument
from wherry.engine.world import Nouns
from wherry.errors import InvalidParameter

PURGEABLE = ("container", "network", "volume")


@dataclass(frozen=True)
class Owner:
    """Who declares, and of which kinds what is no longer declared shall go. Without a name nothing is owned."""

    name: str = ""
    purge: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.purge and not self.name:
            raise InvalidParameter("is required to purge: what nobody owns is nobody's to remove", field="owner")

    @property
    def label(self) -> dict[str, str]:
        """The label of what is made."""
        return {OWNER_LABEL: self.name} if self.name else {}


NOBODY = Owner()


def kept(labels: Mapping[str, str]) -> dict[str, str]:
    """The label of an object that is made anew: it stays its owner's."""
    return {OWNER_LABEL: labels[OWNER_LABEL]} if OWNER_LABEL in labels else {}


def undeclared(documents: Sequence[Document], owner: Owner, nouns: Nouns) -> list[Document]:
    """Documents that remove what the owner has made and does not declare any more."""
    declared = {(document.kind, document.name) for document in documents}
    found: list[Document] = []
    if "container" in owner.purge:
        names = [one.name for one in nouns.containers.all() if one.config.labels.get(OWNER_LABEL) == owner.name]
        found += [ContainerDocument(name, state="absent") for name in names if ("container", name) not in declared]
    if "network" in owner.purge:
        names = [one.name for one in nouns.networks.list() if one.spec.labels.get(OWNER_LABEL) == owner.name]
        found += [NetworkDocument(name, state="absent") for name in names if ("network", name) not in declared]
    if "volume" in owner.purge:
        names = [one.name for one in nouns.volumes.list() if one.labels.get(OWNER_LABEL) == owner.name]
        found += [VolumeDocument(name, state="absent") for name in names if ("volume", name) not in declared]
    return found
