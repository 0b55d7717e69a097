"""What is known of networks and of the containers plugged into them: frozen records.

Addresses stand in the records as text (``10.0.0.2``, ``10.0.0.0/24``) in canonical form, because the records are kept
as JSON; an empty text means "none" or, in a request, "choose one".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

PREDEFINED = ("bridge", "host", "none")
"""Networks that every agent has: made at its first start, never created or removed by a client."""

DEFAULT_NETWORK = "bridge"
LOCAL_SCOPE = "local"


@dataclass(frozen=True)
class Subnet:
    """One address pool of a network; ``ip_range`` narrows what is handed out, ``auxiliary`` names what never is."""

    subnet: str
    ip_range: str = ""
    gateway: str = ""
    auxiliary: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_ipv6(self) -> bool:
        """Whether this is a pool of IPv6 addresses."""
        return ":" in self.subnet


@dataclass(frozen=True)
class NetworkSpec:
    """A network as asked for; a subnet that is empty is chosen from the agent's pools."""

    name: str
    driver: str = "bridge"
    subnets: tuple[Subnet, ...] = ()
    enable_ipv4: bool = True
    enable_ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    ipam_driver: str = "default"
    ipam_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network that exists. ``link`` is the bridge or parent link on the host, ``created`` is RFC 3339."""

    id: str
    created: str
    spec: NetworkSpec
    link: str = ""
    user_subnet: bool = False

    @property
    def name(self) -> str:
        """The name that a client gave."""
        return self.spec.name

    @property
    def driver(self) -> str:
        """``bridge``, ``macvlan``, ``ipvlan``, ``host`` or ``null``."""
        return self.spec.driver

    @property
    def predefined(self) -> bool:
        """Whether the agent made it for itself."""
        return self.spec.name in PREDEFINED


@dataclass(frozen=True)
class EndpointRequest:
    """How a container asks to be plugged into one network (by name or ID); empty texts are chosen by the agent."""

    network: str
    aliases: tuple[str, ...] = ()
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    gw_priority: int = 0
    driver_options: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    link_local: tuple[str, ...] = ()


@dataclass(frozen=True)
class Endpoint:
    """A container's plug in one network. All its addresses are with prefix length (``10.0.0.2/24``)."""

    id: str
    network_id: str
    network_name: str
    interface: str
    mac: str
    host_link: str = ""
    ipv4: str = ""
    ipv6: str = ""
    gateway4: str = ""
    gateway6: str = ""
    aliases: tuple[str, ...] = ()
    gw_priority: int = 0
    driver_options: Mapping[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    link_local: tuple[str, ...] = ()

    @property
    def address4(self) -> str:
        """The IPv4 address alone."""
        return self.ipv4.partition("/")[0]

    @property
    def address6(self) -> str:
        """The IPv6 address alone."""
        return self.ipv6.partition("/")[0]


@dataclass(frozen=True)
class PortBinding:
    """A published port as asked for: any of ``host_port``…``host_port_last`` (0: any free port) leads to the container.

    ``host_ip`` empty means every address of the host.
    """

    container_port: int
    protocol: str = "tcp"
    host_ip: str = ""
    host_port: int = 0
    host_port_last: int = 0


@dataclass(frozen=True)
class PublishedPort:
    """A published port as it is: exactly one host address (``0.0.0.0`` and ``::`` mean all) and port."""

    container_port: int
    protocol: str
    host_ip: str
    host_port: int


@dataclass(frozen=True)
class Attachment:
    """A container that starts: the network mode, the plugs that it wants and the ports that it publishes.

    ``mode`` is ``default``, ``bridge``, a network's name, ``host``, ``none`` or ``container:ID``. An endpoint request
    for the mode's network may be left out. ``sysctls`` are set inside the new namespace before its links are.
    ``user_namespace`` is the path of the one that the network namespace shall belong to, empty: the host's.
    """

    container_id: str
    name: str
    hostname: str = ""
    mode: str = "default"
    endpoints: tuple[EndpointRequest, ...] = ()
    ports: tuple[PortBinding, ...] = ()
    sysctls: Mapping[str, str] = field(default_factory=dict)
    dns: tuple[str, ...] = ()
    user_namespace: str = ""


@dataclass(frozen=True)
class Sandbox:
    """A started container's network: the namespace by path (None: the host's own), its plugs and its ports.

    ``dns`` are the servers that it asks for names outside of its networks; none: those of the host.
    """

    container_id: str
    name: str
    mode: str
    netns_path: str | None = None
    endpoints: tuple[Endpoint, ...] = ()
    requested_ports: tuple[PortBinding, ...] = ()
    ports: tuple[PublishedPort, ...] = ()
    hostname: str = ""
    dns: tuple[str, ...] = ()
