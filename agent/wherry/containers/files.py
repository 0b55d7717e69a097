"""Files of containers: looked at, taken out, put in; what has changed; the whole root file system as an archive."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from wherry import native, pipes
from wherry.aio import in_thread
from wherry.containers import identity, times
from wherry.containers.context import Context
from wherry.containers.model import Container
from wherry.containers.root_view import Root, Views
from wherry.errors import Forbidden, InvalidParameter, NotFound
from wherry.images.compression import BZIP2, XZ, decompress, recognise, with_head
from wherry.native import Change, ChangeKind, NativeError

__all__ = ["Archive", "Change", "PathStatus", "changes", "export", "get", "put", "status"]

LINKS_MAX = 40
"""Links that are followed in one path, as by the kernel (path_resolution(7))."""

PLACES_OF_MOUNTS = (
    "dev", "dev/console", "dev/mqueue", "dev/pts", "dev/shm", "etc", "etc/hostname", "etc/hosts", "etc/resolv.conf",
    "proc", "run", "run/docker-init", "sbin", "sbin/docker-init", "sys", "sys/fs", "sys/fs/cgroup",
)  # fmt: skip
"""What the runtime may have made in the container's root to mount something on it: no change of the container's."""


@dataclass(frozen=True)
class PathStatus:
    """One path: ``mode`` as of stat(2), ``link_target`` absolute inside the container, empty for what is no link."""

    name: str
    size: int
    mode: int
    modified: str
    link_target: str


@dataclass(frozen=True)
class Archive:
    """A tar archive to be read. ``close`` gives back what it is read from and has to be awaited, read or not.

    ``status`` says what was taken out, ``None`` for a whole root file system.
    """

    content: AsyncIterator[bytes]
    close: Callable[[], Awaitable[None]]
    status: PathStatus | None = None


async def status(views: Views, container: Container, path: str) -> PathStatus:
    """What is at a path. ``NotFound`` in Docker's words."""
    async with views.opened(container.id) as root:
        return await in_thread(_status, root.descriptor, _absolute(path), container)


async def get(views: Views, container: Container, path: str) -> Archive:
    """A file or a directory with all that is in it. Errors come before the archive is begun."""
    whole = _absolute(path)
    stack = AsyncExitStack()
    try:
        root = await stack.enter_async_context(views.opened(container.id))
        found = await in_thread(_status, root.descriptor, whole, container)
    except BaseException:
        await stack.aclose()
        raise
    return Archive(_packed(root, whole), stack.aclose, found)


def _packed(root: Root, path: str) -> AsyncIterator[bytes]:
    name = "." if path.endswith("/.") else posixpath.basename(path.rstrip("/"))
    source = path.removesuffix(".") if path.endswith("/.") else path
    settings = native.PackSettings(ids=root.ids)
    return pipes.produce(lambda target: native.pack_path(root.descriptor, source, name, target, settings))


async def put(
    views: Views, container: Container, path: str, chunks: AsyncIterator[bytes], *, keep_kinds: bool, owned: bool
) -> None:
    """Unpacks a tar archive (plain, gzip, zstd, bzip2, xz) into a directory that is there.

    ``keep_kinds``: a directory never gives way to anything else, nor anything else to a directory. ``owned``: all of it
    belongs to the container's user.
    """
    place = _absolute(path)
    head, whole = await with_head(chunks)
    kind = recognise(head)
    content = decompress(whole, kind) if kind in (BZIP2, XZ) else whole
    async with views.opened(container.id) as root:
        if not stat.S_ISDIR((await in_thread(_status, root.descriptor, place, container, follow=True)).mode):
            raise InvalidParameter("extraction point is not a directory")
        owner = await in_thread(_owner, root.descriptor, container) if owned else None
        try:
            await pipes.consume(
                content,
                lambda source: native.unpack_archive(
                    source, root.descriptor, place, ids=root.ids, owner=owner, no_overwrite_dir_non_dir=keep_kinds
                ),
            )
        except NativeError as error:
            raise _refusal(error) from error


def _refusal(error: NativeError) -> Exception:
    if error.errno == errno.EROFS:
        return Forbidden("container rootfs is marked read-only")
    if error.errno in (errno.EEXIST, errno.EBADMSG, errno.ENOTDIR):
        return InvalidParameter(str(error))
    return error


async def changes(context: Context, container: Container) -> list[Change]:
    """What the container has changed in its image, sorted by path; places of mounts left out."""
    layers = context.images.layer_directories(context.images.find(container.image_id))
    found = await in_thread(native.changes, context.layout(container.id).upper, list(reversed(layers)))
    return _own_changes(found)


def _own_changes(found: Sequence[Change]) -> list[Change]:
    """A directory that is only there, or only newer, because of a place of a mount in it is no change either."""
    places = {f"/{place}" for place in PLACES_OF_MOUNTS}
    kept: list[Change] = []
    above: set[str] = set()
    for change in reversed(found):
        if change.path in places and change.path not in above and change.kind is not ChangeKind.DELETED:
            continue
        kept.append(change)
        parent = posixpath.dirname(change.path)
        while parent not in above and parent != "/":
            above.add(parent)
            parent = posixpath.dirname(parent)
    return kept[::-1]


async def export(views: Views, container: Container) -> Archive:
    """The root file system as a tar archive, without what is mounted into it."""
    stack = AsyncExitStack()
    try:
        place = await stack.enter_async_context(views.root(container.id))
        ids = views.ids(container)
    except BaseException:
        await stack.aclose()
        raise
    settings = native.PackSettings(ids=ids)
    return Archive(pipes.produce(lambda target: native.pack_tree(place, target, settings)), stack.aclose)


def _absolute(path: str) -> str:
    """Cleaned, with the slash or dot at the end that says that a directory is meant."""
    if not path:
        raise InvalidParameter("missing 'path' parameter", field="path", value=path)
    if "\0" in path:
        raise InvalidParameter("must not contain NUL bytes", field="path")
    clean = posixpath.normpath(f"/{path}").replace("//", "/")
    if path.endswith("/.") or path == ".":
        return f"{clean.rstrip('/')}/."
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def _status(root: int, path: str, container: Container, *, follow: bool = False) -> PathStatus:
    """lstat(2) inside the root; a path that ends in a slash is followed."""
    try:
        found = _lstat(root, path, follow=follow or path.endswith(("/", "/.")))
    except OSError as error:
        if error.errno == errno.ENOTDIR and path.endswith(("/", "/.")):
            raise InvalidParameter(f"{path} in container {container.name}: not a directory") from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise NotFound(f"Could not find the file {path} in container {container.name}") from error
        raise
    name = posixpath.basename(path.rstrip("/")) if not path.endswith("/.") else "."
    target = _followed(root, path) if stat.S_ISLNK(found.st_mode) else ""
    return PathStatus(name or "/", found.st_size, found.st_mode, times.render(found.st_mtime_ns), target)


def _open(root: int, path: str, flags: int) -> int:
    try:
        return native.open_in_root(f"/proc/self/fd/{root}", path, flags)
    except NativeError as error:
        raise OSError(error.errno, str(error)) from error


def _lstat(root: int, path: str, *, follow: bool) -> os.stat_result:
    descriptor = _open(root, path, os.O_PATH | (0 if follow else os.O_NOFOLLOW))
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if path.endswith("/") and path != "/" and not stat.S_ISDIR(status.st_mode):
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return status


def _followed(root: int, path: str) -> str:
    """Where a link leads in the end, by its text: what is there need not exist."""
    for _ in range(LINKS_MAX):
        try:
            descriptor = _open(root, path, os.O_PATH | os.O_NOFOLLOW)
        except OSError:
            return path
        try:
            text = os.readlink("", dir_fd=descriptor)
        except OSError:
            return path
        finally:
            os.close(descriptor)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), text)).replace("//", "/")
    return path


def _owner(root: int, container: Container) -> tuple[int, int] | None:
    if not container.config.user:
        return None
    who = identity.resolve(container.config.user, (), identity.reader_of(Path(f"/proc/self/fd/{root}")))
    return who.uid, who.gid
