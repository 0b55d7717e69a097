"""Driver options of bridge and macvlan networks: read once, refused by name when they mean nothing here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wherry.errors import InvalidParameter, Unsupported

BRIDGE_NAME = "com.docker.network.bridge.name"
DEFAULT_BRIDGE = "com.docker.network.bridge.default_bridge"
ENABLE_ICC = "com.docker.network.bridge.enable_icc"
ENABLE_MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
HOST_BINDING = "com.docker.network.bridge.host_binding_ipv4"
GATEWAY_MODE4 = "com.docker.network.bridge.gateway_mode_ipv4"
GATEWAY_MODE6 = "com.docker.network.bridge.gateway_mode_ipv6"
MTU = "com.docker.network.driver.mtu"

GATEWAY_MODES = ("nat", "routed")
MACVLAN_MODES = ("bridge", "private", "vepa", "passthru")
LARGEST_LINK_NAME = 15
SMALLEST_MTU, LARGEST_MTU = 68, 65535

_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


@dataclass(frozen=True)
class BridgeOptions:
    """How a bridge network behaves; ``mtu`` 0 leaves the kernel's default."""

    link: str = ""
    icc: bool = True
    masquerade: bool = True
    host_binding: str = ""
    gateway_mode4: str = "nat"
    gateway_mode6: str = "nat"
    mtu: int = 0


@dataclass(frozen=True)
class MacvlanOptions:
    """How a macvlan network hangs on its parent link; no parent makes the network internal."""

    parent: str = ""
    mode: str = "bridge"
    mtu: int = 0


def bridge_options(options: Mapping[str, str]) -> BridgeOptions:
    """Reads the options of a bridge network; raises InvalidParameter or Unsupported by option name."""
    known = {
        BRIDGE_NAME,
        DEFAULT_BRIDGE,
        ENABLE_ICC,
        ENABLE_MASQUERADE,
        HOST_BINDING,
        GATEWAY_MODE4,
        GATEWAY_MODE6,
        MTU,
    }
    _refuse_unknown(options, known, "bridge")
    return BridgeOptions(
        link=link_name(BRIDGE_NAME, options.get(BRIDGE_NAME, "")),
        icc=_flag(options, ENABLE_ICC, True),
        masquerade=_flag(options, ENABLE_MASQUERADE, True),
        host_binding=_address(options, HOST_BINDING),
        gateway_mode4=_gateway_mode(options, GATEWAY_MODE4),
        gateway_mode6=_gateway_mode(options, GATEWAY_MODE6),
        mtu=_mtu(options),
    )


def macvlan_options(options: Mapping[str, str]) -> MacvlanOptions:
    """Reads the options of a macvlan network."""
    _refuse_unknown(options, {"parent", "macvlan_mode", MTU}, "macvlan")
    mode = options.get("macvlan_mode", "") or "bridge"
    if mode not in MACVLAN_MODES:
        raise InvalidParameter(
            "unknown macvlan mode", field="macvlan_mode", value=mode, allowed=f"one of {', '.join(MACVLAN_MODES)}"
        )
    return MacvlanOptions(parent=link_name("parent", options.get("parent", "")), mode=mode, mtu=_mtu(options))


def link_name(field: str, name: str) -> str:
    """A name that the kernel takes for a link: 1 to 15 bytes without slash, colon or space (dev_valid_name)."""
    wrong = (
        len(name.encode()) > LARGEST_LINK_NAME or name in {".", ".."} or any(c in '/:"' or c.isspace() for c in name)
    )
    if wrong or not name.isprintable():
        raise InvalidParameter(
            "not a name for a network link", field=field, value=name, allowed="1 to 15 characters without / : or spaces"
        )
    return name


def _refuse_unknown(options: Mapping[str, str], known: set[str], driver: str) -> None:
    for name in options:
        if name not in known:
            raise Unsupported(
                f'not supported: option "{name}" of a {driver} network; known: {", ".join(sorted(known))}'
            )


def _flag(options: Mapping[str, str], name: str, default: bool) -> bool:
    text = options.get(name, "")
    if not text:
        return default
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidParameter("not a boolean", field=name, value=text, allowed="true or false")


def _address(options: Mapping[str, str], name: str) -> str:
    from ipaddress import AddressValueError, IPv4Address

    text = options.get(name, "")
    if not text:
        return ""
    try:
        return str(IPv4Address(text))
    except AddressValueError:
        raise InvalidParameter("not an IPv4 address", field=name, value=text, allowed="like 192.0.2.1") from None


def _gateway_mode(options: Mapping[str, str], name: str) -> str:
    mode = options.get(name, "") or "nat"
    if mode in GATEWAY_MODES:
        return mode
    if mode in {"isolated", "nat-unprotected"}:
        raise Unsupported(f'not supported: {name}="{mode}"; supported: {", ".join(GATEWAY_MODES)}')
    raise InvalidParameter("unknown gateway mode", field=name, value=mode, allowed=f"one of {', '.join(GATEWAY_MODES)}")


def _mtu(options: Mapping[str, str]) -> int:
    text = options.get(MTU, "") or "0"
    if text.isdecimal() and (int(text) == 0 or SMALLEST_MTU <= int(text) <= LARGEST_MTU):
        return int(text)
    raise InvalidParameter(
        "not an MTU",
        field=MTU,
        value=text,
        allowed=f"a number from {SMALLEST_MTU} to {LARGEST_MTU}, or 0 for the default",
    )
