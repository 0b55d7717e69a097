"""The local driver: directories below ``data-root/volumes``, and mounts onto them. All calls block."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from wherry.errors import InvalidParameter, SystemFailure, Unsupported
from wherry.volumes.model import Volume

DATA = "_data"
REMOVING_PREFIX = ".removing-"
_ENTRY_MODE, _DATA_MODE = 0o701, 0o755
_MOUNT_KEYS = ("type", "o", "device")
_MOUNT_SECONDS = 60


def check_options(options: Mapping[str, str]) -> None:
    """Refuses options that the driver does not know, and mounts that lack a part."""
    for name in options:
        if name == "size":
            raise Unsupported('not supported: volume option "size"; a tmpfs volume takes o=size=…')
        if name not in _MOUNT_KEYS:
            raise InvalidParameter(f'invalid option: "{name}"', allowed=f"one of {', '.join(_MOUNT_KEYS)}")
    if options:
        for name in ("type", "device"):
            if not options.get(name) and not (name == "type" and "bind" in options.get("o", "").split(",")):
                raise InvalidParameter(f'missing required option: "{name}"')


def make_directory(volume: Volume) -> None:
    """The volume's directory; harmless when it is there."""
    data = Path(volume.mountpoint)
    try:
        data.parent.mkdir(mode=_ENTRY_MODE, exist_ok=True)
        data.mkdir(exist_ok=True)
        # After the fact, because mkdir's mode is cut by the umask.
        data.parent.chmod(_ENTRY_MODE)
        data.chmod(_DATA_MODE)
    except OSError as error:
        raise SystemFailure(f"cannot make volume {volume.name}: {error.filename}: {error.strerror}") from error


def remove_directory(volume: Volume) -> None:
    """Takes the volume's directory away: first out of sight by a rename, then its content."""
    unmount(volume)
    entry = Path(volume.mountpoint).parent
    doomed = entry.parent / f"{REMOVING_PREFIX}{volume.name}"
    try:
        if entry.exists():
            if doomed.exists():
                shutil.rmtree(doomed)
            entry.rename(doomed)
        if doomed.exists():
            shutil.rmtree(doomed)
    except OSError as error:
        raise SystemFailure(f"cannot remove volume {volume.name}: {error.filename}: {error.strerror}") from error


def is_mounted(volume: Volume) -> bool:
    """Whether something is mounted on the volume's directory."""
    return str(Path(volume.mountpoint)) in _mount_points()


def mount(volume: Volume) -> None:
    """Mounts what the options say, unless it is mounted already (mount(8) knows the helpers, as for nfs)."""
    if is_mounted(volume):
        return
    options = volume.options
    command = ["mount"]
    kind = options.get("type", "")
    if kind and kind != "none" and "bind" not in options.get("o", "").split(","):
        command += ["-t", kind]
    if options.get("o"):
        command += ["-o", options["o"]]
    _run([*command, "--", options["device"], volume.mountpoint], volume, "mount")


def unmount(volume: Volume) -> None:
    """Takes the mount away; harmless when there is none."""
    if is_mounted(volume):
        _run(["umount", "--", volume.mountpoint], volume, "unmount")


def size_of(volume: Volume) -> int:
    """Bytes on disk below the volume's directory."""
    total = 0
    for directory, _names, files in os.walk(volume.mountpoint):
        for name in files:
            try:
                total += (Path(directory) / name).lstat().st_blocks * 512
            except OSError:
                continue  # gone in the meantime
    return total


def _run(command: list[str], volume: Volume, verb: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_MOUNT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailure(f"error while {verb}ing volume '{volume.mountpoint}': {error}") from error
    if done.returncode:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())
        raise SystemFailure(
            f"error while {verb}ing volume '{volume.mountpoint}': failed to {verb} local volume: {words}"
        )


def _mount_points() -> set[str]:
    """Every mount point that this process sees (proc(5), mountinfo; spaces and the like are octal there)."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return {os.fsdecode(line.split(b" ")[4].decode("unicode_escape").encode("latin-1")) for line in lines}
