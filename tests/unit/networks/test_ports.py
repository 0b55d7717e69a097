"""Published ports: which host ports are chosen, and when one is refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from wherry.errors import InvalidParameter, Unsupported
from wherry.networks import ports
from wherry.networks.model import PortBinding, PublishedPort


def free(_port: PublishedPort) -> bool:
    return True


def publish(
    bindings: Sequence[PortBinding],
    taken: Sequence[PublishedPort] = (),
    probe: Callable[[PublishedPort], bool] = free,
    ipv6: bool = False,
) -> tuple[PublishedPort, ...]:
    return ports.publish(bindings, taken, ipv4=True, ipv6=ipv6, default_ip="0.0.0.0", probe=probe)


def test_a_port_without_an_address_is_published_on_all_of_the_containers_versions() -> None:
    assert publish([PortBinding(80, host_port=8080)]) == (PublishedPort(80, "tcp", "0.0.0.0", 8080),)
    assert publish([PortBinding(80, host_port=8080)], ipv6=True) == (
        PublishedPort(80, "tcp", "0.0.0.0", 8080),
        PublishedPort(80, "tcp", "::", 8080),
    )


def test_the_default_address_stands_for_one_not_given() -> None:
    found = ports.publish([PortBinding(80, host_port=80)], (), ipv4=True, ipv6=True, default_ip="192.0.2.7", probe=free)

    assert found == (PublishedPort(80, "tcp", "192.0.2.7", 80),)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (("tcp", "0.0.0.0", 80), ("tcp", "127.0.0.1", 80), True),
        (("tcp", "127.0.0.1", 80), ("tcp", "0.0.0.0", 80), True),
        (("tcp", "127.0.0.1", 80), ("tcp", "192.0.2.1", 80), False),
        (("tcp", "0.0.0.0", 80), ("udp", "0.0.0.0", 80), False),
        (("tcp", "0.0.0.0", 80), ("tcp", "0.0.0.0", 81), False),
        (("tcp", "0.0.0.0", 80), ("tcp", "::", 80), False),
        (("tcp", "::1", 80), ("tcp", "::", 80), True),
    ],
)
def test_ports_conflict_when_they_want_the_same_packets(
    one: tuple[str, str, int], other: tuple[str, str, int], expected: bool
) -> None:
    assert ports.conflicts(PublishedPort(1, *one), PublishedPort(2, *other)) is expected


def test_a_taken_port_is_refused_in_dockers_words() -> None:
    with pytest.raises(ports.PortTaken, match=r"^Bind for 0\.0\.0\.0:80 failed: port is already allocated$"):
        publish([PortBinding(80, host_port=80)], [PublishedPort(1, "tcp", "127.0.0.1", 80)])
    with pytest.raises(ports.PortTaken, match=r"^Bind for 0\.0\.0\.0:80 failed: port is already allocated$"):
        publish([PortBinding(80, host_port=80)], probe=lambda _port: False)


def test_two_bindings_of_one_container_do_not_share_a_port() -> None:
    with pytest.raises(ports.PortTaken):
        publish([PortBinding(80, host_port=8080), PortBinding(81, host_port=8080)])


def test_a_range_gives_the_first_port_that_is_free() -> None:
    some = PortBinding(80, host_port=8000, host_port_last=8002)

    assert publish([some], probe=lambda port: port.host_port == 8002)[0].host_port == 8002
    with pytest.raises(ports.PortTaken, match=r"Bind for 0\.0\.0\.0:8000 failed"):
        publish([some], probe=lambda _port: False)


def test_a_fixed_port_is_never_lost_to_a_chosen_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "ephemeral_range", lambda: (40000, 40001))

    found = publish([PortBinding(80), PortBinding(81, host_port=40000)])

    assert [(one.container_port, one.host_port) for one in found] == [(80, 40001), (81, 40000)]


def test_a_port_is_the_same_on_both_ip_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "ephemeral_range", lambda: (40000, 40009))

    found = publish([PortBinding(80)], probe=lambda port: port.host_ip != "::" or port.host_port == 40005, ipv6=True)

    assert [one.host_port for one in found] == [40005, 40005]


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (PortBinding(0), "container port out of range; 1 to 65535"),
        (PortBinding(80, host_port=99999), '"99999-99999": host port out of range'),
        (
            PortBinding(80, host_port=90, host_port_last=80),
            '"90-80": host port out of range; 1 to 65535, lower one first',
        ),
        (PortBinding(80, protocol="icmp"), '"icmp": unknown protocol; tcp, udp or sctp'),
        (PortBinding(80, host_ip="localhost"), '"localhost": invalid IP address'),
    ],
)
def test_a_binding_that_cannot_be_is_refused_by_field_and_value(binding: PortBinding, words: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        ports.validate(binding, "PortBindings[0]")

    assert str(refused.value).startswith("PortBindings[0]: ")
    assert words in str(refused.value)


def test_an_ipv6_address_needs_a_container_that_has_one() -> None:
    with pytest.raises(Unsupported, match="give its network an IPv6 subnet"):
        publish([PortBinding(80, host_ip="::", host_port=80)])
