"""``HostConfig.StorageOpt``: how much a container may write to its root file system, by project quotas of the disk.

The bound holds for the upper directory, and with it for all that is written outside of volumes. ``df`` inside shows it.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping

from wherry import native
from wherry.containers.layout import ContainerLayout
from wherry.errors import InvalidParameter

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(i?b)?", re.IGNORECASE)
_UNITS = " kmgtp"
_SMALLEST = 64 * 1024
_FIELD = "HostConfig.StorageOpt"
_UNABLE = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ESRCH, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_OWN_PROJECTS = 0x40000000
"""Ours have this bit and 28 random ones: nobody has to keep a list, and other users of the disk keep theirs."""


def parse(options: Mapping[str, str]) -> int:
    """Bytes, 0 for no bound; raises ``InvalidParameter`` for other options and for what is no size."""
    unknown = sorted(name for name in options if name.lower() != "size")
    if unknown:
        raise InvalidParameter(f"Unknown option {unknown[0]}", field=_FIELD, value=unknown[0], allowed="size")
    if not options:
        return 0
    text = next(iter(options.values()))
    match = _SIZE.fullmatch(text.strip())
    size = int(float(match[1]) * 1024 ** _UNITS.index(match[2].lower() or " ")) if match else 0
    if not _SMALLEST <= size < 1 << 63:
        raise InvalidParameter(f"invalid size: '{text}'", field=f"{_FIELD}.size", value=text, allowed="such as 10G")
    return size


def apply(layout: ContainerLayout, size: int) -> None:
    """Bounds the new and empty directories of a container; blocks. ``InvalidParameter`` where the disk cannot."""
    project = _OWN_PROJECTS | int(layout.container_id[:7], 16)
    try:
        for directory in (layout.upper, layout.work):
            native.project_assign(directory, project)
        native.project_limit(layout.upper, project, size)
    except native.NativeError as error:
        if error.errno not in _UNABLE:
            raise
        raise InvalidParameter(
            f"--storage-opt is supported only where the data root is on xfs or ext4 with project quotas, mounted with "
            f"prjquota, from Linux 5.14 on: {error}",
            field=f"{_FIELD}.size",
        ) from error


def release(layout: ContainerLayout) -> None:
    """Takes the bound back before the directories go: the disk would keep a record of it for ever. Blocks."""
    if not layout.upper.is_dir():
        return
    project = native.project_of(layout.upper)
    if project & _OWN_PROJECTS:
        native.project_limit(layout.upper, project, 0)
