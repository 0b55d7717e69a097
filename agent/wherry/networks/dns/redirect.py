"""Inside a container's network namespace: port 53 of 127.0.0.11 leads to the port that its DNS server listens on.

The server does not take port 53 itself, because then a container could not run a DNS server of its own on all its
addresses. The rules are sent to nf_tables as one transaction (nfnetlink; linux/netfilter/nf_tables.h): nft(8) takes
twenty times as long, and would have to be run inside the namespace.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from wherry import native
from wherry.errors import SystemFailure

ADDRESS = "127.0.0.11"
PORT = 53
TABLE = "wherry-dns"

_NETFILTER = 12
_BATCH_BEGIN, _BATCH_END = 0x10, 0x11
_SUBSYSTEM = 10 << 8
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE = 0, 2, 3, 6
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_NESTED = 0x8000
_LOCAL_OUT, _DSTNAT_PRIORITY = 3, -100
_REGISTER_1, _REGISTER_2 = 1, 2
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_L4PROTO, _NAT_DNAT, _CMP_EQUAL = 16, 1, 0
_IPV4 = struct.pack(">BBH", socket.AF_INET, 0, 0)
_BATCH = struct.pack(">BBH", socket.AF_UNSPEC, 0, 10)
"""nfgenmsg: the family, and for the bounds of a batch the subsystem that it is for."""
_RECEIVE_BYTES = 1 << 16


def install(namespace: Path, port: int, *, replace: bool = False) -> None:
    """Sends queries to ``port``. ``replace``: rules for another port may be there, which costs the kernel a wait."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    with socket.socket(fileno=native.netns_socket(namespace, socket.AF_NETLINK, kind, _NETFILTER)) as kernel:
        messages = [
            *(_removal() if replace else ()),
            (_NEWTABLE, _REQUEST | _CREATE, _text(1, TABLE)),
            (_NEWCHAIN, _REQUEST | _CREATE, _chain()),
            *((_NEWRULE, _REQUEST | _CREATE | _APPEND, _rule(number, port)) for number in (17, 6)),
        ]
        kernel.send(_batch(messages))
        _check(kernel)


def _removal() -> tuple[tuple[int, int, bytes], ...]:
    """Takes the table away; it is made first, so that this cannot fail."""
    table = _text(1, TABLE)
    return (_NEWTABLE, _REQUEST | _CREATE, table), (_DELTABLE, _REQUEST, table)


def _check(kernel: socket.socket) -> None:
    """Every refusal comes before the acknowledgement of the batch's last message."""
    while True:
        data = kernel.recv(_RECEIVE_BYTES)
        offset = 0
        while offset + 20 <= len(data):
            length, _kind, _flags, _sequence, _port = struct.unpack_from("=IHHII", data, offset)
            number = struct.unpack_from("=i", data, offset + 16)[0]
            if number:
                raise SystemFailure(f"redirect DNS queries of a container: nf_tables: {os.strerror(-number)}")
            original = struct.unpack_from("=H", data, offset + 20 + 4)[0]
            if original == _SUBSYSTEM | _NEWRULE:
                return
            offset += (length + 3) & ~3


def _batch(messages: list[tuple[int, int, bytes]]) -> bytes:
    parts = [_message(_BATCH_BEGIN, _REQUEST, _BATCH, 0)]
    for sequence, (kind, flags, body) in enumerate(messages, 1):
        acknowledged = _ACK if sequence == len(messages) else 0
        parts.append(_message(_SUBSYSTEM | kind, flags | acknowledged, _IPV4 + body, sequence))
    parts.append(_message(_BATCH_END, _REQUEST, _BATCH, len(messages) + 1))
    return b"".join(parts)


def _message(kind: int, flags: int, content: bytes, sequence: int) -> bytes:
    return struct.pack("=IHHII", 16 + len(content), kind, flags, sequence, 0) + content


def _attribute(kind: int, data: bytes) -> bytes:
    length = 4 + len(data)
    return struct.pack("=HH", length, kind) + data + b"\0" * (-length % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, text.encode("ascii") + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack(">i", value))


def _nest(kind: int, *inner: bytes) -> bytes:
    return _attribute(kind | _NESTED, b"".join(inner))


def _chain() -> bytes:
    """NFTA_CHAIN_TABLE 1, NAME 3, HOOK 4 (HOOKNUM 1, PRIORITY 2), TYPE 7."""
    hook = _nest(4, _number(1, _LOCAL_OUT), _number(2, _DSTNAT_PRIORITY))
    return _text(1, TABLE) + _text(3, "output") + hook + _text(7, "nat")


def _rule(protocol: int, port: int) -> bytes:
    """``ip daddr ADDRESS meta l4proto PROTOCOL th dport 53 dnat to ADDRESS:PORT``."""
    address = socket.inet_aton(ADDRESS)
    expressions = _nest(
        4,
        *_matches(_payload(_NETWORK_HEADER, 16, 4), address),
        *_matches(_expression("meta", _number(2, _META_L4PROTO), _number(1, _REGISTER_1)), bytes([protocol])),
        *_matches(_payload(_TRANSPORT_HEADER, 2, 2), struct.pack(">H", PORT)),
        _immediate(_REGISTER_1, address),
        _immediate(_REGISTER_2, struct.pack(">H", port)),
        # NFTA_NAT_TYPE 1, FAMILY 2, REG_ADDR_MIN 3, REG_PROTO_MIN 5
        _expression(
            "nat",
            _number(1, _NAT_DNAT),
            _number(2, socket.AF_INET),
            _number(3, _REGISTER_1),
            _number(5, _REGISTER_2),
        ),
    )
    return _text(1, TABLE) + _text(2, "output") + expressions


def _expression(name: str, *attributes: bytes) -> bytes:
    """NFTA_LIST_ELEM 1 of NFTA_EXPR_NAME 1 and NFTA_EXPR_DATA 2."""
    return _nest(1, _text(1, name), _nest(2, *attributes))


def _payload(base: int, offset: int, length: int) -> bytes:
    """NFTA_PAYLOAD_DREG 1, BASE 2, OFFSET 3, LEN 4."""
    return _expression("payload", _number(1, _REGISTER_1), _number(2, base), _number(3, offset), _number(4, length))


def _matches(load: bytes, value: bytes) -> Iterable[bytes]:
    """What was loaded equals the value: NFTA_CMP_SREG 1, OP 2, DATA 3 (NFTA_DATA_VALUE 1)."""
    equal = _nest(3, _attribute(1, value))
    return load, _expression("cmp", _number(1, _REGISTER_1), _number(2, _CMP_EQUAL), equal)


def _immediate(register: int, value: bytes) -> bytes:
    """NFTA_IMMEDIATE_DREG 1, DATA 2."""
    return _expression("immediate", _number(1, register), _nest(2, _attribute(1, value)))
