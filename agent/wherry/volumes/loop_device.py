"""Loop devices (loop(4)): one for as long as its file system is mounted, given back by the kernel itself.

Every device is set to clear itself when its last user leaves. So nothing has to be remembered: an agent that is killed
between the steps leaves no device behind, and one that is killed afterwards leaves exactly the mount that uses it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from wherry.errors import SystemFailure

CONTROL = Path("/dev/loop-control")
# <linux/loop.h>
_LOOP_CLR_FD, _LOOP_SET_CAPACITY, _LOOP_CONFIGURE, _LOOP_CTL_GET_FREE = 0x4C01, 0x4C07, 0x4C0A, 0x4C82
_LO_FLAGS_AUTOCLEAR, _LO_FLAGS_DIRECT_IO = 4, 16
_NAME_BYTES = 64
_CONFIG = struct.Struct(f"=II QQQQQ IIII {_NAME_BYTES}s 64s 32s QQ 64s")
"""struct loop_config: descriptor, block size, struct loop_info64, reserved."""
_ATTEMPTS = 64
"""Somebody else may take the free device that the kernel named; it then names another."""


@contextlib.contextmanager
def attached(image: Path, name: str) -> Iterator[str]:
    """The path of a device that shows the file, which stays for the length of the block or while it is mounted.

    ``name`` is what losetup(8) shows beside it. SystemFailure where the host has no loop devices to give.
    """
    backing = os.open(image, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        path, device = _configured(backing, name)
    finally:
        os.close(backing)
    try:
        yield path
    finally:
        os.close(device)


def _configured(backing: int, name: str) -> tuple[str, int]:
    try:
        control = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise SystemFailure(
            f"{CONTROL}: {error.strerror}: the driver loop needs loop devices (modprobe loop)"
        ) from error
    try:
        for _ in range(_ATTEMPTS):
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = _try(path, backing, name)
            if device is not None:
                return path, device
    except OSError as error:
        raise SystemFailure(f"cannot set up a loop device: {error.filename or CONTROL}: {error.strerror}") from error
    finally:
        os.close(control)
    raise SystemFailure("cannot set up a loop device: all that the kernel offered were taken by others meanwhile")


def _try(path: str, backing: int, name: str) -> int | None:
    """A descriptor that keeps the configured device; None when somebody else has it."""
    writable = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        config = _CONFIG.pack(
            backing, 0, 0, 0, 0, 0, 0, 0, 0, 0, _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_DIRECT_IO,
            os.fsencode(name)[: _NAME_BYTES - 1], b"", b"", 0, 0, b"",
        )  # fmt: skip
        try:
            fcntl.ioctl(writable, _LOOP_CONFIGURE, config)
        except OSError as error:
            if error.errno == errno.EBUSY:
                return None
            error.filename = path
            raise
        # Read-only from here on: a kernel may refuse to mount what somebody else could write to.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(writable)


def path_of(numbers: str) -> str | None:
    """The path of the loop device with these numbers (``major:minor``); None when they are no loop device's."""
    device = Path(f"/sys/dev/block/{numbers}")
    return f"/dev/{device.resolve().name}" if (device / "loop").is_dir() else None


def refresh(path: str) -> None:
    """Takes over the size that the file behind the device has now."""
    device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _LOOP_SET_CAPACITY, 0)
    finally:
        os.close(device)


def give_back_below(directory: Path) -> list[str]:
    """Clears devices that show files below a directory, as soon as nothing uses them; returns their paths.

    Their own setting does that, unless somebody has taken it away.
    """
    cleared = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            if entry.read_text().startswith(f"{directory}/"):
                path = f"/dev/{entry.parent.parent.name}"
                device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    fcntl.ioctl(device, _LOOP_CLR_FD, 0)
                finally:
                    os.close(device)
                cleared.append(path)
    return cleared
