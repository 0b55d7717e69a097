"""The text of Wherry's nftables table: one table of its own, maps and sets instead of a rule for each port.

``tests/unit/networks/testdata`` holds what these templates give for known networks and ports. Why each rule stands is
said beside it; docs/networking.md shows the path of a packet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from string import Template

TABLE = Template("""\
table inet $table
delete table inet $table
table inet $table {
	comment "made by wherryd; changes made here are overwritten"

	# Published ports: on every address of the host, and on one address.
	map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; $ports4 }
	map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; $ports6 }
	map bound4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; $bound4 }
	map bound6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; $bound6 }

	# Containers with published ports, paired with themselves.
	set selves4 { type ipv4_addr . ipv4_addr; $selves4 }
	set selves6 { type ipv6_addr . ipv6_addr; $selves6 }

	# Published ports of networks without address translation.
	set open4 { type ipv4_addr . inet_proto . inet_service; $open4 }
	set open6 { type ipv6_addr . inet_proto . inet_service; $open6 }

	# Bridges, those that are internal, the pairs (bridge, same bridge), and those pairs that may talk to one another.
	set bridges { type ifname; $bridges }
	set internals { type ifname; $internals }
	set loops { type ifname . ifname; $loops }
	set talking { type ifname . ifname; $talking }

	# Whose packets leave with the host's address.
	set masquerade4 { type ifname . ipv4_addr; flags interval; $masquerade4 }
	set masquerade6 { type ifname . ipv6_addr; flags interval; $masquerade6 }

	chain to_nat {
		ct state established,related accept
		iifname . oifname @talking accept
		ct status dnat accept
		drop
	}

	chain to_routed {
		ct state established,related accept
		iifname . oifname @talking accept
		meta l4proto { icmp, ipv6-icmp } accept
		meta l4proto { tcp, udp, sctp } ip daddr . meta l4proto . th dport @open4 accept
		meta l4proto { tcp, udp, sctp } ip6 daddr . meta l4proto . th dport @open6 accept
		drop
	}

	chain internal {
		iifname . oifname @talking accept
		drop
	}

	map entering { type ifname : verdict; $entering }

	chain publish {
		meta l4proto { tcp, udp, sctp } dnat ip to ip daddr . meta l4proto . th dport map @bound4
		meta l4proto { tcp, udp, sctp } dnat ip to meta l4proto . th dport map @ports4
		meta l4proto { tcp, udp, sctp } dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
		meta l4proto { tcp, udp, sctp } dnat ip6 to meta l4proto . th dport map @ports6
	}

	# The bridges route 127.0.0.0/8 (route_localnet), so nobody else may send to it: neither container nor neighbour.
	chain protect_loopback {
		type filter hook prerouting priority raw; policy accept;
		iifname != "lo" ip daddr 127.0.0.0/8 drop
	}

	chain from_outside {
		type nat hook prerouting priority dstnat; policy accept;
		ip daddr 127.0.0.0/8 return
		iifname @internals return
		fib daddr type local jump publish
	}

	chain from_host {
		type nat hook output priority -100; policy accept;
		fib daddr type local jump publish
	}

	# A container that reaches one of its own network by a published port must see the answer come by the host. With
	# br_netfilter such packets stay in the bridge, where only those to the container itself need it.
	chain sources {
		type nat hook postrouting priority srcnat; policy accept;
		iifname . oifname @loops ct status dnat masquerade
		ip saddr . ip daddr @selves4 masquerade
		ip6 saddr . ip6 daddr @selves6 masquerade
		iifname . oifname @loops return
		iifname . ip saddr @masquerade4 masquerade
		iifname . ip6 saddr @masquerade6 masquerade
		ip saddr 127.0.0.0/8 oifname @bridges masquerade
	}

	chain forwarding {
		type filter hook forward priority filter; policy accept;
		iifname @internals jump internal
		oifname vmap @entering$guard
	}
}
""")

GUARD = """
		# Forwarding was off before Wherry switched it on: the host does not become a router for others by that.
		meta iifkind != "bridge" meta oifkind != "bridge" drop"""


@dataclass(frozen=True)
class BridgeRules:
    """What the table must know of one bridge network. ``mode4`` and ``mode6`` are ``nat`` or ``routed``."""

    link: str
    subnets: tuple[str, ...] = ()
    masquerade: bool = True
    icc: bool = True
    internal: bool = False
    mode4: str = "nat"
    mode6: str = "nat"

    @property
    def chain(self) -> str:
        """The chain that decides on packets towards its containers."""
        if self.internal:
            return "internal"
        return "to_routed" if "routed" in {self.mode4, self.mode6} else "to_nat"


@dataclass(frozen=True)
class PortRule:
    """One published port; ``host_ip`` ``0.0.0.0`` or ``::`` is every address. ``routed``: opened, not translated."""

    protocol: str
    host_ip: str
    host_port: int
    container_ip: str
    container_port: int
    routed: bool = False


Element = tuple[str, str]
"""The name of a set or map, and one element of it."""


def bridge_elements(bridge: BridgeRules) -> list[Element]:
    """The elements that stand for a bridge."""
    pair = f'"{bridge.link}" . "{bridge.link}"'
    elements = [
        ("bridges", f'"{bridge.link}"'),
        ("loops", pair),
        ("entering", f'"{bridge.link}" : jump {bridge.chain}'),
    ]
    if bridge.icc:
        elements.append(("talking", pair))
    if bridge.internal:
        elements.append(("internals", f'"{bridge.link}"'))
    for subnet in bridge.subnets:
        version, mode = ("6", bridge.mode6) if ":" in subnet else ("4", bridge.mode4)
        if bridge.masquerade and not bridge.internal and mode == "nat":
            elements.append((f"masquerade{version}", f'"{bridge.link}" . {subnet}'))
    return elements


def port_elements(port: PortRule) -> list[Element]:
    """The elements that stand for a published port; ports of one container share some."""
    version = "6" if ":" in port.container_ip else "4"
    if port.routed:
        return [(f"open{version}", f"{port.container_ip} . {port.protocol} . {port.container_port}")]
    key = f"{port.protocol} . {port.host_port}"
    target = f"{port.container_ip} . {port.container_port}"
    itself = (f"selves{version}", f"{port.container_ip} . {port.container_ip}")
    if port.host_ip in {"0.0.0.0", "::"}:
        return [(f"ports{version}", f"{key} : {target}"), itself]
    return [(f"bound{version}", f"{port.host_ip} . {key} : {target}"), itself]


def whole_table(table: str, bridges: Iterable[BridgeRules], ports: Iterable[PortRule], *, guard: bool) -> str:
    """A transaction that replaces the table, or makes it."""
    elements = [element for bridge in bridges for element in bridge_elements(bridge)]
    elements += [element for port in ports for element in port_elements(port)]
    return TABLE.substitute(
        {name: _initial([text for where, text in dict.fromkeys(elements) if where == name]) for name in _SETS},
        table=table,
        guard=GUARD if guard else "",
    )


def element_change(verb: str, table: str, elements: Sequence[Element]) -> str:
    """A transaction that adds or deletes (``verb``) elements."""
    grouped: dict[str, list[str]] = {}
    for where, text in elements:
        grouped.setdefault(where, []).append(text)
    return "".join(
        f"{verb} element inet {table} {where} {{ {', '.join(texts)} }}\n" for where, texts in grouped.items()
    )


def remove_table(table: str) -> str:
    """A transaction after which the table is gone, whether it was there or not."""
    return f"table inet {table}\ndelete table inet {table}\n"


_SETS = (
    "ports4", "ports6", "bound4", "bound6", "selves4", "selves6", "open4", "open6", "bridges", "internals", "loops",
    "talking", "masquerade4", "masquerade6", "entering",
)  # fmt: skip


def _initial(texts: Sequence[str]) -> str:
    return f"elements = {{ {', '.join(texts)} }}" if texts else ""
