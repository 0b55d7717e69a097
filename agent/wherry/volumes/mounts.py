"""Mounting what a volume's content comes from: options in mount(8)'s words, mount(2) itself, no helper and no shell."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from wherry import native

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_REMOUNT, MS_BIND, MS_REC = 0x20, 0x1000, 0x4000
_MS_UNBINDABLE, _MS_PRIVATE, _MS_SLAVE, _MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20

# What each word sets, and what its opposite takes back (mount(2); the words are those of mount(8)).
_SET = {
    "ro": MS_RDONLY, "nosuid": MS_NOSUID, "nodev": MS_NODEV, "noexec": MS_NOEXEC, "sync": 0x10, "dirsync": 0x80,
    "mand": 0x40, "noatime": 0x400, "nodiratime": 0x800, "bind": MS_BIND, "rbind": MS_BIND | MS_REC,
    "relatime": 1 << 21, "strictatime": 1 << 24, "remount": MS_REMOUNT,
}  # fmt: skip
_CLEAR = {
    "rw": MS_RDONLY, "suid": MS_NOSUID, "dev": MS_NODEV, "exec": MS_NOEXEC, "async": 0x10, "nomand": 0x40,
    "atime": 0x400, "diratime": 0x800, "norelatime": 1 << 21, "nostrictatime": 1 << 24, "defaults": 0,
}  # fmt: skip
_PROPAGATION = {
    "unbindable": _MS_UNBINDABLE, "private": _MS_PRIVATE, "slave": _MS_SLAVE, "shared": _MS_SHARED,
    "runbindable": _MS_UNBINDABLE | MS_REC, "rprivate": _MS_PRIVATE | MS_REC, "rslave": _MS_SLAVE | MS_REC,
    "rshared": _MS_SHARED | MS_REC,
}  # fmt: skip


@dataclass(frozen=True)
class Options:
    """Options as the kernel takes them; ``data`` is what only the file system understands, separated by commas."""

    flags: int = 0
    propagation: int = 0
    data: str = ""

    @property
    def is_bind(self) -> bool:
        """Whether a place of the host is to be seen here too, and nothing is mounted anew."""
        return bool(self.flags & MS_BIND)


def parse(text: str) -> Options:
    """Options separated by commas, as for ``mount -o``."""
    flags = propagation = 0
    data = []
    for word in filter(None, text.split(",")):
        if word in _SET:
            flags |= _SET[word]
        elif word in _CLEAR:
            flags &= ~_CLEAR[word]
        elif word in _PROPAGATION:
            propagation |= _PROPAGATION[word]
        else:
            data.append(word)
    return Options(flags, propagation, ",".join(data))


def mount(source: str, target: str, kind: str, options: Options) -> None:
    """Mounts; NativeError with the kernel's errno otherwise, and nothing is left mounted."""
    native.mount(source, target, kind, options.flags, options.data)
    try:
        beside = options.flags & ~(MS_BIND | MS_REC)
        if options.is_bind and beside:
            # A bind takes over the flags of its source; it has those of its own only from a second call.
            native.mount("none", target, "", MS_REMOUNT | MS_BIND | beside)
        if options.propagation:
            native.mount("none", target, "", options.propagation)
    except native.NativeError:
        native.unmount(target)
        raise


def is_known(kind: str) -> bool:
    """Whether the running kernel has the file system (filesystems(5)): after an attempt, whose modules it loaded."""
    lines = Path("/proc/filesystems").read_text(encoding="ascii", errors="replace").splitlines()
    return kind in {line.split()[-1] for line in lines if line.split()}


def said(error: native.NativeError) -> str:
    """The errno in the words that Docker's clients know: those of Go, which begin with a small letter."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return text if text.startswith("RPC") else text[:1].lower() + text[1:]


def lacks_file_system(error: native.NativeError, kind: str) -> bool:
    """Whether a mount failed because the kernel does not know its file system."""
    return error.errno == errno.ENODEV and not is_known(kind)


def device_at(place: str | Path) -> str | None:
    """Numbers (``major:minor``) of the device that is mounted there last; None when nothing is (proc(5), mountinfo)."""
    found = None
    wanted = os.fsencode(place)
    for line in Path("/proc/self/mountinfo").read_bytes().splitlines():
        fields = line.split(b" ")
        if _plain(fields[4]) == wanted:
            found = fields[2].decode()
    return found


def is_mounted(place: str | Path) -> bool:
    """Whether something is mounted there."""
    return device_at(place) is not None


def _plain(path: bytes) -> bytes:
    """A path of mountinfo, in which spaces and the like are octal."""
    return path.decode("unicode_escape").encode("latin-1") if b"\\" in path else path


def points() -> set[str]:
    """Every mount point that this process sees."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    return {os.fsdecode(_plain(line.split(b" ")[4])) for line in lines}
