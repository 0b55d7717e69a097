"""Address management: which subnet a network gets, and which address an endpoint.

All functions are pure: what is taken already is an argument. Subnets of other networks and routes of the host are never
handed out; addresses are handed out lowest first, as Docker does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from pathlib import Path

from wherry.errors import Forbidden, InvalidParameter, Unavailable
from wherry.networks.model import Subnet

Address = IPv4Address | IPv6Address
Block = IPv4Network | IPv6Network

OVERLAP = "Pool overlaps with other one on this address space"
ULA = IPv6Network("fd00::/8")
ULA_SUBNET_BITS = 64
LARGEST_IPV4_SUBNET_PREFIX = 30


@dataclass(frozen=True)
class AddressPool:
    """A block that subnets of one size are cut from (``default-address-pools``)."""

    base: Block
    size: int


DEFAULT_POOLS = (
    AddressPool(IPv4Network("172.17.0.0/16"), 16),
    AddressPool(IPv4Network("172.18.0.0/16"), 16),
    AddressPool(IPv4Network("172.19.0.0/16"), 16),
    AddressPool(IPv4Network("172.20.0.0/14"), 16),
    AddressPool(IPv4Network("172.24.0.0/14"), 16),
    AddressPool(IPv4Network("172.28.0.0/14"), 16),
    AddressPool(IPv4Network("192.168.0.0/16"), 20),
)
"""What dockerd cuts from when its configuration says nothing."""


def parse_subnet(field: str, text: str) -> Block:
    """A subnet in CIDR form without host bits; ``field`` is named in the error."""
    allowed = "a network in CIDR form, like 10.20.0.0/24"
    if "/" not in text:
        raise InvalidParameter("invalid subnet: no prefix length", field=field, value=text, allowed=allowed)
    try:
        return ip_network(text, strict=True)
    except ValueError:
        pass
    try:
        masked = ip_network(text, strict=False)
    except ValueError:
        raise InvalidParameter("invalid subnet", field=field, value=text, allowed=allowed) from None
    raise InvalidParameter(
        "invalid subnet: host bits are set", field=field, value=text, allowed=f"it should be {masked}"
    )


def parse_address(field: str, text: str) -> Address:
    """An address without prefix length."""
    try:
        return ip_address(text)
    except ValueError:
        raise InvalidParameter("invalid IP address", field=field, value=text, allowed="like 10.20.0.5") from None


def validate_subnet(asked: Subnet, field: str) -> Subnet:
    """The pool in canonical form; range, gateway and auxiliary addresses must lie inside it."""
    block = parse_subnet(f"{field}.Subnet", asked.subnet)
    if block.version == 4 and block.prefixlen > LARGEST_IPV4_SUBNET_PREFIX:
        raise InvalidParameter(
            "invalid subnet: no room for a gateway and a container",
            field=f"{field}.Subnet",
            value=asked.subnet,
            allowed=f"a prefix of at most /{LARGEST_IPV4_SUBNET_PREFIX}",
        )
    ip_range = asked.ip_range and str(_inside_range(parse_subnet(f"{field}.IPRange", asked.ip_range), block, field))
    gateway = asked.gateway and str(_inside(f"{field}.Gateway", asked.gateway.partition("/")[0], block))
    auxiliary = {
        name: str(_inside(f"{field}.AuxiliaryAddresses[{name}]", text, block)) for name, text in asked.auxiliary.items()
    }
    return Subnet(str(block), ip_range, gateway, auxiliary)


def with_gateway(subnet: Subnet) -> Subnet:
    """The pool with a gateway: the one given, else the lowest address that is handed out."""
    if subnet.gateway:
        return subnet
    return replace(subnet, gateway=str(next_address(subnet, ())))


def next_address(subnet: Subnet, taken: Collection[str]) -> Address:
    """The lowest free address of the pool; raises Unavailable when there is none."""
    block = ip_network(subnet.subnet)
    pool = ip_network(subnet.ip_range) if subnet.ip_range else block
    reserved = {int(ip_address(text)) for text in (*taken, *subnet.auxiliary.values())}
    reserved.add(int(block.network_address))
    if block.version == 4:
        reserved.add(int(block.broadcast_address))
    if subnet.gateway:
        reserved.add(int(ip_address(subnet.gateway)))
    make = IPv4Address if block.version == 4 else IPv6Address
    for number in range(int(pool.network_address), int(pool.broadcast_address) + 1):
        if number not in reserved:
            return make(number)
    raise Unavailable(f"no available IPv{block.version} addresses on this network's address pools: {pool}")


def claim_address(subnets: Sequence[Subnet], wanted: str, version: int, taken: Collection[str]) -> str:
    """An address with prefix length out of the pools of that IP version: the wanted one, or the lowest free one."""
    pools = [subnet for subnet in subnets if subnet.is_ipv6 == (version == 6)]
    if wanted:
        return _claim_wanted(pools, parse_address(f"IPv{version}Address", wanted), taken)
    failure: Unavailable | None = None
    for subnet in pools:
        try:
            return f"{next_address(subnet, taken)}/{ip_network(subnet.subnet).prefixlen}"
        except Unavailable as error:
            failure = failure or error
    raise failure or Unavailable(f"the network has no IPv{version} subnet")


def _claim_wanted(pools: Iterable[Subnet], wanted: Address, taken: Collection[str]) -> str:
    for subnet in pools:
        block = ip_network(subnet.subnet)
        if wanted not in block:
            continue
        ends = {block.network_address, block.broadcast_address} if block.version == 4 else {block.network_address}
        if wanted in ends or str(wanted) in {*taken, subnet.gateway}:
            raise Forbidden("Address already in use")
        return f"{wanted}/{block.prefixlen}"
    raise InvalidParameter(f"invalid address {wanted}: It does not belong to any of this network's subnets")


def check_overlap(subnets: Sequence[Subnet], taken: Iterable[Block]) -> None:
    """Refuses pools that overlap one another or a block that another network has."""
    blocks: list[Block] = list(taken)
    for subnet in subnets:
        block = ip_network(subnet.subnet)
        if any(overlaps(block, other) for other in blocks):
            raise Forbidden(f"invalid pool request: {OVERLAP}", field="Subnet", value=subnet.subnet)
        blocks.append(block)


def choose_subnet(pools: Sequence[AddressPool], taken: Collection[Block], version: int = 4) -> Subnet:
    """The first subnet of the pools that overlaps nothing taken (other networks, routes of the host)."""
    for pool in pools:
        if pool.base.version != version:
            continue
        for block in pool.base.subnets(new_prefix=pool.size):
            if not any(overlaps(block, other) for other in taken):
                return Subnet(str(block))
    raise Unavailable(
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults "
        "to assign to the network"
    )


def unique_local_subnet(network_id: str) -> Subnet:
    """A /64 out of fd00::/8 whose 40 bits of global identifier and 16 of subnet come from the ID (RFC 4193, 3.2)."""
    number = int(ULA.network_address) | (int(network_id[:14], 16) << ULA_SUBNET_BITS)
    return Subnet(str(IPv6Network((number, ULA_SUBNET_BITS))))


def overlaps(one: Block, other: Block) -> bool:
    """Whether two blocks of any IP versions share an address."""
    if isinstance(one, IPv4Network) and isinstance(other, IPv4Network):
        return one.overlaps(other)
    if isinstance(one, IPv6Network) and isinstance(other, IPv6Network):
        return one.overlaps(other)
    return False


def host_routes(proc_net: Path = Path("/proc/net"), *, without: Collection[str] = ()) -> list[Block]:
    """The IPv4 destinations that the host routes to, default route left out; links in ``without`` do not count.

    Read from /proc/net/route: the main table, where the networks of the host's own links are too.
    """
    blocks: list[Block] = []
    for line in (proc_net / "route").read_text(encoding="ascii").splitlines()[1:]:
        link, destination, *_rest = line.split()
        mask = _rest[5]
        if link in without or int(mask, 16) == 0:
            continue
        blocks.append(IPv4Network((_little_endian(destination), bin(int(mask, 16)).count("1")), strict=False))
    return blocks


def mac_for(address: str) -> str:
    """A locally administered MAC that follows from an IPv4 address, so that a reused address keeps its MAC."""
    return "02:42:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def auxiliary_addresses(subnets: Iterable[Subnet]) -> Mapping[str, str]:
    """All reserved addresses by name."""
    return {name: text for subnet in subnets for name, text in subnet.auxiliary.items()}


def _little_endian(text: str) -> int:
    return int.from_bytes(bytes.fromhex(text), "little")


def _inside(field: str, text: str, block: Block) -> Address:
    address = parse_address(field, text)
    if address not in block:
        raise InvalidParameter("not in the subnet", field=field, value=text, allowed=f"an address of {block}")
    return address


def _inside_range(pool: Block, block: Block, field: str) -> Block:
    fits = overlaps(pool, block) and pool.prefixlen >= block.prefixlen
    if not fits:
        raise InvalidParameter(
            "not in the subnet", field=f"{field}.IPRange", value=str(pool), allowed=f"a part of {block}"
        )
    return pool
