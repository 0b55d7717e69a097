"""What a client declares: JSON resources, parsed once into frozen documents that the planners read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wherry.engine.documents import container, image, network, registry_login, registry_mirror, volume
from wherry.engine.documents.container import ContainerDocument
from wherry.engine.documents.image import ImageDocument
from wherry.engine.documents.network import NetworkDocument
from wherry.engine.documents.registry_login import LoginDocument
from wherry.engine.documents.registry_mirror import MirrorDocument
from wherry.engine.documents.volume import VolumeDocument
from wherry.errors import InvalidParameter

Document = ContainerDocument | ImageDocument | LoginDocument | MirrorDocument | NetworkDocument | VolumeDocument

_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Document]] = {
    "registry_mirror": registry_mirror.parse,
    "registry_login": registry_login.parse,
    "image": image.parse,
    "network": network.parse,
    "volume": volume.parse,
    "container": container.parse,
}
KINDS = tuple(_PARSERS)
"""Kinds of resources, what others build on first."""


def parse_all(resources: object) -> list[Document]:
    """Reads the ``resources`` of a request; with more than one, errors say which one is at fault."""
    if not isinstance(resources, Sequence) or isinstance(resources, str) or not resources:
        raise InvalidParameter("must be a list of resources, not empty", field="resources")
    documents: list[Document] = []
    seen: set[tuple[str, str]] = set()
    for number, resource in enumerate(resources):
        document = _parse_one(resource, f"resources[{number}]" if len(resources) > 1 else "")
        if (document.kind, document.identity) in seen:
            raise InvalidParameter(
                f"the {document.kind} is declared twice", field=f"resources[{number}].name", value=document.name
            )
        seen.add((document.kind, document.identity))
        documents.append(document)
    return documents


def _parse_one(resource: object, place: str) -> Document:
    if not isinstance(resource, Mapping):
        raise InvalidParameter("must be an object", field=place or "resources[0]", value=resource)
    options = dict(resource)
    kind = options.pop("kind", None)
    if not isinstance(kind, str) or kind not in _PARSERS:
        field = f"{place}.kind" if place else "kind"
        raise InvalidParameter(
            "unknown kind of resource", field=field, value=kind, allowed=f"one of {', '.join(KINDS)}"
        )
    try:
        return _PARSERS[kind](options)
    except InvalidParameter as error:
        if not place or not error.field:
            raise
        field = f"{place}.{error.field}"
        raise InvalidParameter(error.message, field=field, value=error.value, allowed=error.allowed) from None
