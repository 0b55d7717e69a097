"""Clients that are attached to containers, also to those that are yet to start."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from wherry.containers.context import Context
from wherry.containers.model import Container
from wherry.containers.monitor_client import MonitorClient
from wherry.errors import Conflict, Unavailable


@dataclass(frozen=True)
class Streams:
    """Which of its streams a client wants."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False


@dataclass(eq=False)
class AttachSession:
    """One attached client. ``connected`` is done when the container's monitor serves it; ``None`` means never."""

    container: Container
    streams: Streams
    connected: asyncio.Future[MonitorClient | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Stream number (1 stdout, 2 stderr) and bytes, until the container ends."""
        client = await self.connected
        if client is not None:
            async for piece in client.output():
                yield piece

    async def write(self, data: bytes) -> None:
        """Bytes for the container's standard input."""
        client = await self.connected
        if client is not None:
            await client.write_stdin(data)

    async def close_input(self) -> None:
        """Tells the container that no more input comes."""
        client = await self.connected
        if client is not None:
            await client.close_stdin()

    async def close(self) -> None:
        """Ends the session; the container goes on."""
        if not self.connected.done():
            self.connected.cancel()
            return
        client = None if self.connected.cancelled() else self.connected.result()
        if client is not None:
            await client.close()


class AttachHub:
    """Opens sessions, and holds those that wait for a start: they see every byte from the first on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._waiting: defaultdict[str, set[AttachSession]] = defaultdict(set)

    async def open(self, container: Container, streams: Streams) -> AttachSession:
        """A session with a running container, or one that begins when the container starts."""
        status = container.state.status
        if status == "paused":
            raise Conflict(f"container {container.id} is paused, unpause the container before attach")
        if status == "restarting":
            raise Conflict(f"container {container.id} is restarting, wait until the container is running")
        session = AttachSession(container, streams)
        if status == "running":
            try:
                session.connected.set_result(await self._connect(container, streams))
            except (OSError, Unavailable):
                # It has ended at this very moment: there is nothing more to come, which is no fault.
                session.connected.set_result(None)
        else:
            waiting = self._waiting[container.id]
            waiting.add(session)
            session.connected.add_done_callback(lambda _: waiting.discard(session))
        return session

    async def connect_waiting(self, container: Container) -> None:
        """Called when the container is created and its process does not run yet."""
        for session in self._waiting.pop(container.id, set()).copy():
            if not session.connected.done():
                client = await self._connect(container, session.streams)
                if session.connected.done():
                    await client.close()
                else:
                    session.connected.set_result(client)

    def forget(self, container_id: str) -> None:
        """The container is gone: nobody needs to wait for its start."""
        for session in self._waiting.pop(container_id, set()).copy():
            if not session.connected.done():
                session.connected.set_result(None)

    async def _connect(self, container: Container, streams: Streams) -> MonitorClient:
        client = await MonitorClient.connect(self._context.layout(container.id).monitor_socket)
        wants_input = streams.stdin and container.config.open_stdin
        await client.attach(stdin=wants_input, stdout=streams.stdout, stderr=streams.stderr)
        return client
