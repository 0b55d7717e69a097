"""What a container uses, as the kernel counts it."""

from __future__ import annotations

import contextlib

from wherry import native
from wherry.aio import in_thread
from wherry.containers.context import Context
from wherry.containers.model import Container
from wherry.native import BlockIoCount, BlockIoStats, ContainerStats, CpuStats, MemoryStats, NativeError

__all__ = ["BlockIoCount", "BlockIoStats", "ContainerStats", "CpuStats", "MemoryStats", "read"]


async def read(context: Context, container: Container) -> ContainerStats | None:
    """One reading; ``None`` for a container that does not run, or ends at this very moment."""
    if not container.state.is_running or not container.state.pid:
        return None
    with contextlib.suppress(NativeError):
        return await in_thread(native.container_stats, context.paths.runtime, container.id)
    return None
