"""Links: names and variables by which a container of the default network knows others (``docker run --link``).

Source: Engine API ``HostConfig.Links``; Docker, "Legacy container links". In networks that a user has made, names are
served by the network itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from wherry.containers.context import Context
from wherry.containers.model import Container, HostConfig, Link
from wherry.containers.ports import exposed
from wherry.containers.registry import Registry
from wherry.errors import Conflict, InvalidParameter, NotFound
from wherry.networks.model import DEFAULT_NETWORK

PRIVATE_VARIABLES = frozenset({"HOME", "PATH"})
"""Variables of a linked container that say nothing to others."""


@dataclass(frozen=True)
class Linked:
    """A linked container as it is now: its address in the default network, and the names that lead there."""

    link: Link
    container: Container
    address: str

    @property
    def names(self) -> str:
        """Alias, host name and name, as they stand in /etc/hosts."""
        own = () if self.link.alias == self.container.name else (self.container.name,)
        return " ".join((self.link.alias, self.container.config.hostname, *own))


def resolve(registry: Registry, host_config: HostConfig) -> tuple[Link, ...]:
    """The links that a new container of the default network asks for; in others its endpoints have them.

    Raises ``InvalidParameter`` and ``Conflict`` in Docker's words.
    """
    if not host_config.links:
        return ()
    _check_mode(host_config.network_mode)
    if host_config.network_mode not in ("default", "bridge"):
        return ()
    links: dict[str, Link] = {}
    for index, text in enumerate(host_config.links):
        name, alias = _parse(text, f"HostConfig.Links[{index}]")
        child = _child(registry, name)
        if alias in links and links[alias].container_id != child.id:
            raise Conflict(f"Conflict. The link name {alias} is used for two containers: {text}")
        links[alias] = Link(child.id, alias)
    return tuple(links.values())


def targets(context: Context, container: Container) -> tuple[Linked, ...]:
    """The linked containers of one that starts; ``Conflict`` when one does not run. Removed ones are passed over."""
    found = []
    for link in container.links:
        child = context.registry.get(link.container_id)
        if child is None:
            continue
        address = address_of(context, child)
        if not child.state.is_running or not address:
            where = f"/{container.name}/{link.alias}"
            raise Conflict(f"Cannot link to a non running container: /{child.name} AS {where}")
        found.append(Linked(link, child, address))
    return tuple(found)


def running(context: Context, container: Container) -> tuple[Linked, ...]:
    """As ``targets``, without those that do not run: what a further process of the container is told."""
    found = ((link, context.registry.get(link.container_id)) for link in container.links)
    linked = (Linked(link, child, address_of(context, child)) for link, child in found if child is not None)
    return tuple(one for one in linked if one.address and one.container.state.is_running)


def address_of(context: Context, container: Container) -> str:
    """Its IPv4 address in the default network, empty when it is not plugged in there."""
    sandbox = context.networks.sandbox(container.id)
    if sandbox is None:
        return ""
    return next((one.address4 for one in sandbox.endpoints if one.network_name == DEFAULT_NETWORK), "")


def parents(registry: Registry, container_id: str) -> Iterator[tuple[Container, Link]]:
    """Every container that has a link to this one, with the link."""
    for container in registry:
        for link in container.links:
            if link.container_id == container_id:
                yield container, link


def environment(container: Container, linked: Iterable[Linked]) -> list[str]:
    """The variables that tell a container of its links: ``DB_PORT=tcp://172.17.0.2:5432``, ``DB_ENV_USER=…``."""
    entries = []
    for one in linked:
        prefix = one.link.alias.upper().replace("-", "_")
        ports = sorted(_port(text) for text in exposed(one.container))
        if ports:
            entries.append(f"{prefix}_PORT={_url(one.address, *ports[0])}")
        for number, protocol in ports:
            key = f"{prefix}_PORT_{number}_{protocol.upper()}"
            entries += [
                f"{key}={_url(one.address, number, protocol)}",
                f"{key}_ADDR={one.address}",
                f"{key}_PORT={number}",
                f"{key}_PROTO={protocol}",
            ]
        entries.append(f"{prefix}_NAME=/{container.name}/{one.link.alias}")
        for entry in one.container.config.env:
            name, equals, value = entry.partition("=")
            if equals and name not in PRIVATE_VARIABLES:
                entries.append(f"{prefix}_ENV_{name}={value}")
    return entries


def shown(registry: Registry, container: Container) -> list[str] | None:
    """``HostConfig.Links`` of an inspect."""
    present = ((link, registry.get(link.container_id)) for link in container.links)
    texts = [f"/{child.name}:/{container.name}/{link.alias}" for link, child in present if child is not None]
    return texts or None


def find(registry: Registry, reference: str) -> tuple[Container, Link]:
    """The container and its link that ``parent/alias`` means. Raises ``NotFound``."""
    name, _, alias = reference.removeprefix("/").rpartition("/")
    if name:
        parent = registry.find(name)
        for link in parent.links:
            if link.alias == alias:
                return parent, link
    raise NotFound(f"No such link: {reference}")


def _check_mode(mode: str) -> None:
    kind = "container type network" if mode.startswith("container:") else f"{mode} type networking"
    if mode in ("host", "none") or mode.startswith("container:"):
        raise InvalidParameter(
            f"conflicting options: {kind} can't be used with links. This would result in undefined behavior"
        )


def _parse(text: str, where: str) -> tuple[str, str]:
    """``name``, ``name:alias``, or the form that an inspect shows: ``/name:/parent/alias``."""
    parts = text.split(":")
    if not text or len(parts) > 2 or not all(parts):
        raise InvalidParameter(f"bad format for links: {text}", field=where, allowed="NAME[:ALIAS]")
    name = parts[0].removeprefix("/")
    return name, parts[-1].rpartition("/")[2]


def _child(registry: Registry, name: str) -> Container:
    try:
        child = registry.find(name)
    except NotFound as error:
        raise InvalidParameter(f"could not get container for {name}: {error}") from None
    if child.host_config.network_mode.startswith("container:"):
        child = registry.find(child.host_config.network_mode.partition(":")[2])
    if child.host_config.network_mode == "host":
        _check_mode("host")
    return child


def _port(text: str) -> tuple[int, str]:
    number, _, protocol = text.partition("/")
    return int(number), protocol


def _url(address: str, number: int, protocol: str) -> str:
    return f"{protocol}://{address}:{number}"


def hosts_entries(linked: Sequence[Linked]) -> list[tuple[str, str]]:
    """Names and address of each, for /etc/hosts."""
    return [(one.names, one.address) for one in linked]
