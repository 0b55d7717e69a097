"""Engine API JSON of networks."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.api.network_json import network_json, read_spec
from wherry.errors import InvalidParameter, Unsupported, WherryError
from wherry.networks.model import Endpoint, Network, NetworkSpec, Sandbox, Subnet


def test_what_the_command_line_sends_becomes_a_specification() -> None:
    spec = read_spec(
        {
            "Name": "app", "Driver": "bridge", "CheckDuplicate": True, "Scope": "", "EnableIPv6": False,
            "Internal": False, "Attachable": False, "Ingress": False, "ConfigOnly": False, "ConfigFrom": None,
            "Options": {}, "Labels": {"a": "b"},
            "IPAM": {"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.5.0.0/24", "Gateway": "10.5.0.1"}]},
        }
    )  # fmt: skip

    assert spec == NetworkSpec("app", subnets=(Subnet("10.5.0.0/24", gateway="10.5.0.1"),), labels={"a": "b"})


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({}, InvalidParameter, "Name"),
        ({"Name": "x", "Ingress": True}, Unsupported, "Ingress"),
        ({"Name": "x", "Scope": "swarm"}, Unsupported, "swarm"),
        ({"Name": "x", "Colour": "red"}, InvalidParameter, "Colour"),
        ({"Name": "x", "IPAM": {"Config": [{"Subnet": 5}]}}, InvalidParameter, "IPAM.Config[0].Subnet"),
        ({"Name": "x", "Labels": {"a": 1}}, InvalidParameter, "Labels.a"),
    ],
)
def test_bad_input_names_its_field(body: dict[str, Any], kind: type[WherryError], words: str) -> None:
    with pytest.raises(kind) as refused:
        read_spec(body)

    assert words in str(refused.value)


def test_inspect_shows_who_is_plugged_in() -> None:
    spec = NetworkSpec("app", subnets=(Subnet("10.5.0.0/24", "10.5.0.0/28", "10.5.0.1", {"nas": "10.5.0.9"}),))
    endpoint = Endpoint("e" * 64, "n" * 64, "app", "eth0", "02:42:0a:05:00:02", ipv4="10.5.0.2/24")
    sandbox = Sandbox("c" * 64, "web", "app", "/run/x", (endpoint,))

    shown = network_json(Network("n" * 64, "2026-01-01T00:00:00Z", spec, "wherry-1"), {"c" * 64: (sandbox, endpoint)})

    assert shown["IPAM"]["Config"] == [
        {
            "Subnet": "10.5.0.0/24",
            "IPRange": "10.5.0.0/28",
            "Gateway": "10.5.0.1",
            "AuxiliaryAddresses": {"nas": "10.5.0.9"},
        }
    ]
    assert shown["Containers"]["c" * 64] == {
        "Name": "web",
        "EndpointID": "e" * 64,
        "MacAddress": "02:42:0a:05:00:02",
        "IPv4Address": "10.5.0.2/24",
        "IPv6Address": "",
    }
