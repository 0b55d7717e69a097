"""The file systems that a loop volume can have: how they are made, mounted and grown.

Programs of the host are looked for when they are needed and started without a shell; what the kernel can do by itself
(growing a mounted file system) is asked of the kernel.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import SystemFailure, Unsupported

BLOCK = 4096
_SEARCHED = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_PROGRAM_SECONDS = 600
# EXT4_IOC_RESIZE_FS is _IOW('f', 16, __u64); the others stand in <xfs/xfs_fs.h>.
_EXT4_IOC_RESIZE_FS = 0x40086610
_XFS_IOC_FSGEOMETRY_V1 = 0x80705864
_XFS_IOC_FSGROWFSDATA = 0x4010586E
_XFS_GEOMETRY = struct.Struct("=8I Q 80s")
_XFS_GROW = struct.Struct("=Q I 4x")
_EXT4_LOST_AND_FOUND = 11
"""The inode of lost+found as mke2fs makes it: the first that is not reserved."""


@dataclass(frozen=True)
class FileSystem:
    """One kind: the programs that it needs, the package that brings them, and how it is made and mounted."""

    name: str
    package: str
    least: int
    maker: tuple[str, ...]
    mount_data: str

    def check_programs(self) -> None:
        """Unsupported when the program that makes it is not on this host."""
        _program(self.maker[0], self)

    def make(self, image: Path) -> None:
        """Formats the file. SystemFailure with the program's words."""
        _run([_program(self.maker[0], self), *self.maker[1:], str(image)])


EXT4 = FileSystem(
    name="ext4",
    package="e2fsprogs",
    least=16 << 20,
    # Nothing reserved for root, so that df shows what can be written; nothing written that can be left out.
    maker=("mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"),
    # A damaged volume must not stop the host, whatever its superblock says.
    mount_data="discard,errors=remount-ro",
)
XFS = FileSystem(
    name="xfs",
    package="xfsprogs",
    least=300 << 20,  # mkfs.xfs refuses less
    maker=("mkfs.xfs", "-q", "-f", "-K", "-b", f"size={BLOCK}"),
    mount_data="discard",
)
BY_NAME = {one.name: one for one in (EXT4, XFS)}


def grow_mounted(kind: FileSystem, place: Path, size: int) -> None:
    """Has the kernel make the mounted file system fill a device of ``size`` bytes; harmless when it does.

    OSError of the kernel: EPERM for ext4 without CAP_SYS_RESOURCE.
    """
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if kind is EXT4:
            fcntl.ioctl(directory, _EXT4_IOC_RESIZE_FS, struct.pack("=Q", size // BLOCK))
        else:
            geometry = _XFS_GEOMETRY.unpack(fcntl.ioctl(directory, _XFS_IOC_FSGEOMETRY_V1, bytes(_XFS_GEOMETRY.size)))
            largest_inode_share, blocks = geometry[7], geometry[8]
            if size // geometry[0] > blocks:
                wish = _XFS_GROW.pack(size // geometry[0], largest_inode_share)
                fcntl.ioctl(directory, _XFS_IOC_FSGROWFSDATA, wish)
    finally:
        os.close(directory)


def grow_ext4_image(image: Path) -> None:
    """Makes an ext4 file system that is not mounted fill its file; checked first, as resize2fs(8) demands."""
    checked = _started([_program("e2fsck", EXT4), "-f", "-p", str(image)])
    if checked.returncode > 1:  # 1: faults were found and are gone (e2fsck(8))
        raise SystemFailure(f"e2fsck: {_words(checked)}")
    _run([_program("resize2fs", EXT4), "-f", str(image)])


def remove_lost_and_found(place: Path) -> None:
    """Takes away the directory that mke2fs makes, when nothing is in it: to programs a new volume shall be empty."""
    directory = place / "lost+found"
    try:
        status = directory.lstat()
        if stat.S_ISDIR(status.st_mode) and status.st_ino == _EXT4_LOST_AND_FOUND:
            directory.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EROFS):
            raise SystemFailure(f"cannot remove {directory}: {error.strerror}") from error


def _program(name: str, kind: FileSystem) -> str:
    path = os.pathsep.join((*os.environ.get("PATH", "").split(os.pathsep), *_SEARCHED))
    found = shutil.which(name, path=path)
    if found is None:
        raise Unsupported(
            f"not supported: {kind.name} volumes on this host: it has no program {name} (package {kind.package})"
        )
    return found


def _started(argv: list[str]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, cwd="/", timeout=_PROGRAM_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailure(f"{Path(argv[0]).name}: {error}") from error


def _run(argv: list[str]) -> None:
    done = _started(argv)
    if done.returncode:
        raise SystemFailure(f"{Path(argv[0]).name}: {_words(done)}")


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr + b" " + done.stdout).decode("utf-8", "replace")
    return " ".join(said.split()) or f"exit status {done.returncode}"
