"""The server: a set of listeners and the connections that came through them."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import struct
from collections.abc import Awaitable, Callable

from wherry.api.connection import Connection
from wherry.api.dispatch import Dispatcher
from wherry.api.http import Peer
from wherry.api.listen import BACKLOG, Listener

log = logging.getLogger(__name__)

# Half of the descriptors that the process may have are left for what requests need.
MAX_CONNECTIONS = 8192
READ_BUFFER = 256 * 1024


class Server:
    """Serves the API on its listeners until it is stopped."""

    def __init__(self, dispatcher: Dispatcher, listeners: list[Listener], limit: int = MAX_CONNECTIONS) -> None:
        self._dispatcher = dispatcher
        self._listeners = listeners
        self._servers: list[asyncio.Server] = []
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._limit = min(limit, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2)

    async def start(self) -> None:
        """Begins to accept connections."""
        for listener in self._listeners:
            self._servers.append(
                await asyncio.start_server(
                    self._handler(), sock=listener.socket, ssl=listener.tls, limit=READ_BUFFER, backlog=BACKLOG
                )
            )
            log.info("API listens on %s", listener.address)

    async def stop(self, grace_seconds: float) -> None:
        """Accepts no more, cuts streams, and gives requests that are being worked on ``grace_seconds`` to end."""
        for server in self._servers:
            server.close()
        for listener in self._listeners:
            listener.close()
        working = []
        for task, connection in list(self._connections.items()):
            connection.stop()
            if connection.busy and not connection.streaming:
                working.append(task)
            else:
                task.cancel()
        if working:
            await asyncio.wait(working, timeout=grace_seconds)
        rest = list(self._connections)
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)

    def _handler(self) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            if task is None or len(self._connections) >= self._limit:
                writer.transport.abort()
                return
            connection = Connection(self._dispatcher, reader, writer, _peer_of(writer))
            self._connections[task] = connection
            try:
                await connection.serve()
            except asyncio.CancelledError:
                writer.close()  # the server stops; nobody awaits this task's end but stop()
            finally:
                del self._connections[task]

        return serve


def _peer_of(writer: asyncio.StreamWriter) -> Peer:
    """Credentials by SO_PEERCRED (unix(7)), taken once: they are those of the process that connected."""
    certificate = writer.get_extra_info("peercert")
    if certificate:
        names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
        further = [value for kind, value in certificate.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        return Peer(subject=names[0] if names else "", names=(*names, *further))
    sock: socket.socket = writer.get_extra_info("socket")
    if sock.family != socket.AF_UNIX:
        return Peer()
    pid, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(uid=uid, gid=gid, pid=pid)
