"""What a container asks that no network of its own knows: sent on to other servers, answers believed with care.

Every question goes out from a socket, and so from a port, of its own under a random number, and only an answer from the
server's own address, with that number and that question, counts (RFC 5452). It leaves from the container's network
namespace, so that a container without a way out has none for questions either (CVE-2024-29018); only a server on the
host's loopback is asked from the host.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from wherry import native
from wherry.errors import WherryError
from wherry.networks.dns.message import is_answer_to, with_id
from wherry.networks.dns.upstream import Upstream

PORT = 53
TIMEOUT_SECONDS = 4.0
TRIES = 2
LARGEST = 65535
_LENGTH = struct.Struct(">H")


async def ask(data: bytes, question: bytes, servers: Sequence[Upstream], namespace: Path, *, tcp: bool) -> bytes | None:
    """The first answer, under the number of ``data``; ``None`` when no server gives one."""
    number = secrets.randbelow(1 << 16)
    sent = with_id(data, number)
    for _ in range(TRIES if not tcp else 1):
        for server in servers:
            with contextlib.suppress(OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, WherryError):
                exchange = _by_tcp if tcp else _by_udp
                answer = await asyncio.wait_for(exchange(sent, number, question, server, namespace), TIMEOUT_SECONDS)
                return with_id(answer, _LENGTH.unpack_from(data)[0])
    return None


async def _by_udp(sent: bytes, number: int, question: bytes, server: Upstream, namespace: Path) -> bytes:
    loop = asyncio.get_running_loop()
    with _socket(server, namespace, socket.SOCK_DGRAM) as connection:
        connection.connect((server.address, PORT))
        await loop.sock_sendall(connection, sent)
        while True:
            answer = await loop.sock_recv(connection, LARGEST)
            if is_answer_to(answer, number, question):
                return answer


async def _by_tcp(sent: bytes, number: int, question: bytes, server: Upstream, namespace: Path) -> bytes:
    loop = asyncio.get_running_loop()
    connection = _socket(server, namespace, socket.SOCK_STREAM)
    try:
        await loop.sock_connect(connection, (server.address, PORT))
        reader, writer = await asyncio.open_connection(sock=connection)
    except BaseException:
        connection.close()
        raise
    try:
        writer.write(_LENGTH.pack(len(sent)) + sent)
        (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
        answer = await reader.readexactly(length)
    finally:
        writer.close()
    if not is_answer_to(answer, number, question):
        raise OSError("an answer to another question")
    return answer


def _socket(server: Upstream, namespace: Path, kind: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    if server.from_host:
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC)
    else:
        made = socket.socket(fileno=native.netns_socket(namespace, family, kind))
    made.setblocking(False)
    return made
