"""Containers plugged into networks and out of them after their creation, whether they run or not."""

from __future__ import annotations

import logging
from dataclasses import replace

from wherry.aio import in_thread
from wherry.containers import bundles, validate
from wherry.containers.context import Context
from wherry.containers.lifecycle import endpoint_request
from wherry.containers.model import Container, EndpointSettings, NetworkingConfig
from wherry.errors import Conflict, NotFound, WherryError
from wherry.networks.model import EndpointRequest, Network

log = logging.getLogger(__name__)


class Plugging:
    """``connect`` and ``disconnect``; the networks noun does it, the container's record keeps what is wished."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._registry = context.registry

    async def connect(self, network: str, reference: str, wish: EndpointSettings) -> None:
        """Plugs a container into one more network, at once if it runs."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._registry.find(container.id)
            found = self._context.networks.find(network)
            validate.check_endpoint(wish, "EndpointConfig")
            endpoints = dict(container.networking.endpoints)
            if found.name in endpoints or found.id in endpoints:
                raise Conflict(f"endpoint with name {container.name} already exists in network {found.name}")
            if self._is_plugged(container):
                await self._plug(container, endpoint_request(found.id, wish))
            host_config = container.host_config
            if not endpoints and host_config.network_mode == "none":
                # It has left its last network, and its mode with it; this network is where it starts from now on.
                host_config = replace(host_config, network_mode=found.name)
            endpoints[found.name] = wish
            self._registry.change(replace(container, networking=NetworkingConfig(endpoints), host_config=host_config))

    def _is_plugged(self, container: Container) -> bool:
        """Whether it runs, and not only seems to because its end is just being settled."""
        return container.state.is_running and self._context.networks.sandbox(container.id) is not None

    async def _plug(self, container: Container, request: EndpointRequest) -> None:
        networks = self._context.networks
        had_server = networks.serves_names(container.id)
        await networks.connect(request.network, container.id, request)
        sandbox = networks.sandbox(container.id)
        if sandbox is not None and not had_server and networks.serves_names(container.id):
            await in_thread(bundles.update_resolv_conf, self._context, container, sandbox)

    async def disconnect(self, network: str, reference: str, *, force: bool = False) -> None:
        """Takes a container out of a network, at once if it runs."""
        container = self._registry.find(reference)
        async with self._registry.lock(container.id):
            container = self._registry.find(container.id)
            found = self._context.networks.find(network)
            without = _without(container, found)
            if len(without.networking.endpoints) == len(container.networking.endpoints):
                raise Conflict(f"container {container.id} is not connected to network {found.name}")
            if self._is_plugged(container):
                await self._context.networks.disconnect(found.id, container.id, force)
            self._registry.change(without)

    async def reconcile(self, container: Container) -> None:
        """After an agent's death: a ``connect`` that was cut short is undone, a ``disconnect`` is finished, or undone
        when the record does not know of it yet: then the cable is missing, as when somebody has removed it by hand.
        """
        networks = self._context.networks
        sandbox = networks.sandbox(container.id)
        mode = container.host_config.network_mode
        if sandbox is None or mode in ("host", "none") or mode.startswith("container:"):
            return
        wished: dict[str, Network] = {}
        for name in container.networking.endpoints:
            try:
                network = networks.find(name)
            except NotFound:
                continue
            wished[network.id] = network
        plugged = {endpoint.network_id for endpoint in sandbox.endpoints}
        for network_id in plugged - wished.keys():
            log.info("container %s: taking back a connection that was cut short", container.short_id)
            await networks.disconnect(network_id, container.id, force=True)
        for network_id in wished.keys() - plugged:
            log.info("container %s: it has left network %s", container.short_id, wished[network_id].name)
            container = self._registry.change(_without(container, wished[network_id]))
        for network_id in networks.cut_off(container.id):
            await self._replug(container, wished[network_id])

    async def _replug(self, container: Container, network: Network) -> None:
        log.info("container %s: its cable to network %s is missing; plugged in again", container.short_id, network.name)
        wishes = container.networking.endpoints
        wish = wishes.get(network.name) or wishes.get(network.id) or EndpointSettings()
        await self._context.networks.disconnect(network.id, container.id, force=True)
        try:
            await self._plug(container, endpoint_request(network.id, wish))
        except WherryError as error:
            log.warning("container %s: it is out of network %s: %s", container.short_id, network.name, error)
            self._registry.change(_without(container, network))


def _without(container: Container, network: Network) -> Container:
    names = (network.name, network.id)
    endpoints = {name: wish for name, wish in container.networking.endpoints.items() if name not in names}
    host_config = container.host_config
    if host_config.network_mode in names:
        host_config = replace(host_config, network_mode=next(iter(endpoints), "none"))
    return replace(container, networking=NetworkingConfig(endpoints), host_config=host_config)
