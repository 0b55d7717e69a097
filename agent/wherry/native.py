"""The only door to the C core: typed calls into libwherry (native/include/wherry), and where its programs are.

Every function blocks and may be called from any thread; cffi releases the interpreter's lock for the length of a call.
A failure is a NativeError with the message that the C core made where it happened.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wherry._native import ffi, lib
from wherry.errors import SystemFailure
from wherry.native_model import (
    PLAIN,
    UNSHIFTED,
    BlockIoCount,
    BlockIoStats,
    Change,
    ChangeKind,
    Compression,
    ContainerStats,
    CpuStats,
    HostStats,
    IdMaps,
    IdRange,
    InterfaceStats,
    KernelFinding,
    KernelReport,
    LayerSummary,
    MemoryStats,
    MemoryUse,
    PackSettings,
    PidsStats,
)

_CHANGES = 0x002 | 0x080 | 0x100 | 0x200  # IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE: <sys/inotify.h>
__all__ = [
    "PLAIN",
    "PROGRAMS_VARIABLE",
    "UNSHIFTED",
    "BlockIoCount",
    "BlockIoStats",
    "Change",
    "ChangeKind",
    "Compression",
    "ContainerStats",
    "CpuStats",
    "HostStats",
    "IdMaps",
    "IdRange",
    "InterfaceStats",
    "KernelFinding",
    "KernelReport",
    "LayerSummary",
    "LayerUnpacker",
    "MemoryStats",
    "MemoryUse",
    "NativeError",
    "PackSettings",
    "PidsStats",
    "changes",
    "container_stats",
    "inotify_add",
    "inotify_open",
    "inotify_remove",
    "kernel_check",
    "mount_mapped_overlay",
    "mount_overlay",
    "netns_create",
    "netns_remove",
    "netns_socket",
    "netns_sysctl",
    "open_in_root",
    "pack_layer",
    "pack_path",
    "pack_tree",
    "program",
    "project_assign",
    "project_limit",
    "project_of",
    "read_in_root",
    "recompress",
    "remove_tree",
    "unmount",
    "unpack_archive",
    "unpack_layer",
    "userns_create",
    "userns_create_network",
    "userns_remove",
    "userns_share",
]

PROGRAMS_VARIABLE = "WHERRY_PROGRAMS"
_SOURCE_TREE_BUILD = Path(__file__).resolve().parents[2] / "native" / "build"


class NativeError(SystemFailure):
    """The C core reports a failure; ``errno`` is that of the system call, or 0 where none failed."""

    def __init__(self, message: str, errno: int) -> None:
        super().__init__(message)
        self.errno = errno


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


class _Options:
    """Options of one call as the C core takes them, with what they point to kept alive."""

    def __init__(self, kind: str, ids: IdMaps, max_bytes: int, max_entries: int) -> None:
        self._kept: list[Any] = []
        self.struct = ffi.new(f"struct {kind} *")
        self.struct.limits.max_bytes = max_bytes
        self.struct.limits.max_entries = max_entries
        for name, ranges in (("uids", ids.uids), ("gids", ids.gids)):
            each = [(one.inside, one.outside, one.count) for one in ranges]
            table = ffi.new("struct wherry_id_range[]", each)
            self._kept.append(table)
            target = getattr(self.struct.ids, name)
            target.ranges, target.count = table, len(each)

    def names(self, paths: Sequence[str | Path]) -> Any:
        """A C array of paths."""
        texts = [ffi.new("char[]", _path(path)) for path in paths]
        table = ffi.new("char *[]", texts)
        self._kept += [texts, table]
        return table


def _layer(result: Any) -> LayerSummary:
    return LayerSummary(
        diff_id="sha256:" + ffi.string(result.diff_id).decode("ascii"),
        digest="sha256:" + ffi.string(result.digest).decode("ascii"),
        compressed_size=int(result.compressed_size),
        size=int(result.size),
        entries=int(result.entries),
    )


@contextlib.contextmanager
def _root(root: int | str | Path) -> Iterator[int]:
    """A directory as a descriptor; one that is given as such stays the caller's."""
    if isinstance(root, int):
        yield root
        return
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)


def unpack_layer(
    source: int,
    target: str | Path,
    *,
    max_bytes: int = 0,
    max_entries: int = 0,
    ids: IdMaps = UNSHIFTED,
    user_xattr: bool = False,
) -> LayerSummary:
    """Unpacks an image layer (tar; gzip, zstd or plain, told apart by magic) from a descriptor into a directory.

    Whiteouts take overlayfs's form, with ``user_xattr`` that for an overlay mounted with the option userxattr. Reading
    and decompression go on beside the writing of files. ``max_bytes`` bounds the bytes of the tar, of any one file, and
    ``max_entries`` its members; 0 leaves each at the C core's default. Nothing outside ``target`` changes, whatever the
    archive says.
    """
    error = _error()
    options = _Options("wherry_unpack_options", ids, max_bytes, max_entries)
    options.struct.user_xattr = user_xattr
    result = ffi.new("struct wherry_layer_result *")
    _check(lib.wherry_layer_unpack(source, _path(target), options.struct, result, error), error)
    return _layer(result)


class LayerUnpacker:
    """Unpacks a layer from chunks as they come, while a download goes on; use it in a ``with`` block.

    The bytes go through a pipe to a thread that runs ``unpack_layer``. ``feed`` blocks while that is behind. Whoever
    has an event loop can make ``fileno()`` non-blocking and write to it instead.
    """

    def __init__(self, target: str | Path, **options: Any) -> None:
        """The options are those of ``unpack_layer``."""
        self._read_end, self._write_end = os.pipe2(os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # more than the user's share of pipe memory
            fcntl.fcntl(self._write_end, fcntl.F_SETPIPE_SZ, 2**20)
        self._outcome: LayerSummary | BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(target, options), name="unpack", daemon=True)
        self._thread.start()

    def _run(self, target: str | Path, options: Mapping[str, Any]) -> None:
        try:
            self._outcome = unpack_layer(self._read_end, target, **options)
        except BaseException as error:
            self._outcome = error
        finally:
            os.close(self._read_end)  # whoever feeds gets EPIPE

    def fileno(self) -> int:
        """The descriptor that takes the bytes."""
        return self._write_end

    def feed(self, chunk: bytes | bytearray | memoryview) -> None:
        """Takes all of a chunk. Raises what made the unpacking fail."""
        rest = memoryview(chunk)
        try:
            while rest:
                rest = rest[os.write(self._write_end, rest) :]
        except BrokenPipeError:
            self.finish()
            raise NativeError("layer: bytes after its end", 0) from None

    def finish(self) -> LayerSummary:
        """No more comes: waits until all is unpacked, and says what it was. Raises what made it fail."""
        self._close()
        self._thread.join()
        assert self._outcome is not None
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    def abort(self) -> None:
        """Ends it without a result. Nothing is written after that; what is there is the caller's to remove."""
        self._close()
        self._thread.join()

    def _close(self) -> None:
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1

    def __enter__(self) -> LayerUnpacker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abort()


def unpack_archive(
    source: int,
    root: int | str | Path,
    path: str | Path,
    *,
    max_bytes: int = 0,
    max_entries: int = 0,
    ids: IdMaps = UNSHIFTED,
    owner: tuple[int, int] | None = None,
    no_overwrite_dir_non_dir: bool = False,
) -> LayerSummary:
    """Unpacks an archive into the directory ``path`` inside ``root``.

    Nothing outside ``root`` is touched, whatever the archive says and whoever swaps links meanwhile. ``root`` is a path
    or an open directory, such as /proc/PID/root, in which a container's mounts are seen. All that is made belongs to
    ``owner`` (user, group, as the container sees them) when given. With ``no_overwrite_dir_non_dir`` a directory never
    gives way to anything else, nor anything else to a directory: errno EEXIST.
    """
    error = _error()
    options = _Options("wherry_unpack_options", ids, max_bytes, max_entries)
    options.struct.no_overwrite_dir_non_dir = no_overwrite_dir_non_dir
    if owner is not None:
        options.struct.has_owner = True
        options.struct.uid, options.struct.gid = owner
    result = ffi.new("struct wherry_layer_result *")
    with _root(root) as directory:
        _check(lib.wherry_archive_unpack(source, directory, _path(path), options.struct, result, error), error)
    return _layer(result)


def _pack_options(form: int, settings: PackSettings) -> _Options:
    options = _Options("wherry_pack_options", settings.ids, settings.max_bytes, settings.max_entries)
    options.struct.form = form
    options.struct.compression = {
        "none": lib.WHERRY_COMPRESSION_NONE,
        "gzip": lib.WHERRY_COMPRESSION_GZIP,
        "zstd": lib.WHERRY_COMPRESSION_ZSTD,
    }[settings.compression]
    options.struct.level = settings.level
    options.struct.threads = settings.threads
    return options


def pack_layer(
    source: str | Path,
    target: int,
    settings: PackSettings = PLAIN,
    *,
    lower: Sequence[str | Path] | None = None,
    places: Sequence[str] = (),
    user_xattr: bool = False,
) -> LayerSummary:
    """Writes a directory to a descriptor as an image layer, a pax archive; the same tree gives the same bytes.

    Without ``lower`` the directory is an overlay's upper one, whose whiteouts and opaque directories take the archive's
    form (a plain tree has none: it becomes a base layer). With ``lower``, layers from the top down, it is a whole tree,
    of which the layer is what differs. ``places`` of mounts (``etc/hosts``) are left out where they hold nothing.
    """
    error = _error()
    options = _pack_options(lib.WHERRY_PACK_UPPER if lower is None else lib.WHERRY_PACK_DIFF, settings)
    options.struct.user_xattr = user_xattr
    if lower is not None:
        options.struct.lower, options.struct.lower_count = options.names(lower), len(lower)
    options.struct.places, options.struct.place_count = options.names(places), len(places)
    result = ffi.new("struct wherry_layer_result *")
    _check(lib.wherry_pack_directory(_path(source), target, options.struct, result, error), error)
    return _layer(result)


def pack_tree(source: str | Path, target: int, settings: PackSettings = PLAIN) -> LayerSummary:
    """Writes what is in a directory to a descriptor as it is: the export of a container's root file system."""
    error = _error()
    options = _pack_options(lib.WHERRY_PACK_TREE, settings)
    result = ffi.new("struct wherry_layer_result *")
    _check(lib.wherry_pack_directory(_path(source), target, options.struct, result, error), error)
    return _layer(result)


def pack_path(
    root: int | str | Path, path: str | Path, name: str, target: int, settings: PackSettings = PLAIN
) -> LayerSummary:
    """Writes one file or directory inside ``root`` to a descriptor, called ``name`` in the archive.

    Nothing outside of ``root`` is read, whoever swaps links meanwhile. A link as the last component is packed as a link
    unless ``path`` ends in a slash; a directory named ``""`` is only what is in it.
    """
    error = _error()
    options = _pack_options(lib.WHERRY_PACK_TREE, settings)
    result = ffi.new("struct wherry_layer_result *")
    with _root(root) as directory:
        found = lib.wherry_pack_path(directory, _path(path), os.fsencode(name), target, options.struct, result, error)
        _check(found, error)
    return _layer(result)


def recompress(source: int, target: int, settings: PackSettings = PLAIN) -> LayerSummary:
    """Reads a stream (gzip, zstd or plain, told apart by magic) and writes it to a descriptor in another compression.

    Of the settings, compression, level, threads and ``max_bytes`` count.
    """
    error = _error()
    options = _pack_options(lib.WHERRY_PACK_TREE, settings)
    result = ffi.new("struct wherry_layer_result *")
    _check(lib.wherry_recompress(source, target, options.struct, result, error), error)
    return _layer(result)


def changes(upper: str | Path, lower: Sequence[str | Path], *, user_xattr: bool = False) -> list[Change]:
    """What an overlay's upper directory changes in the layers below it, from the top down; sorted by path."""
    error, found = _error(), ffi.new("struct wherry_changes *")
    names = [ffi.new("char[]", _path(layer)) for layer in lower]
    try:
        _check(
            lib.wherry_changes_list(_path(upper), ffi.new("char *[]", names), len(names), user_xattr, found, error),
            error,
        )
        text = bytes(ffi.buffer(found.text, found.length)) if found.length else b""
    finally:
        lib.free(found.text)
    # A kind is one of the bytes 0 to 2, a path has no NUL in it.
    listed, at = [], 0
    while at < len(text):
        end = text.index(0, at + 1)
        listed.append(Change(ChangeKind(text[at]), os.fsdecode(text[at + 1 : end])))
        at = end + 1
    return listed


def remove_tree(path: str | Path) -> None:
    """Removes a directory with all that is in it, however deep that is (shutil.rmtree ends where Python's stack does).

    Links are not followed. One that is not there is no error. Blocks.
    """
    error = _error()
    try:
        parent = os.open(Path(path).parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _check(lib.wherry_remove_tree(parent, os.fsencode(Path(path).name), 2**64 - 1, error), error)
    except NativeError as failure:
        if failure.errno != errno.ENOENT:
            raise
    finally:
        os.close(parent)


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


def mount_mapped_overlay(
    target: str | Path,
    lower: Sequence[str | Path],
    upper: Path,
    work: Path,
    *,
    user_namespace: str | Path,
    root: tuple[int, int],
) -> None:
    """The same with every owner seen through the map of the user namespace that is kept at a path.

    ``root`` is what the namespace's root is outside: user and group. ``upper`` and ``work`` must be in one directory.
    Needs Linux 5.19, and file systems that can be mapped.
    """
    if upper.parent != work.parent:
        raise ValueError("upper and work directory must be neighbours")
    error = _error()
    texts = {
        "target": _path(target),
        "data": _path(upper.parent),
        "upper": _path(upper.name),
        "work": _path(work.name),
        "user_namespace": _path(user_namespace),
    }
    kept = {key: ffi.new("char[]", text) for key, text in texts.items()}
    names = [ffi.new("char[]", _path(layer)) for layer in lower]
    table = ffi.new("char *[]", names)
    fields = {**kept, "lower": table, "lower_count": len(names), "uid": root[0], "gid": root[1]}
    wanted = ffi.new("struct wherry_mapped_overlay *", fields)
    _check(lib.wherry_overlay_mount_mapped(wanted, error), error)


def unmount(target: str | Path, *, lazy: bool = False) -> None:
    """Unmounts ``target``; one that is not mounted, or is not there, is no error."""
    error = _error()
    _check(lib.wherry_unmount(_path(target), lazy, error), error)


def mount(source: str | Path, target: str | Path, kind: str, flags: int, data: str = "") -> None:
    """One call of mount(2): ``kind`` is the file system, ``flags`` its MS_ flags, ``data`` that system's options."""
    error = _error()
    options = data.encode() if data else ffi.NULL
    _check(lib.wherry_mount(_path(source), _path(target), kind.encode(), flags, options, error), error)


def project_assign(directory: str | Path, project: int) -> None:
    """Puts a directory, and what is made below it from now on, into a project (project quotas of ext4 and xfs)."""
    error = _error()
    _check(lib.wherry_project_assign(_path(directory), project, error), error)


def project_of(directory: str | Path) -> int:
    """The project of a directory, 0 for none."""
    error = _error()
    project = ffi.new("uint32_t *")
    _check(lib.wherry_project_of(_path(directory), project, error), error)
    return int(project[0])


def project_limit(directory: str | Path, project: int, size: int) -> None:
    """Bounds a project on the directory's file system, in bytes; 0 takes the bound back."""
    error = _error()
    _check(lib.wherry_project_limit(_path(directory), project, size, error), error)


def netns_create(path: str | Path) -> None:
    """Makes a network namespace with its loopback up, kept by a bind mount at ``path`` (which must not exist)."""
    error = _error()
    _check(lib.wherry_netns_create(_path(path), error), error)


def userns_create(path: str | Path, ids: IdMaps) -> None:
    """Makes a user namespace with these maps, kept by a bind mount at ``path`` (which must not exist)."""
    error = _error()
    options = _Options("wherry_unpack_options", ids, 0, 0)
    _check(lib.wherry_userns_create(_path(path), ffi.addressof(options.struct, "ids"), error), error)


def userns_create_network(user_namespace: str | Path, path: str | Path) -> None:
    """Makes a network namespace that belongs to the user namespace, with its loopback up, kept at ``path``."""
    error = _error()
    _check(lib.wherry_userns_create_network(_path(user_namespace), _path(path), error), error)


def userns_share(source: str | Path, path: str | Path) -> None:
    """Keeps the namespace at ``source`` at ``path`` as well."""
    error = _error()
    _check(lib.wherry_userns_share(_path(source), _path(path), error), error)


def userns_remove(path: str | Path) -> None:
    """Lets go of the namespace at ``path``; one that is not there is no error."""
    error = _error()
    _check(lib.wherry_userns_remove(_path(path), error), error)


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


def inotify_open() -> int:
    """A descriptor that tells of changes in directories (inotify(7)); it does not block."""
    descriptor = int(lib.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if descriptor < 0:
        raise NativeError(f"inotify: {os.strerror(ffi.errno)}", ffi.errno)
    return descriptor


def inotify_add(descriptor: int, directory: Path) -> int:
    """Watches for files in a directory that are written, made, renamed or removed; FileNotFoundError for one that is
    not there. The number of the watch is the same for the same directory.
    """
    number = int(lib.inotify_add_watch(descriptor, _path(directory), _CHANGES))
    if number < 0 and ffi.errno in (errno.ENOENT, errno.ENOTDIR):
        raise FileNotFoundError(directory)
    if number < 0:
        raise NativeError(f"inotify: {directory}: {os.strerror(ffi.errno)}", ffi.errno)
    return number


def inotify_remove(descriptor: int, number: int) -> None:
    """Ends a watch; one whose directory has gone has ended by itself."""
    lib.inotify_rm_watch(descriptor, number)


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
