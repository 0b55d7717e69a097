"""Containers as the Engine API shows them: inspect, and a line of the list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wherry.api.container_fields import CONFIG_FIELDS, HOST_FIELDS, IPAM_FIELDS, NEUTRAL_HOST_DEFAULTS
from wherry.api.json_fields import write_fields
from wherry.containers import times
from wherry.containers.listing import shown_state, status_text
from wherry.containers.model import Container, EndpointSettings, Health, MountPoint
from wherry.containers.mount_requests import clean_destination
from wherry.containers.ports import canonical, exposed
from wherry.containers.service import Containers
from wherry.networks.model import Endpoint, PublishedPort, Sandbox

DNS_NAMES_SINCE = (1, 45)  # before, DNSNames were among the aliases
DEFAULT_NETWORKS = frozenset({"bridge", "host", "none"})
SHORT_ID_LENGTH = 12
EMPTY_ENDPOINT = Endpoint("", "", "", "", "")


def inspect(containers: Containers, container: Container, sizes: tuple[int, int] | None = None) -> dict[str, Any]:
    """``GET /containers/{id}/json``; ``sizes`` are bytes written and bytes in all."""
    sandbox = containers.sandbox(container)
    body: dict[str, Any] = {
        "Id": container.id,
        "Created": container.created,
        "Path": container.path,
        "Args": list(container.args),
        "State": _state(container),
        "Image": container.image_id,
        **containers.paths_of(container),
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": _apparmor_profile(container),
        "ExecIDs": containers.execs.of_container(container.id) or None,
        "HostConfig": {**NEUTRAL_HOST_DEFAULTS, **_host_config(containers, container)},
        "GraphDriver": {"Name": "overlay2", "Data": containers.overlay_of(container)},
        "Mounts": _mounts(container),
        "Config": _config(container),
        "NetworkSettings": _network_settings(container, sandbox),
    }
    if sizes is not None:
        body["SizeRw"], body["SizeRootFs"] = sizes
    return body


def for_version(body: dict[str, Any], version: tuple[int, int]) -> dict[str, Any]:
    """An inspect as a client of an older version knows it: its short ID was among the aliases in a network of its own.

    docker-compose 1.29 connects a container anew, at every turn, whose aliases lack it.
    """
    if version < DNS_NAMES_SINCE:
        for name, endpoint in body["NetworkSettings"]["Networks"].items():
            if name not in DEFAULT_NETWORKS:
                short_id = body["Id"][:SHORT_ID_LENGTH]
                endpoint["Aliases"] = list(dict.fromkeys((*(endpoint["Aliases"] or ()), short_id)))
    return body


def _apparmor_profile(container: Container) -> str:
    options = container.host_config.security_opt
    names = [option[len("apparmor=") :] for option in options if option.startswith(("apparmor=", "apparmor:"))]
    return names[-1] if names else ""


def _host_config(containers: Containers, container: Container) -> dict[str, Any]:
    return {**write_fields(HOST_FIELDS, container.host_config), "Links": containers.links_of(container)}


def summary(containers: Containers, container: Container, sizes: tuple[int, int] | None = None) -> dict[str, Any]:
    """An entry of ``GET /containers/json``."""
    sandbox = containers.sandbox(container)
    body: dict[str, Any] = {
        "Id": container.id,
        "Names": [f"/{name}" for name in containers.names_of(container)],
        "Image": containers.shown_image(container),
        "ImageID": container.image_id,
        "Command": " ".join((container.path, *container.args)),
        "Created": times.parse(container.created) // times.NANOSECONDS,
        "Ports": _port_list(container, sandbox),
        "Labels": dict(container.config.labels),
        "State": shown_state(container),
        "Status": status_text(container),
        "HostConfig": {"NetworkMode": container.host_config.network_mode},
        "NetworkSettings": {"Networks": networks(container, sandbox)},
        "Mounts": _mounts(container),
    }
    if sizes is not None:
        body["SizeRw"], body["SizeRootFs"] = sizes
    return body


def _state(container: Container) -> dict[str, Any]:
    state = container.state
    lost = {"LogLost": {"Entries": state.log_lost_entries, "Bytes": state.log_lost_bytes}}
    body: dict[str, Any] = {
        "Status": shown_state(container),
        "Running": state.is_running,
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_at,
        "FinishedAt": state.finished_at,
        **(lost if state.log_lost_entries else {}),
    }
    if state.health is not None:
        body["Health"] = _health(state.health)
    return body


def _health(health: Health) -> dict[str, Any]:
    return {
        "Status": health.status,
        "FailingStreak": health.failing_streak,
        "Log": [
            {"Start": one.start, "End": one.end, "ExitCode": one.exit_code, "Output": one.output} for one in health.log
        ],
    }


def _config(container: Container) -> dict[str, Any]:
    body = write_fields(CONFIG_FIELDS, container.config)
    body["ExposedPorts"] = {port: {} for port in exposed(container)}
    for key in ("ExposedPorts", "StopSignal", "MacAddress", "NetworkDisabled", "Shell", "StopTimeout", "Healthcheck"):
        if not body[key] and body[key] != 0:
            del body[key]
    return {key: value for key, value in body.items() if key != "NetworkDisabled" or value}


def _mounts(container: Container) -> list[dict[str, Any]]:
    """The mount points. A tmpfs is among them when ``Mounts`` asked for it, not when ``Tmpfs`` did, as in Docker."""
    asked = {clean_destination(one.target, one.target) for one in container.host_config.mounts}
    return [_mount(point) for point in container.mounts if point.type != "tmpfs" or point.destination in asked]


def _mount(point: MountPoint) -> dict[str, Any]:
    body: dict[str, Any] = {
        "Type": point.type,
        "Source": point.source,
        "Destination": point.destination,
        "Mode": point.mode,
        "RW": point.rw,
        "Propagation": point.propagation,
    }
    if point.type == "volume":
        body.update(Name=point.name, Driver=point.driver)
    return body


def _network_settings(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    default = next((one for one in sandbox.endpoints if one.network_name == "bridge"), None) if sandbox else None
    shown = default or EMPTY_ENDPOINT
    return {
        "Bridge": "",
        "SandboxID": container.id if sandbox else "",
        "SandboxKey": (sandbox.netns_path or "") if sandbox else "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "Ports": _port_map(container, sandbox),
        "EndpointID": shown.id,
        "MacAddress": shown.mac,
        **_addresses(shown),
        "Networks": networks(container, sandbox),
    }


def networks(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    """The networks by name: what was asked, and what is, once it runs."""
    wishes = container.networking.endpoints
    plugged = {one.network_name: one for one in sandbox.endpoints} if sandbox else {}
    mode = container.host_config.network_mode
    if not wishes and mode in ("host", "none"):
        return {mode: _endpoint(EndpointSettings(), EMPTY_ENDPOINT, container)}
    names = list(dict.fromkeys((*wishes, *plugged)))
    by_id = {one.network_id: one for one in plugged.values()}
    return {
        name: _endpoint(
            wishes.get(name, EndpointSettings()), plugged.get(name) or by_id.get(name) or EMPTY_ENDPOINT, container
        )
        for name in names
        if name in wishes or plugged[name].network_id not in wishes
    }


def _endpoint(wish: EndpointSettings, endpoint: Endpoint, container: Container) -> dict[str, Any]:
    ipam = {key: value for key, value in write_fields(IPAM_FIELDS, wish).items() if value}
    aliases = list(dict.fromkeys((*wish.aliases, *endpoint.aliases)))
    return {
        "IPAMConfig": ipam or None,
        "Links": list(wish.links) or None,
        "Aliases": aliases or None,
        "MacAddress": endpoint.mac or wish.mac,
        "DriverOpts": dict(wish.driver_options) or None,
        "GwPriority": wish.gw_priority,
        "NetworkID": endpoint.network_id,
        "EndpointID": endpoint.id,
        **_addresses(endpoint),
        "DNSNames": _dns_names(container, aliases) if endpoint.id else None,
    }


def _dns_names(container: Container, aliases: Sequence[str]) -> list[str]:
    names = (container.name, *aliases, container.short_id, container.config.hostname)
    return list(dict.fromkeys(name for name in names if name))


def _addresses(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "Gateway": endpoint.gateway4,
        "IPAddress": endpoint.address4,
        "IPPrefixLen": int(endpoint.ipv4.partition("/")[2] or 0),
        "IPv6Gateway": endpoint.gateway6,
        "GlobalIPv6Address": endpoint.address6,
        "GlobalIPv6PrefixLen": int(endpoint.ipv6.partition("/")[2] or 0),
    }


def _published(sandbox: Sandbox | None) -> Sequence[PublishedPort]:
    return sandbox.ports if sandbox else ()


def _port_map(container: Container, sandbox: Sandbox | None) -> dict[str, Any]:
    """Exposed ports with what they are published as; empty for a container that does not run, as in Docker."""
    if not container.state.is_running:
        return {}
    ports: dict[str, Any] = dict.fromkeys(exposed(container))
    for port in _published(sandbox):
        key = f"{port.container_port}/{port.protocol}"
        ports[key] = [*(ports.get(key) or ()), {"HostIp": port.host_ip, "HostPort": str(port.host_port)}]
    return ports


def _port_list(container: Container, sandbox: Sandbox | None) -> list[dict[str, Any]]:
    if not container.state.is_running:
        return []
    published = [
        {"IP": port.host_ip, "PrivatePort": port.container_port, "PublicPort": port.host_port, "Type": port.protocol}
        for port in _published(sandbox)
    ]
    known = {(port["PrivatePort"], port["Type"]) for port in published}
    open_only = []
    for text in (key for port in exposed(container) for key in canonical(port, "ExposedPorts")):
        number, _, protocol = text.partition("/")
        if (int(number), protocol) not in known:
            open_only.append({"PrivatePort": int(number), "Type": protocol})
    return [*open_only, *published]
