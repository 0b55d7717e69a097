"""The bundle of a container that starts: its inputs gathered, config.json and the files in /etc written."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wherry import native
from wherry.containers import cdi, device_requests, host_files, identity, links, remap, rootfs, storage
from wherry.containers.context import Context
from wherry.containers.layout import ContainerLayout
from wherry.containers.model import Container, ExecRequest, MountPoint
from wherry.containers.spec import bundle
from wherry.containers.spec.inputs import BundleInputs, JoinedNamespaces
from wherry.containers.spec.resources import build_resources
from wherry.errors import Conflict, SystemFailure
from wherry.networks.model import DEFAULT_NETWORK, Sandbox

PRIVATE_MODE = 0o700
JOINABLE_IPC = "shareable"


@dataclass(frozen=True)
class Shared:
    """What a container takes over from others: namespaces, a shared /dev/shm, and the files of a joined network.

    ``users_of`` is the container whose user namespace the others belong to; ``users`` is the one that it gets then,
    ``None`` for the host's.
    """

    pid: str = ""
    ipc: str = ""
    shm: Path | None = None
    network_of: Container | None = None
    users_of: Container | None = None
    users: remap.Users | None = None


def shared_with(context: Context, container: Container) -> Shared:
    """Resolves ``container:…`` modes; raises ``Conflict`` when the other container does not run or does not share."""
    host_config = container.host_config
    pid = ipc = ""
    shm = None
    network_of = None
    joined: list[Container] = []
    if host_config.pid_mode.startswith("container:"):
        joined.append(_running(context, host_config.pid_mode, "PID"))
        pid = f"/proc/{joined[-1].state.pid}/ns/pid"
    if host_config.ipc_mode.startswith("container:"):
        other = _running(context, host_config.ipc_mode, "IPC")
        if other.host_config.ipc_mode != JOINABLE_IPC:
            raise Conflict(f"can't join IPC of container {other.id}: non-shareable IPC (hint: use IpcMode:shareable)")
        joined.append(other)
        ipc, shm = f"/proc/{other.state.pid}/ns/ipc", context.layout(other.id).shm
    elif host_config.ipc_mode == JOINABLE_IPC:
        shm = context.layout(container.id).shm
    if host_config.network_mode.startswith("container:"):
        network_of = _running(context, host_config.network_mode, "network")
        joined.append(network_of)
        while network_of.host_config.network_mode.startswith("container:"):  # it has joined another's itself
            network_of = _running(context, network_of.host_config.network_mode, "network")
    return Shared(pid, ipc, shm, network_of, joined[0] if joined else None)


def with_users(context: Context, container: Container, shared: Shared) -> Shared:
    """The same with a user namespace of its own, or that of the container whose namespaces it joins; blocks."""
    other = shared.users_of
    joined = None if other is None else (context.layout(other.id), other.state.pid)
    users = remap.enter(context.remap, container.host_config, context.layout(container.id), joined)
    return replace(shared, users=users)


def _running(context: Context, mode: str, what: str) -> Container:
    other = context.registry.find(mode.partition(":")[2])
    if not other.state.is_running or not other.state.pid:
        raise Conflict(f"cannot join {what} namespace of a non running container: {other.id}")
    return other


def mount_root(context: Context, container: Container, shared: Shared) -> None:
    """Mounts the root file system and, when others may join, /dev/shm; blocks."""
    layout = context.layout(container.id)
    image = context.images.find(container.image_id)
    rootfs.mount(layout, context.images.layer_directories(image), shared.users)
    if shared.shm == layout.shm and not layout.shm.is_mount():
        layout.shm.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        options = f"nosuid,noexec,nodev,mode=1777,size={container.host_config.shm_size}"
        command = ["mount", "-t", "tmpfs", "-o", options, "shm", str(layout.shm)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemFailure(f"cannot mount /dev/shm: {done.stderr.strip()}")


def write(
    context: Context, container: Container, mounts: tuple[MountPoint, ...], sandbox: Sandbox, shared: Shared
) -> Path:
    """Writes the whole bundle of a mounted and connected container and returns its directory; blocks."""
    layout = context.layout(container.id)
    native.remove_tree(layout.run)
    layout.run.mkdir(mode=PRIVATE_MODE, parents=True)
    if shared.users is not None and any(point.copy_up for point in mounts):
        # What goes into a volume goes there as it is on disk: the container sees both through the same map.
        layers = context.images.layer_directories(context.images.find(container.image_id))
        with rootfs.unmapped(layout, layers) as content:
            mounts = storage.prepare(layout, mounts, content)
    else:
        mounts = storage.prepare(layout, mounts, layout.rootfs)
    who = identity.resolve(container.config.user, container.host_config.group_add, identity.reader_of(layout.rootfs))
    linked = links.targets(context, container)
    files = _write_files(context, container, sandbox, shared, linked)
    inputs = _inputs(context, replace(container, mounts=mounts), who, sandbox.netns_path or "host", shared)
    told = tuple(links.environment(container, linked))
    devices = device_requests.cdi_names(container.host_config.device_requests)
    edits = tuple(cdi.resolve(devices, context.config.cdi_spec_dirs))
    document = bundle.build(replace(inputs, files=files, link_environment=told, edits=edits))
    layout.config.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    return layout.run


def write_resources(context: Context, container: Container) -> dict[str, object]:
    """Brings the limits in config.json up to date, for the next run by the monitor, and returns them; blocks."""
    layout = context.layout(container.id)
    document = json.loads(layout.config.read_text(encoding="utf-8"))
    resources = build_resources(container.host_config, swap_accounting=context.swap_accounting)
    document["linux"]["resources"] = {**resources, "devices": document["linux"]["resources"].get("devices", [])}
    temporary = layout.config.with_suffix(".new")
    temporary.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    temporary.rename(layout.config)
    return resources


def exec_process(context: Context, container: Container, request: ExecRequest) -> dict[str, object]:
    """process.json of a further process; blocks."""
    layout = context.layout(container.id)
    user = request.user or container.config.user
    groups = () if request.user else container.host_config.group_add
    who = identity.resolve(user, groups, identity.reader_of(layout.rootfs))
    told = tuple(links.environment(container, links.running(context, container)))
    return bundle.build_exec(replace(_inputs(context, container, who, "", Shared()), link_environment=told), request)


def tell_parents(context: Context, container: Container) -> None:
    """Brings the address of a container that has started into /etc/hosts of those that link to it; blocks."""
    address = links.address_of(context, container)
    for parent, link in links.parents(context.registry, container.id):
        if parent.state.is_running and address:
            names = links.Linked(link, container, address).names
            host_files.set_address(context.layout(parent.id).hosts, names, address)


def _inputs(
    context: Context, container: Container, who: identity.Identity, network: str, shared: Shared
) -> BundleInputs:
    host_config = container.host_config
    pid = shared.pid or _own_or_host(host_config.pid_mode)
    owner = shared.network_of or container
    return BundleInputs(
        container=container,
        rootfs=context.layout(container.id).rootfs,
        identity=who,
        namespaces=JoinedNamespaces(
            network=network,
            pid=pid,
            ipc=shared.ipc or _own_or_host(host_config.ipc_mode),
            uts=_own_or_host(host_config.uts_mode),
            cgroup=_own_or_host(host_config.cgroupns_mode),
            user=str(shared.users.path) if shared.users else "",
        ),
        cgroups_path=context.cgroups_path(container.id, host_config.cgroup_parent),
        own_capabilities=context.capabilities,
        own_oom_score_adj=context.oom_score_adj,
        shm=shared.shm,
        hostname=owner.config.hostname or socket.gethostname(),
        swap_accounting=context.swap_accounting,
        # Who joins other processes has their init already.
        init=None if pid else context.init(host_config.init),
    )


def _own_or_host(mode: str) -> str:
    return "host" if mode == "host" else ""


def _write_files(
    context: Context, container: Container, sandbox: Sandbox, shared: Shared, linked: Sequence[links.Linked]
) -> Mapping[str, Path]:
    """Files of /etc by their place in the container; with a joined network they are the other container's."""
    layout = context.layout((shared.network_of or container).id)
    if shared.network_of is None:
        _write_own_files(context, container, sandbox, layout, linked)
    return {"/etc/hosts": layout.hosts, "/etc/hostname": layout.hostname, "/etc/resolv.conf": layout.resolv_conf}


def _write_own_files(
    context: Context, container: Container, sandbox: Sandbox, layout: ContainerLayout, linked: Sequence[links.Linked]
) -> None:
    config, host_config = container.config, container.host_config
    extra = [
        host_files.split_extra_host(text, f"HostConfig.ExtraHosts[{index}]")
        for index, text in enumerate(host_config.extra_hosts)
    ]
    resolved = [
        (name, _host_gateway(context) if address == host_files.HOST_GATEWAY else address) for name, address in extra
    ]
    resolved += links.hosts_entries(linked)
    own = [address for endpoint in sandbox.endpoints for address in (endpoint.address4, endpoint.address6) if address]
    layout.hostname.write_text(f"{config.hostname}\n", encoding="utf-8")
    if host_config.network_mode == "host":
        hosts = host_files.hosts_of_host(resolved)
    else:
        hosts = host_files.hosts(resolved, own, config.hostname, config.domainname)
    layout.hosts.write_text(hosts, encoding="utf-8")
    content = _resolv_conf(context, container, sandbox, own_server=context.networks.serves_names(container.id))
    layout.resolv_conf.write_text(content, encoding="utf-8")


def _resolv_conf(context: Context, container: Container, sandbox: Sandbox, *, own_server: bool) -> str:
    host_config, defaults = container.host_config, context.config
    return host_files.resolv_conf(
        host_config.dns or defaults.dns,
        host_config.dns_search or defaults.dns_search,
        host_config.dns_options or defaults.dns_opts,
        host_network=sandbox.netns_path is None,
        own_server=own_server,
    )


def update_resolv_conf(context: Context, container: Container, sandbox: Sandbox) -> None:
    """Brings a running container that was plugged into its first network with names to its own server; blocks.

    A file that the container has changed is its own affair.
    """
    file = context.layout(container.id).resolv_conf
    before = _resolv_conf(context, container, sandbox, own_server=False)
    if file.read_text(encoding="utf-8") == before:
        file.write_text(_resolv_conf(context, container, sandbox, own_server=True), encoding="utf-8")


def _host_gateway(context: Context) -> str:
    """The host as containers reach it: the gateway of the default bridge."""
    for subnet in context.networks.find(DEFAULT_NETWORK).spec.subnets:
        if subnet.gateway:
            return subnet.gateway
    raise SystemFailure("unable to derive the IP value for host-gateway: the default bridge has no gateway")
