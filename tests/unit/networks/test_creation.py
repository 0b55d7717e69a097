"""Networks as asked for: what is settled, what is refused."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from wherry.config import AddressPool, Config
from wherry.errors import Conflict, Forbidden, InvalidParameter, NotFound, Unsupported, WherryError
from wherry.networks import creation
from wherry.networks.creation import Surroundings
from wherry.networks.model import Network, NetworkSpec, Subnet

CONFIG = Config()
APP = Network("a" * 64, "", NetworkSpec("app", subnets=(Subnet("10.5.0.0/24", gateway="10.5.0.1"),)), "wherry-aaaa")
AROUND = Surroundings([APP], [IPv4Network("172.17.0.0/16")], {"lo", "eth0"})


def settle(spec: NetworkSpec, config: Config = CONFIG) -> Network:
    return creation.settle(spec, AROUND, config, "wherry")


def test_a_network_gets_a_free_subnet_a_gateway_and_a_link_of_the_instance() -> None:
    network = settle(NetworkSpec("web"))

    assert network.spec.subnets == (Subnet("172.18.0.0/16", gateway="172.18.0.1"),)
    assert network.link.startswith("wherry-")
    assert len(network.link) <= 15
    assert not network.user_subnet


def test_configured_pools_replace_the_defaults() -> None:
    config = Config(default_address_pools=(AddressPool("10.4.0.0/15", 24),))

    assert settle(NetworkSpec("web"), config).spec.subnets[0].subnet == "10.4.0.0/24"


def test_ipv6_without_a_subnet_gets_a_unique_local_one() -> None:
    network = settle(NetworkSpec("web", enable_ipv6=True))

    assert [subnet.is_ipv6 for subnet in network.spec.subnets] == [False, True]
    assert network.spec.subnets[1].subnet.startswith("fd")


def test_macvlan_without_a_parent_is_internal() -> None:
    assert settle(NetworkSpec("lan", driver="macvlan")).spec.internal
    assert not settle(NetworkSpec("lan", driver="macvlan", options={"parent": "eth0"})).spec.internal


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        (NetworkSpec("app"), Conflict, "network with name app already exists"),
        (NetworkSpec("bridge"), Forbidden, "operation is not permitted on predefined bridge network"),
        (NetworkSpec("a/b"), InvalidParameter, "invalid network name"),
        (NetworkSpec("x", driver="host"), Forbidden, 'only one instance of "host" network is allowed'),
        (NetworkSpec("x", driver="weave"), NotFound, "could not find plugin weave in v1 plugin registry"),
        (NetworkSpec("x", driver="overlay"), Unsupported, "driver=overlay"),
        (NetworkSpec("x", driver="ipvlan"), Unsupported, "driver=ipvlan"),
        (NetworkSpec("x", ipam_driver="dhcp"), Unsupported, "IPAM driver dhcp"),
        (NetworkSpec("x", subnets=(Subnet("10.5.0.128/25"),)), Forbidden, "Pool overlaps with other one"),
        (NetworkSpec("x", subnets=(Subnet("", gateway="10.0.0.1"),)), InvalidParameter, "invalid subnet"),
        (NetworkSpec("x", subnets=(Subnet("fd00::/64"),)), InvalidParameter, "IPv6 is not enabled"),
        (NetworkSpec("x", options={"com.docker.network.bridge.colour": "red"}), Unsupported, "bridge.colour"),
        (NetworkSpec("x", options={"com.docker.network.bridge.enable_icc": "maybe"}), InvalidParameter, "maybe"),
        (NetworkSpec("x", options={"com.docker.network.driver.mtu": "1"}), InvalidParameter, "68 to 65535"),
        (NetworkSpec("x", options={"com.docker.network.bridge.name": "eth0"}), Conflict, "eth0"),
        (NetworkSpec("x", options={"com.docker.network.bridge.name": "a/b"}), InvalidParameter, "1 to 15 characters"),
        (
            NetworkSpec("x", options={"com.docker.network.bridge.gateway_mode_ipv4": "isolated"}),
            Unsupported,
            "isolated",
        ),
        (NetworkSpec("x", driver="macvlan", options={"macvlan_mode": "fast"}), InvalidParameter, "passthru"),
        (NetworkSpec("x", enable_ipv4=False), InvalidParameter, "IPv4 or IPv6 must be enabled"),
    ],
)
def test_what_cannot_be_is_refused_by_name(spec: NetworkSpec, kind: type[WherryError], words: str) -> None:
    with pytest.raises(kind) as refused:
        settle(spec)

    assert words in str(refused.value)


def test_the_default_bridge_follows_the_configuration() -> None:
    plain = creation.default_bridge(None, AROUND, CONFIG, "wherry")
    moved = creation.default_bridge(plain, AROUND, Config(bip="10.1.1.1/24", fixed_cidr="10.1.1.128/25"), "wherry")

    assert plain.link == "wherry0"
    assert plain.spec.subnets[0].subnet == "172.18.0.0/16"
    assert moved.id == plain.id
    assert moved.spec.subnets == (Subnet("10.1.1.0/24", "10.1.1.128/25", "10.1.1.1"),)
