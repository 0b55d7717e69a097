"""Who reaches whom between networks."""

from __future__ import annotations

import pytest

from tests.integration.networks.topology import HOST_ADDRESS, NEIGHBOUR_ADDRESS, Host, Namespaces


def test_containers_of_one_network_talk_and_those_of_two_do_not(host: Host) -> None:
    for name in ("red", "blue"):
        host.call("create", name=name, enable_ipv6=True)
    red, mate, blue = host.container("red1", "red"), host.container("red2", "red"), host.container("blue1", "blue")
    red.serve("red1", 80)
    address6 = red.record["endpoints"][0]["ipv6"].partition("/")[0]

    assert mate.ask(red.address, 80) is not None
    assert mate.ask(address6, 80) is not None
    for protocol in ("tcp", "udp"):
        assert blue.ask(red.address, 80, protocol) is None
        assert blue.ask(address6, 80, protocol) is None


def test_a_container_leaves_by_the_hosts_address(host: Host, neighbour: Namespaces) -> None:
    neighbour.serve("neighbour", 9000)

    assert host.container("box").ask(NEIGHBOUR_ADDRESS, 9000) == f"neighbour {HOST_ADDRESS}"


def test_without_masquerade_a_container_keeps_its_own_address(host: Host, neighbour: Namespaces) -> None:
    options = {"com.docker.network.bridge.enable_ip_masquerade": "false"}
    host.call("create", name="plain", subnets=[{"subnet": "10.77.0.0/24"}], options=options)
    neighbour.run("ip", "route", "add", "10.77.0.0/24", "via", HOST_ADDRESS)
    neighbour.serve("neighbour", 9000)
    box = host.container("box", "plain")

    assert box.ask(NEIGHBOUR_ADDRESS, 9000) == f"neighbour {box.address}"


def test_icc_false_keeps_containers_of_one_network_apart(host: Host, neighbour: Namespaces) -> None:
    # With br_netfilter a published port of a neighbour is bridged, not routed, and isolation covers it as well.
    host.bridge_netfilter(False)
    host.call("create", name="apart", options={"com.docker.network.bridge.enable_icc": "false"})
    one, two = host.container("one", "apart"), host.container("two", "apart", ports=[{"container_port": 81}])
    one.serve("one", 80)
    two.serve("two", 81)
    neighbour.serve("neighbour", 9000)

    assert two.ask(one.address, 80) is None
    assert two.ask(NEIGHBOUR_ADDRESS, 9000) is not None
    assert one.ask(HOST_ADDRESS, two.port(81)) is not None


def test_an_internal_network_reaches_nothing_outside_and_is_not_reached(host: Host, neighbour: Namespaces) -> None:
    host.call("create", name="inner", internal=True)
    one, two = host.container("one", "inner"), host.container("two", "inner")
    outer = host.container("outer", ports=[{"container_port": 82, "host_port": 8082}])
    one.serve("one", 80)
    outer.serve("outer", 82)
    neighbour.serve("neighbour", 9000)
    subnet = two.record["endpoints"][0]["ipv4"]
    neighbour.run("ip", "route", "add", subnet.rpartition(".")[0].rpartition(".")[0] + ".0.0/16", "via", HOST_ADDRESS)
    for box in (one, two):  # a container that sets its own way out gains nothing
        box.run("ip", "route", "add", "default", "via", one.address.rpartition(".")[0] + ".1")

    assert two.ask(one.address, 80) is not None
    assert two.ask(NEIGHBOUR_ADDRESS, 9000) is None
    assert two.ask(outer.address, 82) is None
    assert two.ask(HOST_ADDRESS, 8082) is None
    assert neighbour.ask(one.address, 80) is None
    assert outer.ask(one.address, 80) is None


def test_a_router_advertisement_of_a_container_changes_no_route_of_the_host(host: Host) -> None:
    host.call("create", name="six", enable_ipv6=True)
    box = host.container("box", "six")
    bridge = next(name for name in host.links() if name.startswith(f"{host.instance}-"))
    veth = box.record["endpoints"][0]["host_link"]

    assert host.sysctl(f"net.ipv6.conf.{bridge}.accept_ra") == "0"
    assert host.sysctl(f"net.ipv6.conf.{veth}.disable_ipv6") == "1"
    assert box.run("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").stdout.strip() == "0"


def test_forwarding_that_was_off_is_not_opened_for_others(host: Host, neighbour: Namespaces) -> None:
    assert host.sysctl("net.ipv4.ip_forward") == "0"
    host.container("box")
    assert host.sysctl("net.ipv4.ip_forward") == "1"
    far = Namespaces()
    try:
        host.run("ip", "link", "add", "eth1", "type", "veth", "peer", "name", "eth0", "netns", str(far.pid))
        for node, link, address in ((host, "eth1", "198.51.100.1/24"), (far, "eth0", "198.51.100.2/24")):
            node.run("ip", "address", "add", address, "dev", link)
            node.run("ip", "link", "set", link, "up")
        far.run("ip", "route", "add", "default", "via", "198.51.100.1")
        neighbour.run("ip", "route", "add", "198.51.100.0/24", "via", HOST_ADDRESS)
        far.serve("far", 9000)

        assert host.ask("198.51.100.2", 9000) is not None
        assert neighbour.ask("198.51.100.2", 9000) is None
    finally:
        far.end()


@pytest.mark.parametrize("mode", ["none", "host"])
def test_modes_without_a_network_of_their_own(host: Host, mode: str) -> None:
    box = host.container("box", mode)

    links = {line.split(":")[1].strip() for line in box.run("ip", "-o", "link").stdout.splitlines()}
    assert links == {"lo"}
    assert (box.record["netns_path"] is None) == (mode == "host")


def test_a_container_joins_the_network_of_another(host: Host) -> None:
    web = host.container("web")
    web.serve("web", 80)
    joined = host.container("joined", f"container:{web.id}")

    assert joined.ask("127.0.0.1", 80) == "web 127.0.0.1"
    host.call("detach", container_id=joined.id)
    assert host.ask(web.address, 80) is not None
