"""The DNS server of one container: what listens at 127.0.0.11 in its network namespace."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from wherry.networks.dns import forwarder, message
from wherry.networks.dns.message import Malformed, Query, Record
from wherry.networks.dns.upstream import Upstream

TTL_SECONDS = 5
"""How long a name of a network may be remembered: its container can be made anew at any moment."""
LARGEST_BACKLOG = 512
"""Questions of one container that are on their way to other servers; those beyond are refused."""
TCP_IDLE_SECONDS = 10.0
TCP_CONNECTIONS = 64
_LENGTH = struct.Struct(">H")


class Asker(Protocol):
    """What the server needs to know of its container, as it is at this moment."""

    def addresses(self, name: str, *, version: int) -> Sequence[str] | None:
        """The addresses of a name of its networks; ``None`` for one that they do not know."""

    def pointer(self, address: str) -> str | None:
        """The name behind an address of its networks."""

    def servers(self) -> Sequence[Upstream]:
        """The servers that know the rest; none for a container without a way out."""


class Server:
    """Answers on a UDP socket and a TCP socket until it is closed."""

    def __init__(self, asker: Asker, namespace: Path) -> None:
        self._asker = asker
        self._namespace = namespace
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        """Listens on sockets that were bound inside the namespace."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.received), sock=udp)
        self._udp = transport
        self._tcp = await asyncio.start_server(self._serve_tcp, sock=tcp)

    def close(self) -> None:
        """Stops listening; what is on its way is dropped."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in tuple(self._tasks):
            task.cancel()

    def received(self, data: bytes, client: tuple[str, int]) -> None:
        """A query by UDP."""
        try:
            query = message.parse_query(data)
        except Malformed:
            self._reply(message.error_to(data, message.FORMAT_ERROR), client)
            return
        answer = self._own_answer(query, limited=True)
        if answer is None and len(self._tasks) >= LARGEST_BACKLOG:
            answer = message.answer(query, message.REFUSED)
        if answer is not None:
            self._reply(answer, client)
            return
        task = asyncio.create_task(self._forward(data, query, client))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _reply(self, answer: bytes | None, client: tuple[str, int]) -> None:
        if answer is not None and self._udp is not None:
            self._udp.sendto(answer, client)

    async def _forward(self, data: bytes, query: Query, client: tuple[str, int]) -> None:
        self._reply(await self._asked(data, query, tcp=False), client)

    async def _asked(self, data: bytes, query: Query, *, tcp: bool) -> bytes:
        servers = self._asker.servers()
        answer = await forwarder.ask(data, query.question, servers, self._namespace, tcp=tcp) if servers else None
        return message.answer(query, message.SERVER_FAILURE) if answer is None else answer

    def _own_answer(self, query: Query, *, limited: bool) -> bytes | None:
        """The answer about a name of the container's networks; a name that they know is never asked of strangers."""
        if query.cls != message.INTERNET:
            return None
        if query.type == message.PTR:
            address = message.address_of_pointer(query.name)
            name = self._asker.pointer(address) if address else None
            if name is None:
                return None
            return message.answer(query, message.NO_ERROR, [message.name_record(name, TTL_SECONDS)], limited=limited)
        records = self._records(query)
        return None if records is None else message.answer(query, message.NO_ERROR, records, limited=limited)

    def _records(self, query: Query) -> list[Record] | None:
        wanted = {message.A: (4,), message.AAAA: (6,), message.ANY: (4, 6)}.get(query.type, ())
        found = [self._asker.addresses(query.name, version=version) for version in wanted or (4,)]
        if all(addresses is None for addresses in found):
            return None
        if not wanted:
            return []
        texts = [text for addresses in found for text in addresses or ()]
        random.shuffle(texts)
        return [message.address_record(text, TTL_SECONDS) for text in texts]

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= TCP_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, Malformed):
                while True:
                    await self._answer_tcp(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await asyncio.wait_for(reader.readexactly(_LENGTH.size), TCP_IDLE_SECONDS)
        data = await asyncio.wait_for(reader.readexactly(_LENGTH.unpack(head)[0]), TCP_IDLE_SECONDS)
        query = message.parse_query(data)
        answer = self._own_answer(query, limited=False)
        if answer is None:
            answer = await self._asked(data, query, tcp=True)
        writer.write(_LENGTH.pack(len(answer)) + answer)
        await asyncio.wait_for(writer.drain(), TCP_IDLE_SECONDS)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._received(data, addr)
