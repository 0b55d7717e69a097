"""The driver ``loop``: volumes of a fixed size, each a file system of its own in a sparse file on a loop device.

    volumes/<name>/disk.img   the file, mode 0600: as large as the volume, but thin, until something is written
    volumes/<name>/_data      where it is mounted while containers use it

There is no check before a mount: ext4 and xfs have a journal, which the mount replays. What the journal cannot repair
fails the mount or turns the volume read-only, and is for fsck(8) and a person.
"""

from __future__ import annotations

import errno
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path

from wherry import native
from wherry.errors import Conflict, InvalidParameter, SystemFailure
from wherry.volumes import directory, filesystems, loop_device, mounts
from wherry.volumes.filesystems import BLOCK, BY_NAME, EXT4, FileSystem
from wherry.volumes.model import Volume

IMAGE = "disk.img"
DEFAULT_KIND = EXT4.name
_IMAGE_MODE = 0o600
_OPTIONS = ("size", "fstype")
_LARGEST = 1 << 50
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_FACTORS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


class LoopDriver:
    """``size`` (needed; bytes, or with k, m, g, t) and ``fstype`` (ext4 unless xfs is asked for)."""

    def __init__(self, instance: str) -> None:
        self._instance = instance

    def check_options(self, options: Mapping[str, str]) -> None:
        """Refuses other options, sizes that the file system cannot have, and kinds that this host cannot make."""
        for name in options:
            if name not in _OPTIONS:
                raise InvalidParameter(f'invalid option: "{name}"', allowed=f"one of {', '.join(_OPTIONS)}")
        if "size" not in options:
            raise InvalidParameter('missing required option: "size"')
        kind = _kind(options)
        size = parse_size(options["size"])
        if not kind.least <= size <= _LARGEST:
            allowed = f"{kind.name} takes {kind.least >> 20}m to {_LARGEST >> 40}t"
            raise InvalidParameter("is no size for a volume", field="size", value=options["size"], allowed=allowed)
        kind.check_programs()

    def canonical(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """Size in bytes, and the file system by name."""
        if "size" not in options:
            return options
        return {**options, "size": str(parse_size(options["size"])), "fstype": options.get("fstype", DEFAULT_KIND)}

    def make(self, volume: Volume) -> None:
        """A sparse file with the file system in it."""
        directory.make(volume)
        image = image_of(volume)
        try:
            descriptor = os.open(image, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _IMAGE_MODE)
            try:
                os.fchmod(descriptor, _IMAGE_MODE)
                os.ftruncate(descriptor, _size(volume))
                _kind(volume.options).make(image)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise SystemFailure(f"cannot make volume {volume.name}: {image}: {error.strerror}") from error
        except SystemFailure as error:
            raise SystemFailure(f"cannot make volume {volume.name}: {error}") from error

    def remove(self, volume: Volume) -> None:
        """The file, and with it the content."""
        directory.remove(volume)

    def mount(self, volume: Volume) -> None:
        """Mounts it on a loop device; the device goes when the mount does."""
        if mounts.is_mounted(volume.mountpoint):
            return
        try:
            Path(volume.mountpoint).mkdir(exist_ok=True)
            self._mount(volume, _kind(volume.options))
        except (OSError, SystemFailure) as error:
            raise SystemFailure(f"error while mounting volume '{volume.mountpoint}': {_said(error)}") from error

    def _mount(self, volume: Volume, kind: FileSystem) -> None:
        # No privilege comes from what is stored here, neither by mode bits nor by device nodes.
        options = mounts.Options(mounts.MS_NOSUID | mounts.MS_NODEV, data=kind.mount_data)
        with loop_device.attached(image_of(volume), f"{self._instance}/{volume.name}") as device:
            mounts.mount(device, volume.mountpoint, kind.name, options)
        if kind is EXT4:
            filesystems.remove_lost_and_found(Path(volume.mountpoint))

    def unmount(self, volume: Volume) -> None:
        """Takes the mount away; the kernel writes out what waits and gives the device back."""
        try:
            if mounts.is_mounted(volume.mountpoint):
                native.unmount(volume.mountpoint)
        except native.NativeError as error:
            raise SystemFailure(f"error while unmounting volume '{volume.mountpoint}': {mounts.said(error)}") from error

    def grow(self, volume: Volume, before: Volume) -> None:
        """The file first, then the device, then the file system.

        When that fails the file stays larger than what is in it, which does no harm and is put right by the next
        attempt: nobody knows how far the kernel has come, so nothing is cut off.
        """
        image, wanted = image_of(volume), _size(volume)
        if wanted < _size(before):
            raise InvalidParameter(
                "a volume cannot be made smaller", field="size", value=volume.options["size"],
                allowed=f"at least {before.options['size']}, or a new volume",
            )  # fmt: skip
        try:
            present = image.stat().st_size
            if present < wanted:
                os.truncate(image, wanted)
            self._grow(volume, max(present, wanted))
        except OSError as error:
            if error.errno == errno.EPERM:
                os.truncate(image, present)  # refused before it began
                self._refresh(volume)
                raise Conflict(
                    f"volume {volume.name} is mounted, and the kernel grows a mounted ext4 only for a process with "
                    "CAP_SYS_RESOURCE, which the agent lacks: it can be grown while no container that uses it runs"
                ) from error
            raise SystemFailure(f"cannot grow volume {volume.name}: {_said(error)}") from error
        except SystemFailure as error:
            raise SystemFailure(f"cannot grow volume {volume.name}: {error}") from error

    def _grow(self, volume: Volume, size: int) -> None:
        kind = _kind(volume.options)
        if self._refresh(volume):
            filesystems.grow_mounted(kind, Path(volume.mountpoint), size)
        elif kind is EXT4:
            filesystems.grow_ext4_image(image_of(volume))
        else:
            self.mount(volume)
            try:
                filesystems.grow_mounted(kind, Path(volume.mountpoint), size)
            finally:
                self.unmount(volume)

    def _refresh(self, volume: Volume) -> bool:
        """Has the device of a mounted volume take over the file's size; False when it is not mounted."""
        numbers = mounts.device_at(volume.mountpoint)
        device = loop_device.path_of(numbers) if numbers else None
        if device:
            loop_device.refresh(device)
        return device is not None

    def size_of(self, volume: Volume) -> int:
        """What the file takes by now."""
        try:
            return image_of(volume).stat().st_blocks * 512
        except OSError:
            return 0

    def status(self, volume: Volume) -> Mapping[str, object]:
        """Size, what of it is on the disk, the file system, the file, and while it is mounted the device."""
        numbers = mounts.device_at(volume.mountpoint)
        device = loop_device.path_of(numbers) if numbers else None
        known = {"Size": _size(volume), "Allocated": self.size_of(volume), "FileSystem": _kind(volume.options).name}
        return {**known, "Image": str(image_of(volume)), **({"Device": device} if device else {})}


def image_of(volume: Volume) -> Path:
    """The file that holds the volume."""
    return Path(volume.mountpoint).parent / IMAGE


def parse_size(text: str) -> int:
    """Bytes of ``1073741824``, ``1g``, ``1.5 GiB``, rounded up to whole blocks; InvalidParameter otherwise."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise InvalidParameter(
            "is not a size", field="size", value=text, allowed="a number of bytes, or with k, m, g, t"
        )
    factor = _FACTORS[found[2].lower()]
    size = math.ceil(float(found[1]) * factor) if "." in found[1] else int(found[1]) * factor
    return -(-size // BLOCK) * BLOCK


def _size(volume: Volume) -> int:
    return parse_size(volume.options["size"])


def _kind(options: Mapping[str, str]) -> FileSystem:
    name = options.get("fstype", DEFAULT_KIND)
    kind = BY_NAME.get(name)
    if kind is None:
        allowed = f"one of {', '.join(BY_NAME)}"
        raise InvalidParameter("is no file system for a volume", field="fstype", value=name, allowed=allowed)
    return kind


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    return str(error)
