"""Published ports: who reaches them, and who does not."""

from __future__ import annotations

import json
import sys

import pytest

from tests.integration.networks.topology import HOST_ADDRESS, NEIGHBOUR_ADDRESS, Host, Namespaces, RemoteError

WEB = [{"container_port": 80, "host_port": 8080}, {"container_port": 80, "protocol": "udp", "host_port": 8080}]


@pytest.mark.parametrize("bridge_netfilter", [False, True])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_published_port_is_reached_from_everywhere(
    host: Host, neighbour: Namespaces, protocol: str, bridge_netfilter: bool
) -> None:
    host.bridge_netfilter(bridge_netfilter)
    web = host.container("web", ports=WEB)
    other = host.container("other")
    web.serve("web", 80)
    gateway = "172.17.0.1"

    assert neighbour.ask(HOST_ADDRESS, 8080, protocol) == f"web {NEIGHBOUR_ADDRESS}"
    assert host.ask("127.0.0.1", 8080, protocol) == f"web {gateway}"
    assert host.ask(HOST_ADDRESS, 8080, protocol) == f"web {HOST_ADDRESS}"
    assert host.ask(gateway, 8080, protocol) == f"web {gateway}"
    assert web.ask(HOST_ADDRESS, 8080, protocol) == f"web {gateway}"  # hairpin, by way of the host
    caller = other.address if bridge_netfilter else gateway  # bridged, not routed, with br_netfilter
    assert other.ask(HOST_ADDRESS, 8080, protocol) == f"web {caller}"
    assert other.ask(web.address, 80, protocol) == f"web {other.address}"


def test_a_container_of_another_network_reaches_a_published_port_and_nothing_else(
    host: Host, neighbour: Namespaces
) -> None:
    host.call("create", name="other")
    web = host.container("web", ports=WEB[:1])
    far = host.container("far", "other")
    web.serve("web", 80, 81)

    assert far.ask(HOST_ADDRESS, 8080) is not None
    assert far.ask(web.address, 80) is None
    assert far.ask(web.address, 81) is None


def test_a_neighbour_cannot_route_to_an_unpublished_port(host: Host, neighbour: Namespaces) -> None:
    web = host.container("web", ports=WEB[:1])
    web.serve("web", 80, 81)
    neighbour.run("ip", "route", "add", "172.17.0.0/16", "via", HOST_ADDRESS)

    assert neighbour.ask(HOST_ADDRESS, 8080) is not None
    assert neighbour.ask(web.address, 81) is None
    assert neighbour.ask(web.address, 80) is None, "a published port is published on the host, not on the container"
    assert neighbour.ask(web.address, 81, "udp") is None


def test_a_port_published_on_loopback_is_the_hosts_alone(host: Host, neighbour: Namespaces) -> None:
    private = [{"container_port": 80, "host_ip": "127.0.0.1", "host_port": 8080}]
    web = host.container("web", ports=private)
    other = host.container("other")
    web.serve("web", 80)
    # The worst neighbour, and a host that is told to route its loopback on every link.
    host.run("sysctl", "-w", "net.ipv4.conf.all.route_localnet=1")
    neighbour.run("ip", "link", "set", "lo", "down")
    neighbour.run("sysctl", "-w", "net.ipv4.conf.all.route_localnet=1")
    neighbour.run("ip", "route", "replace", "127.0.0.0/8", "via", HOST_ADDRESS, "dev", "eth0", "src", NEIGHBOUR_ADDRESS)
    neighbour.run("ip", "rule", "add", "pref", "1", "to", "127.0.0.0/8", "lookup", "main")
    neighbour.run("ip", "rule", "del", "pref", "0")
    neighbour.run("ip", "rule", "add", "pref", "100", "lookup", "local")

    assert host.ask("127.0.0.1", 8080) is not None
    assert neighbour.ask("127.0.0.1", 8080) is None
    assert neighbour.ask(HOST_ADDRESS, 8080) is None
    assert other.ask("172.17.0.1", 8080) is None


def test_services_on_the_hosts_loopback_stay_out_of_reach_of_containers(host: Host) -> None:
    box = host.container("box")
    host.serve("host", 9000)
    box.run("ip", "link", "set", "lo", "down")
    box.run("sysctl", "-w", "net.ipv4.conf.all.route_localnet=1")
    box.run("ip", "rule", "add", "pref", "1", "to", "127.0.0.0/8", "lookup", "100")
    box.run("ip", "route", "add", "127.0.0.0/8", "via", "172.17.0.1", "table", "100")
    box.run("ip", "rule", "del", "pref", "0")
    box.run("ip", "rule", "add", "pref", "100", "lookup", "local")

    assert box.ask("172.17.0.1", 9000) is not None
    assert box.ask("127.0.0.1", 9000) is None


def test_a_port_of_another_container_is_refused_before_anything_starts(host: Host) -> None:
    host.container("web", ports=WEB[:1])
    before = host.links()

    with pytest.raises(
        RemoteError,
        match=r"driver failed programming external connectivity on endpoint late .*: "
        r"Bind for 0\.0\.0\.0:8080 failed: port is already allocated",
    ):
        host.container("late", ports=WEB[:1])

    assert host.links() == before


def test_a_port_of_a_process_is_refused_before_anything_starts(host: Host) -> None:
    host.serve("process", 8080)

    with pytest.raises(RemoteError, match=r"Bind for 127\.0\.0\.1:8080 failed: port is already allocated"):
        host.container("web", ports=[{"container_port": 80, "host_ip": "127.0.0.1", "host_port": 8080}])

    assert host.call("list") == ["host", "none", "bridge"]
    assert host.links() == {"lo"}


def test_a_port_is_free_again_when_its_container_has_gone(host: Host) -> None:
    web = host.container("web", ports=WEB)
    web.serve("web", 80)
    for number in range(5):
        host.call("detach", container_id=web.id)
        web = host.container(f"next{number}", ports=WEB)
    web.serve("last", 80)

    assert host.ask("127.0.0.1", 8080, timeout=3) == "last 172.17.0.1"
    host.call("detach", container_id=web.id)
    assert host.ask("127.0.0.1", 8080) is None


STREAM = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(1)
one.connect((sys.argv[1], 8080))
for line in sys.stdin:
    one.send(b"?")
    try:
        print(one.recv(100).decode(), flush=True)
    except OSError:
        print("nothing", flush=True)
"""


def test_a_client_that_never_stops_sending_reaches_whoever_has_the_port_now(host: Host, neighbour: Namespaces) -> None:
    client = neighbour.start(sys.executable, "-S", "-c", STREAM, HOST_ADDRESS)

    def ask() -> str:
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdin.write("\n")
        client.stdin.flush()
        return client.stdout.readline().split()[0]

    assert ask() == "nothing"
    first = host.container("first", ports=WEB)
    first.serve("first", 80)
    assert ask() == "first"
    host.container("keeper")  # so that the next container gets another address
    host.call("detach", container_id=first.id)
    host.container("filler")
    second = host.container("second", ports=WEB)
    second.serve("second", 80)
    assert second.address != first.address
    assert ask() == "second"


def test_a_port_without_a_number_is_chosen_from_the_ephemeral_range(host: Host) -> None:
    web = host.container("web", ports=[{"container_port": 80}, {"container_port": 81}])
    web.serve("web", 80, 81)
    low, high = map(int, host.sysctl("net.ipv4.ip_local_port_range").split())

    assert low <= web.port(80) <= high
    assert web.port(80) != web.port(81)
    assert host.ask("127.0.0.1", web.port(81)) is not None


def test_a_range_takes_the_first_free_port(host: Host) -> None:
    some = [{"container_port": 80, "host_port": 8000, "host_port_last": 8001}]

    assert host.container("one", ports=some).port() == 8000
    assert host.container("two", ports=some).port() == 8001
    with pytest.raises(RemoteError, match="port is already allocated"):
        host.container("three", ports=some)


def test_a_port_is_published_on_the_hosts_ipv6_addresses_too(host: Host, neighbour: Namespaces) -> None:
    host.call("create", name="six", enable_ipv6=True)
    web = host.container("web", "six", ports=WEB[:1])
    web.serve("web", 80)
    host.run("ip", "address", "add", "2001:db8::1/64", "dev", "eth0", "nodad")
    neighbour.run("ip", "address", "add", "2001:db8::2/64", "dev", "eth0", "nodad")

    assert neighbour.ask("2001:db8::1", 8080) == "web 2001:db8::2"
    assert neighbour.ask(HOST_ADDRESS, 8080) is not None


def test_established_connections_to_a_routed_network_need_no_translation(host: Host, neighbour: Namespaces) -> None:
    options = {"com.docker.network.bridge.gateway_mode_ipv4": "routed"}
    host.call("create", name="routed", subnets=[{"subnet": "10.77.0.0/24"}], options=options)
    web = host.container("web", "routed", ports=[{"container_port": 80, "host_port": 8080}])
    web.serve("web", 80, 81)
    neighbour.serve("neighbour", 9000)
    neighbour.run("ip", "route", "add", "10.77.0.0/24", "via", HOST_ADDRESS)

    assert neighbour.ask(web.address, 80) == f"web {NEIGHBOUR_ADDRESS}"
    assert neighbour.ask(web.address, 81) is None
    assert neighbour.ask(HOST_ADDRESS, 8080) is None
    assert web.ask(NEIGHBOUR_ADDRESS, 9000) == f"neighbour {web.address}"


def test_the_table_has_one_element_for_each_port_and_no_rule(host: Host) -> None:
    host.container("one")
    rules = host.rules().count("dnat ")
    host.container("two", ports=[{"container_port": port, "host_port": port} for port in range(9000, 9050)])

    assert host.rules().count("dnat ") == rules
    listed = json.loads(host.run("nft", "-j", "list", "map", "inet", host.instance, "ports4").stdout)
    assert len(listed["nftables"][-1]["map"]["elem"]) == 50
