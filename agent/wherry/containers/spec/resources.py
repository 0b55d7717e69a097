"""``linux.resources`` of config.json: memory, CPU, processes, block I/O; and the checks that they get at creation."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wherry.containers.model import HostConfig, ThrottleDevice
from wherry.errors import InvalidParameter, SystemFailure

SMALLEST_MEMORY = 6 * 1024 * 1024
DEFAULT_CPU_PERIOD = 100_000
UNLIMITED = -1
NANO = 1_000_000_000
CPU_PERIODS = (1000, 1_000_000)
BLOCK_WEIGHTS = (10, 1000)


def build_resources(host_config: HostConfig, *, swap_accounting: bool) -> dict[str, Any]:
    """The limits that were asked for; what was not is absent, and the kernel's default holds."""
    sections = {
        "memory": memory_section(host_config, swap_accounting=swap_accounting),
        "cpu": cpu_section(host_config),
        "blockIO": _block_section(host_config),
    }
    resources = {name: section for name, section in sections.items() if section}
    if host_config.pids_limit is not None:
        resources["pids"] = {"limit": host_config.pids_limit or UNLIMITED}
    return resources


def memory_section(host_config: HostConfig, *, swap_accounting: bool) -> dict[str, Any]:
    """Bytes. Without a swap limit, memory and swap together get twice the memory, as in Docker."""
    memory: dict[str, Any] = {}
    if host_config.memory:
        memory["limit"] = host_config.memory
        if swap_accounting:
            memory["swap"] = host_config.memory_swap or 2 * host_config.memory
    if host_config.memory_reservation:
        memory["reservation"] = host_config.memory_reservation
    if host_config.memory_swappiness is not None:
        memory["swappiness"] = host_config.memory_swappiness
    if host_config.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def cpu_section(host_config: HostConfig) -> dict[str, Any]:
    """Shares, quota and period in microseconds, realtime, and the sets."""
    cpu: dict[str, Any] = {}
    if host_config.nano_cpus:
        cpu["period"] = DEFAULT_CPU_PERIOD
        cpu["quota"] = host_config.nano_cpus * DEFAULT_CPU_PERIOD // NANO
    values = {
        "shares": host_config.cpu_shares,
        "period": host_config.cpu_period,
        "quota": host_config.cpu_quota,
        "realtimePeriod": host_config.cpu_realtime_period,
        "realtimeRuntime": host_config.cpu_realtime_runtime,
        "cpus": host_config.cpuset_cpus,
        "mems": host_config.cpuset_mems,
    }
    cpu.update((name, value) for name, value in values.items() if value)
    return cpu


def _block_section(host_config: HostConfig) -> dict[str, Any]:
    section: dict[str, Any] = {}
    if host_config.blkio_weight:
        section["weight"] = host_config.blkio_weight
    if host_config.blkio_weight_device:
        section["weightDevice"] = [
            {**_device_number(device.path), "weight": device.weight} for device in host_config.blkio_weight_device
        ]
    throttles = {
        "throttleReadBpsDevice": host_config.blkio_device_read_bps,
        "throttleWriteBpsDevice": host_config.blkio_device_write_bps,
        "throttleReadIOPSDevice": host_config.blkio_device_read_iops,
        "throttleWriteIOPSDevice": host_config.blkio_device_write_iops,
    }
    section.update((name, _throttle(devices)) for name, devices in throttles.items() if devices)
    return section


def _throttle(devices: Sequence[ThrottleDevice]) -> list[dict[str, int]]:
    return [{**_device_number(device.path), "rate": device.rate} for device in devices]


def _device_number(path: str) -> dict[str, int]:
    try:
        status = Path(path).stat()
    except OSError as error:
        raise SystemFailure(f"{path}: {error.strerror}") from error
    if not stat.S_ISBLK(status.st_mode):
        raise InvalidParameter(f"{path}: is not a block device")
    return {"major": os.major(status.st_rdev), "minor": os.minor(status.st_rdev)}


def check_limits(host_config: HostConfig) -> None:
    """Raises ``InvalidParameter``, in Docker's words, for limits that are out of range or contradict each other."""
    _check_memory(host_config)
    _check_cpu(host_config)
    _check_block(host_config)


def _check_block(host_config: HostConfig) -> None:
    weights = [("BlkioWeight", host_config.blkio_weight)] if host_config.blkio_weight else []
    weights += [(f"BlkioWeightDevice {device.path}", device.weight) for device in host_config.blkio_weight_device]
    for name, weight in weights:
        if not BLOCK_WEIGHTS[0] <= weight <= BLOCK_WEIGHTS[1]:
            raise InvalidParameter("Range of blkio weight is from 10 to 1000", field=f"HostConfig.{name}", value=weight)
    throttles = {
        "BlkioDeviceReadBps": host_config.blkio_device_read_bps,
        "BlkioDeviceWriteBps": host_config.blkio_device_write_bps,
        "BlkioDeviceReadIOps": host_config.blkio_device_read_iops,
        "BlkioDeviceWriteIOps": host_config.blkio_device_write_iops,
    }
    for name, devices in throttles.items():
        for index, device in enumerate(devices):
            if device.rate < 0:
                field = f"HostConfig.{name}[{index}].Rate"
                raise InvalidParameter("must not be negative", field=field, value=device.rate)


def _check_memory(host_config: HostConfig) -> None:
    memory, swap, reservation = host_config.memory, host_config.memory_swap, host_config.memory_reservation
    if memory < 0 or 0 < memory < SMALLEST_MEMORY:
        raise InvalidParameter("Minimum memory limit allowed is 6MB")
    if swap > 0 and not memory:
        raise InvalidParameter("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < swap < memory:
        raise InvalidParameter("Minimum memoryswap limit should be larger than memory limit, see usage")
    if swap < -1:
        raise InvalidParameter("must be -1 (unlimited), zero or positive", field="HostConfig.MemorySwap", value=swap)
    if reservation < 0 or 0 < reservation < SMALLEST_MEMORY:
        raise InvalidParameter("Minimum memory reservation allowed is 6MB")
    if memory and reservation > memory:
        raise InvalidParameter("Minimum memory limit can not be less than memory reservation limit, see usage")
    swappiness = host_config.memory_swappiness
    if swappiness is not None and not 0 <= swappiness <= 100:
        raise InvalidParameter(f"Invalid value: {swappiness}, valid memory swappiness range is 0-100")


def _check_cpu(host_config: HostConfig) -> None:
    nano_cpus, available = host_config.nano_cpus, os.cpu_count() or 1
    for name, value in (("Period", host_config.cpu_period), ("Quota", host_config.cpu_quota)):
        if nano_cpus and value:
            raise InvalidParameter(f"Conflicting options: Nano CPUs and CPU {name} cannot both be set")
    if nano_cpus < 0 or nano_cpus > available * NANO:
        raise InvalidParameter(
            f"range of CPUs is from 0.01 to {available}.00, as there are only {available} CPUs available"
        )
    if host_config.cpu_shares < 0:
        raise InvalidParameter(f"invalid CPU shares ({host_config.cpu_shares}): value must be a positive integer")
    if host_config.cpu_period and not CPU_PERIODS[0] <= host_config.cpu_period <= CPU_PERIODS[1]:
        raise InvalidParameter("CPU cfs period cannot be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if 0 < host_config.cpu_quota < CPU_PERIODS[0]:
        raise InvalidParameter("CPU cfs quota cannot be less than 1ms (i.e. 1000)")
    _check_set(host_config.cpuset_cpus, "cpus", set(range(available)))
    _check_set(host_config.cpuset_mems, "memory nodes", None)


def _check_set(text: str, what: str, available: set[int] | None) -> None:
    """A list as the kernel reads it (cpuset(7), "List format")."""
    wanted: set[int] = set()
    try:
        for part in filter(None, text.split(",")):
            first, _, last = part.partition("-")
            if not first.isdigit() or (last and not last.isdigit()) or len(part) > 11:
                raise ValueError
            wanted.update(range(int(first), int(last or first) + 1))
    except ValueError:
        raise InvalidParameter(f"Invalid value {text} for cpuset {what}") from None
    if available is not None and not wanted <= available:
        shown = f"0-{len(available) - 1}" if len(available) > 1 else "0"
        raise InvalidParameter(f"Requested CPUs are not available - requested {text}, available: {shown}")
