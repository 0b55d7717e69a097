"""The only door to the C core: typed calls into libwherry (native/include/wherry), and where its programs are.

Every function blocks and may be called from any thread; cffi releases the interpreter's lock for the length of a call.
A failure is a NativeError with the message that the C core made where it happened.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wherry._native import ffi, lib
from wherry.errors import SystemFailure

PROGRAMS_VARIABLE = "WHERRY_PROGRAMS"
_SOURCE_TREE_BUILD = Path(__file__).resolve().parents[2] / "native" / "build"


class NativeError(SystemFailure):
    """The C core reports a failure; ``errno`` is that of the system call, or 0 where none failed."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


@dataclass(frozen=True)
class UnpackedLayer:
    """What one layer turned out to be.

    ``diff_id`` is the digest of the tar, ``digest`` that of the stream as it came (both ``sha256:…``),
    ``compressed_size`` and ``size`` are the bytes of each, ``entries`` counts the members of the archive.
    """

    diff_id: str
    digest: str
    compressed_size: int
    size: int
    entries: int


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


_UNLIMITED = 1 << 62
"""v1 says "no limit" as the largest multiple of a page, v2 as the largest number."""


def _error() -> Any:
    return ffi.new("struct wherry_error *")


def _check(result: int, error: Any) -> int:
    if result < 0:
        message = ffi.string(error.message).decode(errors="replace")
        raise NativeError(message, int(error.code))
    return result


def _path(value: str | Path) -> bytes:
    return os.fsencode(value)


def unpack_layer(source: int, target: str | Path, *, max_bytes: int = 0, max_entries: int = 0) -> UnpackedLayer:
    """Unpacks an image layer (tar; gzip, zstd or plain, told apart by magic) from a descriptor into a directory.

    Whiteouts take overlayfs's form. ``max_bytes`` bounds the bytes of the tar and ``max_entries`` its members; 0 leaves
    each at the C core's default. Nothing outside ``target`` changes, whatever the archive says.
    """
    error = _error()
    limits = ffi.new("struct wherry_layer_limits *", {"max_bytes": max_bytes, "max_entries": max_entries})
    result = ffi.new("struct wherry_layer_result *")
    _check(lib.wherry_layer_unpack(source, _path(target), limits, result, error), error)
    return UnpackedLayer(
        diff_id="sha256:" + ffi.string(result.diff_id).decode("ascii"),
        digest="sha256:" + ffi.string(result.digest).decode("ascii"),
        compressed_size=int(result.compressed_size),
        size=int(result.size),
        entries=int(result.entries),
    )


def mount_overlay(
    target: str | Path,
    lower: Sequence[str | Path],
    upper: str | Path | None = None,
    work: str | Path | None = None,
) -> None:
    """Mounts an overlay at ``target``: ``lower`` from the top layer down, read-only without ``upper`` and ``work``."""
    error = _error()
    names = [ffi.new("char[]", _path(layer)) for layer in lower]
    _check(
        lib.wherry_overlay_mount(
            _path(target),
            ffi.new("char *[]", names),
            len(names),
            ffi.NULL if upper is None else _path(upper),
            ffi.NULL if work is None else _path(work),
            error,
        ),
        error,
    )


def unmount(target: str | Path, *, lazy: bool = False) -> None:
    """Unmounts ``target``; one that is not mounted, or is not there, is no error."""
    error = _error()
    _check(lib.wherry_unmount(_path(target), lazy, error), error)


def netns_create(path: str | Path) -> None:
    """Makes a network namespace with its loopback up, kept by a bind mount at ``path`` (which must not exist)."""
    error = _error()
    _check(lib.wherry_netns_create(_path(path), error), error)


def netns_remove(path: str | Path) -> None:
    """Lets go of the namespace at ``path``; one that is not there is no error."""
    error = _error()
    _check(lib.wherry_netns_remove(_path(path), error), error)


def netns_socket(path: str | Path, family: int, type: int, protocol: int = 0) -> int:
    """A socket made inside the network namespace at ``path``; returns its descriptor, which the caller closes."""
    error = _error()
    return _check(lib.wherry_netns_socket(_path(path), family, type, protocol, error), error)


def netns_sysctl(path: str | Path, name: str, value: str) -> None:
    """Writes a ``net.…`` sysctl inside the network namespace at ``path``."""
    error = _error()
    _check(lib.wherry_netns_sysctl(_path(path), name.encode(), value.encode(), error), error)


def open_in_root(root: str | Path, path: str, flags: int) -> int:
    """Opens ``path`` with ``root`` as its root directory: links and ``..`` stay below it (openat2(2), RESOLVE_IN_ROOT).

    Returns the descriptor, which the caller closes.
    """
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        error = _error()
        return _check(lib.wherry_paths_open_in_root(directory, _path(path), flags, error), error)
    finally:
        os.close(directory)


def read_in_root(root: str | Path, path: str, limit: int) -> bytes:
    """The content of a regular file in ``root``, at most ``limit`` bytes (more, or no regular file, is an error)."""
    fd = open_in_root(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    text, length = ffi.new("char **"), ffi.new("size_t *")
    try:
        error = _error()
        _check(lib.wherry_file_read_fd(fd, _path(path), limit, text, length, error), error)
        return bytes(ffi.buffer(text[0], length[0]))
    finally:
        os.close(fd)
        lib.free(text[0])


def _memory_use(counter: Mapping[str, int]) -> MemoryUse:
    return MemoryUse(
        limit=counter["limit"] if counter["limit"] < _UNLIMITED else None,
        usage=counter["usage"],
        peak=counter["max"],
        failures=counter["failcnt"],
    )


def _block_io(counts: Sequence[Mapping[str, Any]]) -> tuple[BlockIoCount, ...]:
    return tuple(BlockIoCount(one["major"], one["minor"], one["op"], one["value"]) for one in counts)


def _interface(one: Mapping[str, Any]) -> InterfaceStats:
    return InterfaceStats(
        one["Name"], one["RxBytes"], one["RxPackets"], one["RxErrors"], one["RxDropped"],
        one["TxBytes"], one["TxPackets"], one["TxErrors"], one["TxDropped"],
    )  # fmt: skip


def container_stats(runtime_root: str | Path, container_id: str) -> ContainerStats:
    """What a running container has used, read from its cgroups (v1 or v2) in one call; of the runtime's own record.

    ``runtime_root`` is the runtime's ``--root``. Fails for a container that does not run.
    """
    error, text = _error(), ffi.new("char **")
    try:
        _check(lib.wherry_statistics_json(_path(runtime_root), container_id.encode(), text, error), error)
        found = json.loads(ffi.string(text[0]))
    finally:
        lib.free(text[0])
    cpu, memory, blocks = found["cpu"], found["memory"], found["blkio"]
    return ContainerStats(
        cpu=CpuStats(
            total=cpu["usage"]["total"],
            kernel=cpu["usage"]["kernel"],
            user=cpu["usage"]["user"],
            per_cpu=tuple(cpu["usage"].get("percpu", ())),
            periods=cpu["throttling"]["periods"],
            throttled_periods=cpu["throttling"]["throttledPeriods"],
            throttled_time=cpu["throttling"]["throttledTime"],
        ),
        memory=MemoryStats(
            usage=_memory_use(memory["usage"]),
            swap=_memory_use(memory["swap"]),
            cache=memory["cache"],
            raw=memory["raw"],
            events=memory.get("event_count", {}),
        ),
        pids=PidsStats(found["pids"]["current"], found["pids"]["limit"] or None),
        block_io=BlockIoStats(
            service_bytes=_block_io(blocks["ioServiceBytesRecursive"]),
            serviced=_block_io(blocks["ioServicedRecursive"]),
            queued=_block_io(blocks.get("ioQueueRecursive", ())),
            service_time=_block_io(blocks.get("ioServiceTimeRecursive", ())),
            wait_time=_block_io(blocks.get("ioWaitTimeRecursive", ())),
            merged=_block_io(blocks.get("ioMergedRecursive", ())),
            time=_block_io(blocks.get("ioTimeRecursive", ())),
            sectors=_block_io(blocks.get("sectorsRecursive", ())),
        ),
        interfaces=tuple(_interface(one) for one in found["network_interfaces"] or ()),
        host=HostStats(**found["host"]),
    )


def kernel_check(config_file: str | Path | None = None, kernel_version: str | None = None) -> KernelReport:
    """What the running kernel, or one whose configuration is given, offers to containers.

    ``kernel_version`` ("6.1") says which kernel a given configuration belongs to, where its own header does not.
    """
    error, text = _error(), ffi.new("char **")
    try:
        _check(
            lib.wherry_kernel_check_json(
                ffi.NULL if config_file is None else _path(config_file),
                ffi.NULL if kernel_version is None else kernel_version.encode(),
                text,
                error,
            ),
            error,
        )
        report = json.loads(ffi.string(text[0]))
    finally:
        lib.free(text[0])
    return KernelReport(
        release=report["release"],
        config=report["config"],
        live=report["live"],
        findings=tuple(KernelFinding(**finding) for finding in report["findings"]),
    )


def program(name: str) -> Path:
    """Where ``wherry-runtime`` or ``wherry-monitor`` is.

    Looked for in the directory that WHERRY_PROGRAMS names, beside the interpreter (where the wheel puts them), and in a
    source tree's build directory.
    """
    places = [Path(sys.executable).parent, _SOURCE_TREE_BUILD]
    if PROGRAMS_VARIABLE in os.environ:
        places.insert(0, Path(os.environ[PROGRAMS_VARIABLE]))
    for place in places:
        if os.access(place / name, os.X_OK):
            return place / name
    raise SystemFailure(f"{name} is not installed: looked in {', '.join(map(str, places))}")
