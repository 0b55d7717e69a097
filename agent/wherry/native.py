"""The only door to the C core: typed calls into libwherry (native/include/wherry), and where its programs are.

Every function blocks and may be called from any thread; cffi releases the interpreter's lock for the length of a call.
A failure is a NativeError with the message that the C core made where it happened.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
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
