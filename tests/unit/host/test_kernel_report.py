"""What is demanded of a report, and how it reads."""

from __future__ import annotations

import json

import pytest

from wherry.errors import InvalidParameter
from wherry.host.kernel_check import Finding, KernelReport, lacking, render, to_json

OVERLAY = Finding(
    "storage: overlay", "CONFIG_OVERLAY_FS", True, "module-not-loaded", "overlay", "layers", "modprobe overlay"
)
MACVLAN = Finding("network: macvlan", "CONFIG_MACVLAN", False, "missing", "macvlan", "macvlan networks", "build it")
VETH = Finding("network: bridge", "CONFIG_VETH", True, "built-in", "veth", "plugging", "")
NFT = Finding("NAT: nft", "CONFIG_NF_TABLES", True, "missing", "nf_tables", "NAT", "build it")
UNKNOWN = Finding("NAT: nft", "CONFIG_NF_NAT", True, "unknown", "nf_nat", "NAT", "make it readable")
PROBE = Finding("storage: overlay", "overlay mount", True, "ok", "overlay", "layers", "")
REPORT = KernelReport(
    "6.1.0-18-amd64", "/boot/config-6.1.0-18-amd64", True, (OVERLAY, MACVLAN, VETH, PROBE, NFT, UNKNOWN)
)


def test_what_every_container_needs_is_demanded_without_names() -> None:
    # Neither a module that the kernel loads when it is needed, nor what cannot be told, is missing.
    assert lacking(REPORT) == (NFT,)


@pytest.mark.parametrize("name", ["CONFIG_MACVLAN", "MACVLAN", "macvlan"])
def test_an_optional_finding_is_demanded_by_any_of_its_names(name: str) -> None:
    assert lacking(REPORT, [name]) == (MACVLAN, NFT)


def test_what_is_demanded_by_name_has_to_be_usable_now() -> None:
    assert lacking(REPORT, ["overlay", "nf_nat"]) == (OVERLAY, NFT, UNKNOWN)


def test_a_name_that_stands_for_nothing_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidParameter, match=r"MACVLAM.*known are CONFIG_OVERLAY_FS"):
        lacking(REPORT, ["MACVLAM"])


def test_the_text_groups_findings_and_explains_what_is_missing() -> None:
    text = render(REPORT, color=False)
    assert "\x1b" not in text
    groups = [line for line in text.splitlines()[1:] if line and not line.startswith(" ")]
    assert groups == ["storage: overlay", "network: macvlan", "network: bridge", "NAT: nft"]
    assert "module-not-loaded CONFIG_OVERLAY_FS\n" in text
    assert "needed for: layers\n" in text
    assert "optional for: macvlan networks\n" in text
    assert "to get it: modprobe overlay\n" in text
    assert "plugging" not in text


def test_colors_are_only_for_terminals() -> None:
    assert "\x1b[31mmissing" in render(REPORT, color=True)


def test_json_carries_every_field() -> None:
    document = json.loads(to_json(REPORT))
    assert document["live"] is True
    assert document["findings"][1] == {
        "group": "network: macvlan",
        "name": "CONFIG_MACVLAN",
        "required": False,
        "state": "missing",
        "module": "macvlan",
        "breaks": "macvlan networks",
        "remedy": "build it",
    }
