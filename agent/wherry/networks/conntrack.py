"""Flows of UDP that the kernel remembers: forgotten when the port that they use changes its owner.

A flow is translated as its first packet was. A client that keeps sending would go on reaching a container that is gone,
or the host instead of a container that was started later, for as long as it never pauses.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Collection, Iterator

from wherry.networks.model import PublishedPort

_NETLINK_NETFILTER = 12
_CTNETLINK, _GET, _DELETE = 1 << 8, 1, 2
_REQUEST, _ACK, _DUMP = 0x001, 0x004, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_FAMILY = struct.Struct("=BBH")
_ORIGINAL, _PROTOCOL = 1, 2  # CTA_TUPLE_ORIG, CTA_TUPLE_PROTO
_PROTOCOL_NUMBER, _DESTINATION_PORT = 1, 3
_NESTED_MASK = 0x3FFF
_RECEIVE_BYTES = 1 << 18


def forget(ports: Collection[PublishedPort]) -> None:
    """Deletes the flows of UDP towards these host ports. Blocks; a kernel without ctnetlink has none to forget."""
    for family in (socket.AF_INET, socket.AF_INET6):
        numbers = {port.host_port for port in ports if port.protocol == "udp" and _is_of(port, family)}
        if not numbers:
            continue
        try:
            _forget(family, numbers)
        except OSError:
            return


def _is_of(port: PublishedPort, family: int) -> bool:
    return (":" in port.host_ip) == (family == socket.AF_INET6)


def _forget(family: int, numbers: Collection[int]) -> None:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER) as kernel:
        kernel.send(_message(_GET, _REQUEST | _DUMP, family, b""))
        doomed = [tuple_ for tuple_ in _flows(kernel) if _udp_port(tuple_) in numbers]
        for tuple_ in doomed:
            kernel.send(_message(_DELETE, _REQUEST | _ACK, family, _attribute(_ORIGINAL, tuple_)))
            kernel.recv(_RECEIVE_BYTES)  # a flow that ended by itself in the meantime is as good


def _flows(kernel: socket.socket) -> Iterator[bytes]:
    """The original direction of every flow, as the kernel writes it."""
    while True:
        data = kernel.recv(_RECEIVE_BYTES)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, *_rest = _HEADER.unpack_from(data, offset)
            if kind in {_NLMSG_DONE, _NLMSG_ERROR}:
                return
            body = data[offset + _HEADER.size + _FAMILY.size : offset + length]
            yield dict(_attributes(body)).get(_ORIGINAL, b"")
            offset += (length + 3) & ~3


def _udp_port(original: bytes) -> int | None:
    """The destination port of a flow of UDP."""
    protocol = dict(_attributes(dict(_attributes(original)).get(_PROTOCOL, b"")))
    if protocol.get(_PROTOCOL_NUMBER, b"") != bytes([socket.IPPROTO_UDP]):
        return None
    return int.from_bytes(protocol.get(_DESTINATION_PORT, b""), "big")


def _message(kind: int, flags: int, family: int, body: bytes) -> bytes:
    length = _HEADER.size + _FAMILY.size + len(body)
    return _HEADER.pack(length, _CTNETLINK | kind, flags, 1, 0) + _FAMILY.pack(family, 0, 0) + body


def _attribute(kind: int, content: bytes) -> bytes:
    nested = 0x8000
    return struct.pack("=HH", 4 + len(content), kind | nested) + content + b"\0" * (-len(content) % 4)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & _NESTED_MASK, data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
