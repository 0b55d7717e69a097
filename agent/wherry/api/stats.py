"""GET /containers/{id}/stats: what a container uses, once or every second.

Figures are the kernel's own, read from the container's control groups and network namespace. ``precpu_stats`` is the
reading before, so that clients can tell a rate.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from wherry.api.http import JsonResponse, Request, Response, StreamResponse
from wherry.api.router import Router
from wherry.containers import times
from wherry.containers.model import NEVER, Container
from wherry.containers.statistics import BlockIoCount, BlockIoStats, ContainerStats, CpuStats, MemoryStats

if TYPE_CHECKING:
    from wherry.agent import Agent

INTERVAL_SECONDS = 1.0


class Sampler:
    """Readings of one container, each with the one before."""

    def __init__(self, agent: Agent, container_id: str) -> None:
        self._agent = agent
        self._id = container_id
        self._last: ContainerStats | None = None
        self._last_time = NEVER

    async def sample(self) -> dict[str, Any] | None:
        """The document of this moment; ``None`` when the container has been removed."""
        container = self._agent.containers.known(self._id)
        if container is None:
            return None
        now, stats = times.now(), await self._agent.containers.stats(container)
        body = document(container, stats, now, self._last, self._last_time)
        self._last, self._last_time = stats, now
        return body


async def stats(agent: Agent, request: Request) -> Response:
    """``stream`` (the default) goes on until the client leaves; ``one-shot`` does without a reading before."""
    container = agent.containers.find(request.params["name"])
    sampler = Sampler(agent, container.id)
    if request.query.flag("stream", default=True):
        return StreamResponse(_stream(sampler))
    body = await sampler.sample()
    if container.state.is_running and not request.query.flag("one-shot"):
        await asyncio.sleep(INTERVAL_SECONDS)
        body = await sampler.sample()
    return JsonResponse(body or document(container, None, times.now(), None, NEVER))


async def _stream(sampler: Sampler) -> AsyncIterator[bytes]:
    while (body := await sampler.sample()) is not None:
        yield json.dumps(body, separators=(",", ":")).encode() + b"\n"
        await asyncio.sleep(INTERVAL_SECONDS)


def document(
    container: Container, stats: ContainerStats | None, now: str, before: ContainerStats | None, before_time: str
) -> dict[str, Any]:
    """``ContainerStatsResponse``; of a container that does not run only its names and zeros."""
    body: dict[str, Any] = {
        "name": f"/{container.name}",
        "id": container.id,
        "os_type": "linux",
        "read": now if stats is not None else NEVER,
        "preread": before_time,
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": {},
        "blkio_stats": _blocks(None if stats is None else stats.block_io),
        "cpu_stats": _cpu(stats),
        "precpu_stats": _cpu(before),
        "memory_stats": {},
    }
    if stats is None:
        return body
    body["pids_stats"] = {"current": stats.pids.current}
    if stats.pids.limit is not None:
        body["pids_stats"]["limit"] = stats.pids.limit
    body["memory_stats"] = _memory(stats.memory, stats.host.memory_total)
    if stats.interfaces:
        body["networks"] = {
            one.name: {
                "rx_bytes": one.rx_bytes, "rx_packets": one.rx_packets,
                "rx_errors": one.rx_errors, "rx_dropped": one.rx_dropped,
                "tx_bytes": one.tx_bytes, "tx_packets": one.tx_packets,
                "tx_errors": one.tx_errors, "tx_dropped": one.tx_dropped,
            }
            for one in stats.interfaces
        }  # fmt: skip
    return body


def _cpu(stats: ContainerStats | None) -> dict[str, Any]:
    cpu = CpuStats(0, 0, 0, (), 0, 0, 0) if stats is None else stats.cpu
    usage: dict[str, Any] = {
        "total_usage": cpu.total,
        "usage_in_kernelmode": cpu.kernel,
        "usage_in_usermode": cpu.user,
    }
    if cpu.per_cpu:
        usage["percpu_usage"] = list(cpu.per_cpu)
    body: dict[str, Any] = {
        "cpu_usage": usage,
        "throttling_data": {
            "periods": cpu.periods,
            "throttled_periods": cpu.throttled_periods,
            "throttled_time": cpu.throttled_time,
        },
    }
    if stats is not None:
        body["system_cpu_usage"] = stats.host.cpu_total
        body["online_cpus"] = stats.host.cpus_online
    return body


def _memory(memory: MemoryStats, total: int) -> dict[str, Any]:
    """A container without a limit has the machine's memory."""
    body: dict[str, Any] = {
        "usage": memory.usage.usage,
        "stats": dict(memory.raw),
        "limit": total if memory.usage.limit is None else min(memory.usage.limit, total),
    }
    if memory.usage.peak:
        body["max_usage"] = memory.usage.peak
    if memory.usage.failures:
        body["failcnt"] = memory.usage.failures
    return body


def _blocks(blocks: BlockIoStats | None) -> dict[str, Any]:
    names = {
        "io_service_bytes_recursive": "service_bytes",
        "io_serviced_recursive": "serviced",
        "io_queue_recursive": "queued",
        "io_service_time_recursive": "service_time",
        "io_wait_time_recursive": "wait_time",
        "io_merged_recursive": "merged",
        "io_time_recursive": "time",
        "sectors_recursive": "sectors",
    }
    return {key: None if blocks is None else _counts(getattr(blocks, name)) for key, name in names.items()}


def _counts(counts: Sequence[BlockIoCount]) -> list[dict[str, Any]] | None:
    return [{"major": one.major, "minor": one.minor, "op": one.operation, "value": one.value} for one in counts] or None


def register(router: Router) -> None:
    """Adds the route."""
    router.add("GET", "/containers/{name:path}/stats", stats)
