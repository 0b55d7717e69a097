"""In which order documents are planned, and which of them must be settled before which."""

from __future__ import annotations

from collections.abc import Sequence

from wherry.engine.documents import Document
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.image import ImageDocument, named
from wherry.engine.documents.network import NetworkDocument
from wherry.engine.documents.registry_login import LoginDocument
from wherry.engine.documents.registry_mirror import MirrorDocument
from wherry.engine.documents.storage import entry_parts
from wherry.engine.model import Key
from wherry.errors import InvalidParameter

_FIRST_TO_LAST = ("registry_mirror", "registry_login", "image", "network", "volume", "container")


def key_of(document: Document) -> Key:
    """What a document is about."""
    return (document.kind, document.identity)


def in_order(documents: Sequence[Document]) -> list[tuple[Document, frozenset[Key]]]:
    """The documents, each after those that it needs, with the keys of these.

    Containers that go, go first; what containers stand on goes last. Errors: ``InvalidParameter`` when containers
    need each other in a ring.
    """
    needs = {key_of(document): _needs(document, documents) for document in documents}
    waiting = sorted(documents, key=_rank)
    ordered: list[tuple[Document, frozenset[Key]]] = []
    settled: set[Key] = set()
    while waiting:
        ready = next((one for one in waiting if needs[key_of(one)] <= settled), None)
        if ready is None:
            names = ", ".join(document.name for document in waiting)
            raise InvalidParameter(f"these resources need each other: {names}", field="resources")
        waiting.remove(ready)
        settled.add(key_of(ready))
        ordered.append((ready, needs[key_of(ready)]))
    return ordered


def _rank(document: Document) -> int:
    rank = _FIRST_TO_LAST.index(document.kind)
    return -1 - rank if document.state == "absent" and document.kind == "container" else rank


def _needs(document: Document, documents: Sequence[Document]) -> frozenset[Key]:
    others = [other for other in documents if other is not document]
    return frozenset(key_of(other) for other in others if _must_precede(other, document))


def _must_precede(first: Document, second: Document) -> bool:
    if isinstance(second, ContainerDocument) and second.state == "absent":
        return False
    if isinstance(first, ContainerDocument) and first.state == "absent":
        return True
    if isinstance(second, ContainerDocument):
        return first.state != "absent" and _is_used_by(first, second)
    if second.state == "absent" and isinstance(first, ContainerDocument):
        return True
    if isinstance(first, (MirrorDocument, LoginDocument)):
        return isinstance(second, ImageDocument)
    connected = second.connected or () if isinstance(second, NetworkDocument) else ()
    return isinstance(first, ContainerDocument) and first.name in connected


def _is_used_by(first: Document, container: ContainerDocument) -> bool:
    if isinstance(first, (MirrorDocument, LoginDocument)):
        return True
    if isinstance(first, ImageDocument):
        names = {first.name, named(first.repository, "latest") if first.repository else first.name}
        return container.image is not None and named(container.image, "latest") in names
    if isinstance(first, NetworkDocument):
        return first.name == container.network_mode or first.name in (container.networks or {})
    if isinstance(first, ContainerDocument):
        return first.name in _containers_of(container)
    sources = {entry_parts(entry)[0] for entry in container.declared.get("volumes", ())}
    return first.name in sources | {mount.source for mount in container.declared.get("mounts", ())}


def _containers_of(container: ContainerDocument) -> set[str]:
    modes = (container.network_mode, container.declared.get("pid_mode"), container.declared.get("ipc_mode"))
    joined = {mode.partition(":")[2] for mode in modes if mode and mode.startswith("container:")}
    entries = (*container.declared.get("volumes_from", ()), *container.declared.get("links", ()))
    return joined | {entry.partition(":")[0] for entry in entries}
