"""Bridges between streams of the event loop and calls of the C core that read or write a descriptor.

The loop's end of the pipe never blocks; the other end belongs to a thread. So however many transfers go on, the loop
goes on, and no thread waits for another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

from wherry.aio import in_thread_of_its_own

PIECE = 1 << 18

Result = TypeVar("Result")


async def consume(chunks: AsyncIterator[bytes], reader: Callable[[int], Result]) -> Result:
    """Hands a stream to a call that reads a descriptor to its end, and returns what the call returns.

    What the call raises goes up, also when it gives up early; then the rest of the stream is not read.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)

    def run() -> Result:
        try:
            return reader(read_end)
        finally:
            os.close(read_end)

    work = in_thread_of_its_own(run)
    feeding = asyncio.ensure_future(_feed(chunks, write_end))
    try:
        await asyncio.wait((work, feeding), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await feeding
        return await asyncio.shield(work)
    except BaseException:
        # The reader sees the end of the stream and comes back before anything is undone.
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
        await asyncio.gather(work, return_exceptions=True)
        raise
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def _feed(chunks: AsyncIterator[bytes], write_end: int) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(write_end, "wb", buffering=0)
    )
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    try:
        async for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
    except (BrokenPipeError, ConnectionResetError):
        return  # the reader has seen enough, or its error says why
    finally:
        writer.close()


async def transform(chunks: AsyncIterator[bytes], worker: Callable[[int, int], object]) -> AsyncIterator[bytes]:
    """What a call makes of a stream: it reads one descriptor to its end and writes another.

    An error of the stream itself goes before what the call says of its having ended early.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    feeding = asyncio.ensure_future(_feed(chunks, write_end))

    def run(target: int) -> None:
        try:
            worker(read_end, target)
        finally:
            os.close(read_end)

    try:
        async for piece in produce(run):
            yield piece
        await feeding
    except Exception:
        if feeding.done() and not feeding.cancelled() and (error := feeding.exception()) is not None:
            raise error from None
        raise
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)


async def produce(writer: Callable[[int], object]) -> AsyncIterator[bytes]:
    """What a call writes to a descriptor, piece by piece; what it raises comes after the last of them."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC)

    def run() -> None:
        try:
            writer(write_end)
        finally:
            os.close(write_end)

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=PIECE)
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", buffering=0)
    )
    work = in_thread_of_its_own(run)
    try:
        while piece := await reader.read(PIECE):
            yield piece
        await asyncio.shield(work)
    finally:
        transport.close()
        # A call that still writes gets EPIPE; it must be over before what it reads is taken away.
        with contextlib.suppress(Exception):
            await asyncio.shield(work)
