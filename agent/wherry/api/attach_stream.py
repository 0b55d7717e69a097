"""Carries bytes between a hijacked connection and a container's streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from wherry.api.http import ClientDisconnected, Stream
from wherry.api.multiplex import DetachFilter, frame
from wherry.containers.monitor_client import FAULT
from wherry.errors import Unavailable


class Session(Protocol):
    """What attach and exec have in common."""

    def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Stream number and bytes until the end."""

    async def write(self, data: bytes) -> None:
        """Bytes for the process's standard input."""

    async def close_input(self) -> None:
        """No more input comes."""


class Carrier:
    """One client. ``detach_keys`` are looked for in terminals only, as in Docker; ``framed``: streams told apart."""

    def __init__(self, stream: Stream, session: Session, *, tty: bool, framed: bool, detach_keys: bytes) -> None:
        self._stream = stream
        self._session = session
        self._framed = framed
        self._tty = tty
        self._filter = DetachFilter(detach_keys) if tty else None

    async def send(self, number: int, data: bytes) -> None:
        """A piece of output in the form that the client expects."""
        if number == FAULT and not self._framed:
            data = b"\r\nwherry: " + data + b"\r\n"
        await self._stream.write(frame(number, data) if self._framed else data)

    async def carry(self, *, stdin: bool, closes_input: bool) -> bool:
        """Works until the process ends or the client leaves; True when it left with the detach keys.

        The end of the client's input is, with ``closes_input``, that of the process's. The output goes on in any case,
        but on a terminal: there it is how a client takes its leave.
        """
        output = asyncio.create_task(self._send_output())
        tasks = {output}
        if stdin:
            tasks.add(asyncio.create_task(self._take_input(closes_input)))
        try:
            while tasks:
                done, tasks = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                if output in done or any(not task.result() for task in done):
                    break
        except ClientDisconnected:
            return False
        finally:
            await _cancel(tasks | {output})
        return self._filter is not None and self._filter.detached

    async def _send_output(self) -> bool:
        try:
            async for number, data in self._session.output():
                await self.send(number, data)
        except ClientDisconnected:
            return False
        return True

    async def _take_input(self, closes_input: bool) -> bool:
        """True when the output shall go on."""
        try:
            while data := await self._stream.read():
                passed = self._filter.feed(data) if self._filter else data
                if passed:
                    await self._session.write(passed)
                if self._filter and self._filter.detached:
                    return False
            if closes_input:
                await self._session.close_input()
            return not self._tty
        except ClientDisconnected:
            return False
        except (ConnectionError, OSError, Unavailable):
            # The process closed its end; what it still says is worth reading.
            return True


async def _cancel(tasks: set[asyncio.Task[bool]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
