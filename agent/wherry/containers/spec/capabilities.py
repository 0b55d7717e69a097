"""Which capabilities a container's processes have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from wherry.containers.model import HostConfig
from wherry.errors import InvalidParameter


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Bit order of linux/capability.h.
ALL_CAPABILITIES: tuple[str, ...] = tuple(
    f"CAP_{name}"
    for name in _words(
        """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
    NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT
    SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
    MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
    """
    )
)

DEFAULT_CAPABILITIES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
"""The fourteen that every container of the field starts with."""


def own_capabilities(status: Path = Path("/proc/self/status")) -> tuple[str, ...]:
    """The capabilities that this process can hand on: its bounding set that is also permitted (proc(5))."""
    sets = dict(line.split(":\t", 1) for line in status.read_text(encoding="ascii", errors="replace").splitlines())
    bits = int(sets["CapBnd"], 16) & int(sets["CapPrm"], 16)
    return tuple(name for number, name in enumerate(ALL_CAPABILITIES) if bits >> number & 1)


def bounding_set(host_config: HostConfig, own: Sequence[str]) -> tuple[str, ...]:
    """Defaults, with ``CapAdd`` and ``CapDrop`` applied; everything that the agent has when privileged.

    ``ALL`` in both lists keeps to Docker's rule: added ALL minus the dropped ones, dropped ALL plus the added ones.
    """
    if host_config.privileged:
        return tuple(own)
    added = _names(host_config.cap_add, "CapAdd")
    dropped = _names(host_config.cap_drop, "CapDrop")
    if "ALL" in added:
        return tuple(name for name in own if name not in dropped)
    if "ALL" in dropped:
        return _in_bit_order(added)
    return _in_bit_order((set(DEFAULT_CAPABILITIES) - set(dropped)) | set(added))


def oci_sets(bounding: Sequence[str], uid: int, *, privileged_user: bool = False) -> dict[str, list[str]]:
    """The five sets of ``process.capabilities``.

    Inheritable and ambient stay empty: a file capability would otherwise give an ordinary user what only root shall
    have (CVE-2022-24769). A user other than root starts with none, and keeps the bounding set for set-uid programs.
    """
    held = list(bounding) if uid == 0 or privileged_user else []
    return {"bounding": list(bounding), "effective": held, "permitted": held, "inheritable": [], "ambient": []}


def check(host_config: HostConfig) -> None:
    """Raises ``InvalidParameter`` for a name that no kernel knows."""
    _names(host_config.cap_add, "CapAdd")
    _names(host_config.cap_drop, "CapDrop")


def _names(given: Iterable[str], field: str) -> tuple[str, ...]:
    return tuple(_normalised(name, field) for name in given)


def _normalised(name: str, field: str) -> str:
    upper = name.upper()
    if upper == "ALL":
        return upper
    full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
    if full not in ALL_CAPABILITIES:
        raise InvalidParameter(f'invalid {field}: unknown capability: "{full}"')
    return full


def _in_bit_order(names: Iterable[str]) -> tuple[str, ...]:
    wanted = frozenset(names)
    return tuple(name for name in ALL_CAPABILITIES if name in wanted)
