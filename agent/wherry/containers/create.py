"""Making a container: the request checked, merged with its image, recorded, and given its place on disk."""

from __future__ import annotations

import socket
from dataclasses import replace

from wherry.aio import in_thread
from wherry.config import Config
from wherry.containers import (
    cdi,
    device_requests,
    health_config,
    links,
    log_options,
    merge,
    remap,
    rootfs,
    storage,
    storage_limit,
    times,
    validate,
)
from wherry.containers.context import Context
from wherry.containers.model import (
    Container,
    ContainerConfig,
    CreateRequest,
    EndpointSettings,
    HostConfig,
    NetworkingConfig,
    Ulimit,
)
from wherry.containers.spec.bundle import MASKED_PATHS, READONLY_PATHS
from wherry.errors import InvalidParameter, NotFound
from wherry.ids import new_id
from wherry.images.model import Image
from wherry.state.containers import Phase


async def create(context: Context, request: CreateRequest) -> tuple[Container, list[str]]:
    """The new container and warnings for whoever asked; nothing stays behind when it fails."""
    validate.check_request(request)
    context.runtime(request.host_config.runtime)
    devices = device_requests.cdi_names(request.host_config.device_requests)
    await in_thread(cdi.resolve, devices, context.config.cdi_spec_dirs)
    # From here to the record nothing is awaited: what is found is still there when the record says that it is needed.
    image = _image(context, request)
    config = merge.with_image_defaults(request.config, image.config)
    health_config.check(config.healthcheck)
    path, arguments = merge.command_line(config)
    host_config = _with_defaults(context.config, request.host_config)
    log_options.check(host_config.log_config)
    _check_references(context, host_config)
    remap.check(context.remap, host_config)
    linked = links.resolve(context.registry, host_config)
    container = Container(
        id=new_id(),
        name=context.registry.free_name(request.name),
        created=times.now(),
        image_id=image.id,
        path=path,
        args=arguments,
        config=config,
        host_config=host_config,
        networking=_networking(request.networking, config, host_config),
        mounts=storage.asked_for(context, config, host_config),
        links=linked,
    )
    container = _with_hostname(container)
    # On record with all that it needs, before anything is made: its image and volumes stay, its name is taken. Whoever
    # wants to start or remove it already waits for the lock.
    context.registry.add(container)
    async with context.registry.lock(container.id):
        try:
            mounts = await storage.make_volumes(context, container.mounts, host_config)
            await in_thread(rootfs.make_directories, context.layout(container.id))
            if size := storage_limit.parse(host_config.storage_opt):
                await in_thread(storage_limit.apply, context.layout(container.id), size)
            container = context.registry.change(replace(container, mounts=mounts))
            context.registry.set_phase(container.id, Phase.SETTLED)
        except BaseException:
            await undo(context, container)
            raise
    context.registry.publish(container, "create")
    return container, _warnings(context, container)


async def undo(context: Context, container: Container) -> None:
    """Takes back a creation that failed, or that an earlier agent did not finish."""
    await in_thread(rootfs.remove_directories, context.layout(container.id))
    await storage.remove_anonymous(context, container)
    context.registry.forget(container)


def _image(context: Context, request: CreateRequest) -> Image:
    if not request.config.image:
        raise InvalidParameter("no image specified", field="Image")
    image = context.images.find(request.config.image)
    if request.platform:
        system, _, architecture = request.platform.partition("/")
        wanted = architecture.partition("/")[0] or image.architecture
        if (system or image.os, wanted) != (image.os, image.architecture):
            raise NotFound(
                f"image with reference {request.config.image} was found but does not match the specified platform: "
                f"wanted {request.platform}, actual: {image.os}/{image.architecture}"
            )
    return image


def _with_defaults(config: Config, given: HostConfig) -> HostConfig:
    """What was left open, as this agent is configured; inspect shows it."""
    limits = {limit.name: Ulimit(limit.name, limit.soft, limit.hard) for limit in config.default_ulimits}
    limits.update({limit.name: limit for limit in given.ulimits})
    unconfined = given.privileged or "systempaths=unconfined" in given.security_opt
    security = given.security_opt
    if config.no_new_privileges and not any(option.startswith("no-new-privileges") for option in security):
        security = (*security, "no-new-privileges")
    return replace(
        given,
        log_config=log_options.with_defaults(given.log_config, config.log_driver, config.log_opts),
        ulimits=tuple(limits.values()),
        security_opt=security,
        shm_size=given.shm_size or config.default_shm_size,
        runtime=given.runtime or config.default_runtime,
        ipc_mode=given.ipc_mode or "private",
        cgroupns_mode=given.cgroupns_mode or "private",
        restart_policy=replace(given.restart_policy, name=given.restart_policy.name or "no"),
        masked_paths=_default_paths(given.masked_paths, MASKED_PATHS, unconfined),
        readonly_paths=_default_paths(given.readonly_paths, READONLY_PATHS, unconfined),
    )


def _default_paths(given: tuple[str, ...] | None, default: tuple[str, ...], unconfined: bool) -> tuple[str, ...] | None:
    if given is not None:
        return given
    return None if unconfined else default


def _networking(given: NetworkingConfig, config: ContainerConfig, host_config: HostConfig) -> NetworkingConfig:
    """The networks asked for; ``MacAddress`` of the configuration belongs to the network mode's own."""
    mode = host_config.network_mode
    if config.network_disabled or mode in ("host", "none") or mode.startswith("container:"):
        joined = [name for name in given.endpoints if name != mode]
        if joined:
            raise InvalidParameter(
                f"conflicting options: cannot attach both user-defined and non-user-defined network-modes: {joined[0]}"
            )
        return NetworkingConfig()
    primary = "bridge" if mode == "default" else mode
    endpoints = {("bridge" if name == "default" else name): wish for name, wish in given.endpoints.items()}
    first = endpoints.pop(primary, EndpointSettings())
    if host_config.links and primary != "bridge" and not first.links:
        first = replace(first, links=host_config.links)
    if config.mac_address and not first.mac:
        first = replace(first, mac=config.mac_address)
    return NetworkingConfig({primary: first, **endpoints})


def _check_references(context: Context, host_config: HostConfig) -> None:
    """Containers whose namespaces shall be joined must exist; the parent group must suit the cgroup driver."""
    for mode in (host_config.network_mode, host_config.pid_mode, host_config.ipc_mode):
        kind, _, reference = mode.partition(":")
        if kind == "container":
            context.registry.find(reference)
    context.cgroups_path("", host_config.cgroup_parent)


def _shares_host_name(host_config: HostConfig) -> bool:
    return "host" in (host_config.uts_mode, host_config.network_mode)


def _with_hostname(container: Container) -> Container:
    if container.config.hostname or container.host_config.network_mode.startswith("container:"):
        return container
    name = socket.gethostname() if _shares_host_name(container.host_config) else container.short_id
    return replace(container, config=replace(container.config, hostname=name))


def _warnings(context: Context, container: Container) -> list[str]:
    warnings = []
    if container.host_config.memory and not context.swap_accounting:
        warnings.append("Your kernel does not support swap limit capabilities. Memory limited without swap.")
    if container.host_config.oom_kill_disable and not container.host_config.memory:
        warnings.append("OOM killer is disabled for the container, but no memory limit is set, this can be dangerous.")
    return warnings
