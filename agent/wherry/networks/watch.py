"""Hears from the kernel when somebody else takes rules of Wherry's table away, without ever polling.

The kernel announces each change of nftables to a multicast group, with the netlink port of the process that asked for
it: its process ID (netlink(7)). A removal from our table that no process of ours asked for calls for repair.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator

from wherry.errors import WherryError

log = logging.getLogger(__name__)

_NETLINK_NETFILTER = 12
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_NFNLGRP_NFTABLES = 7
_NFT_SUBSYSTEM = 10
_REMOVALS = frozenset({2, 5, 8, 11, 14})  # NFT_MSG_DELTABLE, DELCHAIN, DELRULE, DELSET, DELSETELEM
_ATTRIBUTE_TABLE = 1  # NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, … are all 1
_HEADER = struct.Struct("=IHHII")
_GENERIC_BYTES = 4
_RECEIVE_BYTES = 1 << 16
SETTLE_SECONDS = 0.2


class RuleWatch:
    """Calls ``repair`` soon after a foreign process removed something of the table."""

    def __init__(self, table: str, repair: Callable[[], Awaitable[None]], is_ours: Callable[[int], bool]) -> None:
        self._table = table.encode()
        self._repair = repair
        self._is_ours = is_ours
        self._socket: socket.socket | None = None
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to listen; a kernel without nftables has nothing to hear."""
        if self._socket is not None:
            return
        try:
            listener = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_NETFILTER)
        except OSError:
            return
        listener.setblocking(False)
        listener.bind((0, 0))  # a socket without a port of its own hears nothing
        listener.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, _NFNLGRP_NFTABLES)
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener, self._read)

    async def stop(self) -> None:
        """Listens no more."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            while True:
                self._hear(self._socket.recv(_RECEIVE_BYTES))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self._call_for_repair()  # announcements were lost: anything may have happened

    def _hear(self, data: bytes) -> None:
        for kind, process, attributes in _messages(data):
            table = attributes.get(_ATTRIBUTE_TABLE, b"").rstrip(b"\0")
            if kind in _REMOVALS and table == self._table and not self._is_ours(process):
                if not self._wanted:
                    log.warning("process %d removed rules of table inet %s: restoring them", process, table.decode())
                self._call_for_repair()

    def _call_for_repair(self) -> None:
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._repair_soon())

    async def _repair_soon(self) -> None:
        while self._wanted:
            # Whoever flushes rules often writes them anew in several steps: one repair after the last.
            await asyncio.sleep(SETTLE_SECONDS)
            self._wanted = False
            try:
                await self._repair()
            except WherryError:
                log.exception("the rules of table inet %s could not be restored", self._table.decode())


def _messages(data: bytes) -> Iterator[tuple[int, int, dict[int, bytes]]]:
    """Message number, netlink port of whoever asked, and attributes of each nftables announcement."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, _flags, _sequence, port = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        if kind >> 8 == _NFT_SUBSYSTEM:
            start = offset + _HEADER.size + _GENERIC_BYTES
            yield kind & 0xFF, port, _attributes(data[start : offset + length])
        offset += (length + 3) & ~3


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
