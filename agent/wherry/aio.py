"""The one way from asyncio to what blocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking call in the default executor and returns its result, or raises what it raised."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def in_thread_to_the_end(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what must not be left behind: a cancellation takes effect when the call has returned.

    A thread cannot be stopped. Whoever closes or removes what it works on has to wait for it.
    """
    return await to_the_end(in_thread(function, *args, **kwargs))


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Awaits what must not be left half done: a cancellation takes effect when it has come to its end."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()
        raise


async def all_or_none(works: Iterable[Coroutine[Any, Any, T]]) -> None:
    """Runs them side by side. The first that fails ends the others, and is raised when they have come to rest."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def in_thread_of_its_own(function: Callable[[], T]) -> asyncio.Future[T]:
    """The same for what may take as long as a client likes: the executor's few threads are for others.

    The future cannot be cancelled: whoever closes or removes what the call works on has to wait for it.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()
    outcome.add_done_callback(lambda done: done.exception())  # whoever waited may have left: that is no news then

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            _tell(loop, outcome.set_exception, error)
        else:
            _tell(loop, outcome.set_result, result)

    threading.Thread(target=run, daemon=True).start()
    return outcome


def _tell(loop: asyncio.AbstractEventLoop, settle: Callable[[Any], None], value: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(settle, value)
