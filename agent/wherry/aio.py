"""The one way from asyncio to what blocks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a blocking call in the default executor and returns its result, or raises what it raised."""
    return await asyncio.to_thread(function, *args, **kwargs)
