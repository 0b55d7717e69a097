"""Who is called what in which network: the names that a container's DNS server answers by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from wherry.ids import SHORT_ID_LENGTH
from wherry.networks.model import DEFAULT_NETWORK, Endpoint, Sandbox
from wherry.networks.registry import Registry

Names = Mapping[str, tuple[Endpoint, ...]]


def has_names(endpoint: Endpoint) -> bool:
    """Whether the endpoint's network has names: those that a user has made, as in Docker."""
    return bool(endpoint.interface) and endpoint.network_name != DEFAULT_NETWORK


def names_of(sandbox: Sandbox, endpoint: Endpoint) -> tuple[str, ...]:
    """What a container is called in a network: name, aliases, short id, host name; each once."""
    names = (sandbox.name, *endpoint.aliases, sandbox.container_id[:SHORT_ID_LENGTH], sandbox.hostname)
    return tuple(dict.fromkeys(name for name in names if name))


@dataclass(frozen=True)
class _Index:
    generation: int
    names: Names
    pointers: Mapping[str, str]


class Directory:
    """Looks names up; an index for each network is made anew when anything was plugged in or out."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._indexes: dict[str, _Index] = {}

    def endpoints(self, asker: Sandbox, name: str) -> tuple[Endpoint, ...] | None:
        """The endpoints that a name stands for to this container, in the first of its networks that knows it."""
        for own in _named_plugs(asker):
            linked = self._linked(own, name)
            if linked:
                return linked
        for own in _named_plugs(asker):
            names = self._index(own.network_id).names
            found = names.get(name) or names.get(name.removesuffix(f".{own.network_name.lower()}"))
            if found:
                return found
        return None

    def pointer(self, asker: Sandbox, address: str) -> str | None:
        """The name behind an address of one of the container's networks."""
        for own in _named_plugs(asker):
            name = self._index(own.network_id).pointers.get(address)
            if name is not None:
                return name
        return None

    def _linked(self, own: Endpoint, name: str) -> tuple[Endpoint, ...]:
        for link in own.links:
            target, colon, alias = link.partition(":")
            if (alias if colon else target).lower() == name:
                return self._index(own.network_id).names.get(target.removeprefix("/").lower(), ())
        return ()

    def _index(self, network_id: str) -> _Index:
        index = self._indexes.get(network_id)
        if index is None or index.generation != self._registry.generation:
            index = self._indexes[network_id] = self._built(network_id)
        return index

    def _built(self, network_id: str) -> _Index:
        names: defaultdict[str, tuple[Endpoint, ...]] = defaultdict(tuple)
        pointers: dict[str, str] = {}
        for sandbox, endpoint in self._registry.attached(network_id):
            for name in names_of(sandbox, endpoint):
                names[name.lower()] += (endpoint,)
            names[sandbox.container_id] += (endpoint,)
            for address in filter(None, (endpoint.address4, endpoint.address6)):
                pointers[address] = f"{sandbox.name}.{endpoint.network_name}"
        return _Index(self._registry.generation, dict(names), pointers)


def _named_plugs(sandbox: Sandbox) -> Iterator[Endpoint]:
    return (endpoint for endpoint in sandbox.endpoints if has_names(endpoint))
