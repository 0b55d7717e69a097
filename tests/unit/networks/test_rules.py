"""The text of the packet filter: known networks and ports give exactly the tables in testdata.

After a wanted change of the templates: ``WHERRY_UPDATE_GOLDEN=1 pytest tests/unit/networks/test_rules.py``, and read
the difference.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from wherry.networks.rules import (
    BridgeRules,
    PortRule,
    bridge_elements,
    element_change,
    port_elements,
    remove_table,
    whole_table,
)

TESTDATA = Path(__file__).parent / "testdata"

PLAIN = BridgeRules("wherry0", ("172.17.0.0/16",))
DUAL = BridgeRules("wherry-1a2b", ("10.5.0.0/24", "fd00:5::/64"))
APART = BridgeRules("wherry-3c4d", ("10.6.0.0/24",), icc=False)
INNER = BridgeRules("wherry-5e6f", ("10.7.0.0/24",), internal=True)
ROUTED = BridgeRules("wherry-7a8b", ("10.8.0.0/24",), mode4="routed")
BARE = BridgeRules("wherry-9c0d", ("10.9.0.0/24",), masquerade=False)
PORTS = (
    PortRule("tcp", "0.0.0.0", 8080, "172.17.0.2", 80),
    PortRule("udp", "192.0.2.1", 53, "172.17.0.2", 5353),
    PortRule("tcp", "127.0.0.1", 9000, "10.5.0.2", 90),
    PortRule("tcp", "::", 8080, "fd00:5::2", 80),
    PortRule("sctp", "2001:db8::1", 3868, "fd00:5::2", 3868),
    PortRule("tcp", "0.0.0.0", 8088, "10.8.0.2", 80, routed=True),
)
TRANSACTIONS = {
    "empty.nft": whole_table("wherry", (), (), guard=False),
    "everything.nft": whole_table("wherry", (PLAIN, DUAL, APART, INNER, ROUTED, BARE), PORTS, guard=True),
    "add_bridge.nft": element_change("add", "wherry", bridge_elements(DUAL)),
    "drop_internal_bridge.nft": element_change("delete", "wherry", bridge_elements(INNER)),
    "publish.nft": element_change("add", "wherry", [element for port in PORTS for element in port_elements(port)]),
    "remove.nft": remove_table("wherry"),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
def test_transaction_is_the_one_on_record(name: str) -> None:
    golden = TESTDATA / name
    if os.environ.get("WHERRY_UPDATE_GOLDEN"):
        golden.write_text(TRANSACTIONS[name])

    assert TRANSACTIONS[name] == golden.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a network namespace")
def test_nft_takes_every_transaction_in_turn() -> None:
    order = ("empty.nft", "add_bridge.nft", "everything.nft", "drop_internal_bridge.nft", "remove.nft", "remove.nft")
    script = " && ".join(f"nft -f {TESTDATA / name}" for name in order)

    done = subprocess.run(["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
