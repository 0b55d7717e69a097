"""What calls into the C core take and return: frozen records, which ``native.py`` fills."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LayerSummary:
    """What one layer, unpacked or packed, turned out to be.

    ``diff_id`` is the digest of the tar, ``digest`` that of the stream as it came (both ``sha256:…``),
    ``compressed_size`` and ``size`` are the bytes of each, ``entries`` counts the members of the archive.
    """

    diff_id: str
    digest: str
    compressed_size: int
    size: int
    entries: int


@dataclass(frozen=True)
class IdRange:
    """``count`` user or group numbers from ``inside`` on (archive, container) are those from ``outside`` on (disk)."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True)
class IdMaps:
    """Maps of owners, as user_namespaces(7) has them; an empty one leaves every number as it is."""

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()


UNSHIFTED = IdMaps()
Compression = Literal["none", "gzip", "zstd"]


@dataclass(frozen=True)
class PackSettings:
    """How an archive is written.

    ``level`` 0 is the usual one of the compression (gzip 6, zstd 3). ``threads`` compress, 0 stands for one a
    processor; the bytes do not depend on it. ``max_bytes`` and ``max_entries`` bound the archive unless they are 0.
    """

    compression: Compression = "none"
    level: int = 0
    threads: int = 0
    ids: IdMaps = UNSHIFTED
    max_bytes: int = 0
    max_entries: int = 0


PLAIN = PackSettings()


class ChangeKind(enum.IntEnum):
    """The Engine API's numbers for what happened to a path."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True)
class Change:
    """One path of a container's file system, absolute, that is no longer as in its image."""

    kind: ChangeKind
    path: str


@dataclass(frozen=True)
class KernelFinding:
    """One option or probe of the kernel check; the fields are those of native/include/wherry/kernel.h.

    ``state`` is ``built-in``, ``module``, ``module-not-loaded``, ``missing``, ``ok``, ``failed`` or ``unknown``.
    """

    group: str
    name: str
    required: bool
    state: str
    module: str | None
    breaks: str
    remedy: str


@dataclass(frozen=True)
class KernelReport:
    """The kernel check's answer: of which kernel, from which configuration file, and whether the system was probed."""

    release: str
    config: str | None
    live: bool
    findings: tuple[KernelFinding, ...]


@dataclass(frozen=True)
class MemoryUse:
    """One of a container's memory counters, in bytes: how much may be used (None: no limit), is, was at most, and how
    often the limit was met."""

    limit: int | None
    usage: int
    peak: int
    failures: int


@dataclass(frozen=True)
class MemoryStats:
    """A container's memory; ``swap`` counts memory and swap together. ``raw`` is all of the kernel's memory.stat,
    ``events`` of v2 its memory.events (low, high, max, oom, oom_kill), empty on v1."""

    usage: MemoryUse
    swap: MemoryUse
    cache: int
    raw: Mapping[str, int]
    events: Mapping[str, int]


@dataclass(frozen=True)
class CpuStats:
    """A container's processor time in nanoseconds; ``per_cpu`` is empty on v2, which does not count it."""

    total: int
    kernel: int
    user: int
    per_cpu: tuple[int, ...]
    periods: int
    throttled_periods: int
    throttled_time: int


@dataclass(frozen=True)
class PidsStats:
    """How many tasks a container has, and may have (None: no limit)."""

    current: int
    limit: int | None


@dataclass(frozen=True)
class BlockIoCount:
    """What was counted for one device and operation (``Read``, ``Write``, ``Sync``, ``Async``, ``Discard``, or "")."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True)
class BlockIoStats:
    """A container's block devices: bytes, operations, and what only v1 with the BFQ scheduler counts beside them."""

    service_bytes: tuple[BlockIoCount, ...]
    serviced: tuple[BlockIoCount, ...]
    queued: tuple[BlockIoCount, ...]
    service_time: tuple[BlockIoCount, ...]
    wait_time: tuple[BlockIoCount, ...]
    merged: tuple[BlockIoCount, ...]
    time: tuple[BlockIoCount, ...]
    sectors: tuple[BlockIoCount, ...]


@dataclass(frozen=True)
class InterfaceStats:
    """What went through one interface of the container's network namespace."""

    name: str
    rx_bytes: int
    rx_packets: int
    rx_errors: int
    rx_dropped: int
    tx_bytes: int
    tx_packets: int
    tx_errors: int
    tx_dropped: int


@dataclass(frozen=True)
class HostStats:
    """What a container's numbers are set against: all CPUs' time since boot (ns), their count, memory (bytes)."""

    cpu_total: int
    cpus_online: int
    memory_total: int


@dataclass(frozen=True)
class ContainerStats:
    """What a container has used, and its host; ``interfaces`` is empty without a network namespace of its own."""

    cpu: CpuStats
    memory: MemoryStats
    pids: PidsStats
    block_io: BlockIoStats
    interfaces: tuple[InterfaceStats, ...]
    host: HostStats
