"""A container's root file system: an overlay of the image's layers with a directory of its own on top."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from wherry import native
from wherry.containers import storage_limit
from wherry.containers.layout import ContainerLayout
from wherry.containers.remap import Users
from wherry.errors import SystemFailure

# The upper directory is the root of the container and shows the mode that any root directory has.
ROOT_MODE = 0o755
PRIVATE_MODE = 0o700
REMOVAL_ATTEMPTS = 100


def make_directories(layout: ContainerLayout) -> None:
    """Everything that the container keeps on disk, empty; blocks."""
    layout.data.mkdir(mode=PRIVATE_MODE)
    layout.upper.mkdir()
    layout.upper.chmod(ROOT_MODE)
    layout.work.mkdir(mode=PRIVATE_MODE)
    layout.rootfs.mkdir(mode=PRIVATE_MODE)


def mount(layout: ContainerLayout, layers_lowest_first: Sequence[Path], users: Users | None = None) -> None:
    """Mounts the root file system; one that is mounted already is left as it is. Blocks."""
    if not os.path.ismount(layout.rootfs):
        stack(layout.rootfs, layers_lowest_first, layout.upper, layout.work, users)


def stack(target: Path, layers_lowest_first: Sequence[Path], upper: Path, work: Path, users: Users | None) -> None:
    """Mounts layers under an upper directory, with the owners that they have for these users; blocks."""
    layers = list(reversed(layers_lowest_first))
    if users is None:
        native.mount_overlay(target, layers, upper, work)
    else:
        native.mount_mapped_overlay(target, layers, upper, work, user_namespace=users.path, root=users.root)


@contextmanager
def unmapped(layout: ContainerLayout, layers_lowest_first: Sequence[Path]) -> Iterator[Path]:
    """What the container's root holds, with the owners as they are on disk; nobody writes to it meanwhile. Blocks."""
    layers = list(reversed(layers_lowest_first))
    if any(layout.upper.iterdir()):
        layers.insert(0, layout.upper)
    if len(layers) == 1:  # nothing to be stacked
        yield layers[0]
        return
    layout.unmapped.mkdir(mode=PRIVATE_MODE, exist_ok=True)
    try:
        native.mount_overlay(layout.unmapped, layers)
        yield layout.unmapped
    finally:
        native.unmount(layout.unmapped)
        layout.unmapped.rmdir()


def unmount(layout: ContainerLayout) -> None:
    """Gives back every mount below the container's directory; harmless when there is none. Blocks."""
    for target in (layout.rootfs, layout.shm, layout.unmapped):
        while os.path.ismount(target):
            native.unmount(target, lazy=True)
    for root in layout.images.glob("*/root"):
        native.unmount(root, lazy=True)
    with contextlib.suppress(native.NativeError):
        native.remove_tree(layout.images)
    for part in layout.parts.glob("*"):
        # A bind from the same file system does not look like a mount. Only what is empty goes, no volume's content.
        native.unmount(part, lazy=True)
        if part.is_dir():
            part.rmdir()
        else:
            part.unlink()


def remove_directories(layout: ContainerLayout) -> None:
    """Takes the container off the disk; blocks.

    Each directory gets another name first, so that one that is there under its own name is always whole.
    """
    unmount(layout)
    storage_limit.release(layout)
    for directory in (layout.run, layout.data):
        doomed = directory.with_name(f".removed-{layout.container_id}")
        if directory.exists():
            directory.rename(doomed)
        _remove_tree(doomed)


def _remove_tree(directory: Path) -> None:
    """Also while monitors that are about to end take their own files away."""
    for _ in range(REMOVAL_ATTEMPTS):
        try:
            native.remove_tree(directory)
        except native.NativeError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        if not directory.exists():
            return
    raise SystemFailure(f"cannot remove {directory}: somebody goes on filling it")
