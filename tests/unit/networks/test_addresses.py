"""Address management: what is handed out, what never is, and what is refused with which words."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from wherry.errors import Forbidden, InvalidParameter, Unavailable
from wherry.networks import addresses
from wherry.networks.addresses import AddressPool
from wherry.networks.model import Subnet

SMALL = Subnet("10.0.0.0/29", gateway="10.0.0.1", auxiliary={"printer": "10.0.0.3"})


def test_the_lowest_free_address_is_taken_and_reserved_ones_never() -> None:
    taken: list[str] = []
    while True:
        try:
            taken.append(str(addresses.next_address(SMALL, taken)))
        except Unavailable as error:
            assert "no available IPv4 addresses on this network's address pools: 10.0.0.0/29" in str(error)
            break

    assert taken == ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]


def test_an_address_given_back_is_taken_again() -> None:
    assert str(addresses.next_address(SMALL, ["10.0.0.4"])) == "10.0.0.2"
    assert str(addresses.next_address(SMALL, ["10.0.0.2"])) == "10.0.0.4"


def test_a_range_bounds_what_is_chosen_but_not_what_is_asked_for() -> None:
    pool = addresses.validate_subnet(Subnet("10.0.0.0/16", ip_range="10.0.5.0/30", gateway="10.0.0.1"), "Config[0]")

    assert addresses.claim_address([pool], "", 4, ()) == "10.0.5.0/16"
    assert addresses.claim_address([pool], "10.0.9.9", 4, ()) == "10.0.9.9/16"
    with pytest.raises(Unavailable):
        addresses.claim_address([pool], "", 4, [f"10.0.5.{last}" for last in range(4)])


def test_a_full_pool_makes_room_for_the_next() -> None:
    pools = [SMALL, Subnet("10.1.0.0/24", gateway="10.1.0.1")]
    taken = ["10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]

    assert addresses.claim_address(pools, "", 4, taken) == "10.1.0.2/24"


@pytest.mark.parametrize("wanted", ["10.0.0.0", "10.0.0.1", "10.0.0.7", "10.0.0.2"])
def test_an_address_that_has_an_owner_is_refused(wanted: str) -> None:
    with pytest.raises(Forbidden, match="Address already in use"):
        addresses.claim_address([SMALL], wanted, 4, ["10.0.0.2"])


def test_an_address_of_another_subnet_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="It does not belong to any of this network's subnets"):
        addresses.claim_address([SMALL], "10.9.0.2", 4, ())


@pytest.mark.parametrize(
    ("subnet", "words"),
    [
        (Subnet("10.0.0.0"), 'Config[0].Subnet: "10.0.0.0": invalid subnet'),
        (Subnet("10.0.0.5/24"), "it should be 10.0.0.0/24"),
        (Subnet("10.0.0.0/33"), 'Config[0].Subnet: "10.0.0.0/33": invalid subnet'),
        (Subnet("nonsense/8"), 'Config[0].Subnet: "nonsense/8": invalid subnet'),
        (Subnet("10.0.0.0/31"), "a prefix of at most /30"),
        (Subnet("10.0.0.0/24", gateway="10.0.1.1"), 'Config[0].Gateway: "10.0.1.1": not in the subnet'),
        (Subnet("10.0.0.0/24", ip_range="10.0.0.0/16"), 'Config[0].IPRange: "10.0.0.0/16": not in the subnet'),
        (Subnet("10.0.0.0/24", auxiliary={"x": "fd00::1"}), "Config[0].AuxiliaryAddresses[x]"),
    ],
)
def test_a_subnet_that_cannot_be_is_refused_by_field_and_value(subnet: Subnet, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        addresses.validate_subnet(subnet, "Config[0]")

    assert words in str(refused.value)


def test_pools_that_overlap_are_refused() -> None:
    with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
        addresses.check_overlap([Subnet("10.0.0.0/24")], [IPv4Network("10.0.0.0/8")])
    with pytest.raises(Forbidden, match="Pool overlaps with other one on this address space"):
        addresses.check_overlap([Subnet("10.0.0.0/24"), Subnet("10.0.0.128/25")], [])
    addresses.check_overlap([Subnet("10.0.0.0/24"), Subnet("10.0.1.0/24"), Subnet("fd00::/64")], [])


def test_a_subnet_is_chosen_beside_networks_and_routes() -> None:
    taken = [IPv4Network("172.17.0.0/16"), IPv4Network("172.18.5.0/24"), IPv4Network("172.16.0.0/15")]

    assert addresses.choose_subnet(addresses.DEFAULT_POOLS, taken).subnet == "172.19.0.0/16"


def test_pools_run_out() -> None:
    pool = AddressPool(IPv4Network("10.0.0.0/23"), 24)

    assert addresses.choose_subnet([pool], [IPv4Network("10.0.0.0/24")]).subnet == "10.0.1.0/24"
    with pytest.raises(Unavailable, match="could not find an available, non-overlapping IPv4 address pool"):
        addresses.choose_subnet([pool], [IPv4Network("10.0.0.0/8")])


def test_routes_of_the_host_are_read_without_the_default_route(tmp_path: Path) -> None:
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "own0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )

    assert addresses.host_routes(tmp_path, without={"own0"}) == [IPv4Network("192.0.2.0/24")]


def test_a_unique_local_subnet_follows_from_the_network() -> None:
    assert addresses.unique_local_subnet("0123456789abcdef" * 4).subnet == "fd01:2345:6789:abcd::/64"


def test_the_mac_follows_from_the_address() -> None:
    assert addresses.mac_for("172.17.0.2") == "02:42:ac:11:00:02"
