"""What a create request says about mounts, parsed: ``Binds``, ``Mounts``, ``Tmpfs``, ``Volumes`` and ``VolumesFrom``.

Nothing here touches a volume or the disk; ``storage.py`` makes it real.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from wherry.containers.model import BindOptions, HostConfig, MountPoint, MountSpec
from wherry.containers.registry import NAME_FORM
from wherry.errors import InvalidParameter

PROPAGATIONS = frozenset({"private", "rprivate", "shared", "rshared", "slave", "rslave"})
# Relabelling means nothing without SELinux, consistency nothing on Linux: Docker takes and forgets both as well.
EFFECTLESS_MODES = frozenset({"z", "Z", "consistent", "cached", "delegated"})
VOLUME_NAME = re.compile(rf"{NAME_FORM}+")
TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
TMPFS_FLAGS = frozenset(
    {
        "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev",
        "sync", "async", "atime", "noatime", "diratime", "nodiratime", "relatime", "norelatime",
        "strictatime", "nostrictatime", "mand", "nomand", "dirsync",
    }
)  # fmt: skip
TMPFS_VALUES = frozenset({"size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"})


def parse_all(host_config: HostConfig) -> dict[str, MountPoint]:
    """Binds, mounts and tmpfs by destination; two for one place are a conflict."""
    points: dict[str, MountPoint] = {}
    tmpfs = (parse_tmpfs(destination, options) for destination, options in host_config.tmpfs.items())
    binds = (parse_bind(text, host_config.volume_driver) for text in host_config.binds)
    mounts = (parse_mount(mount, index) for index, mount in enumerate(host_config.mounts))
    for point in (*binds, *mounts, *tmpfs):
        if point.destination in points:
            raise InvalidParameter(f"Duplicate mount point: {point.destination}")
        points[point.destination] = point
    return points


def clean_destination(path: str, shown: str) -> str:
    """An absolute path without dots and doubled slashes, not the root itself."""
    if not path.startswith("/"):
        raise InvalidParameter(
            f"invalid volume specification: '{shown}': invalid mount path: '{path}' mount path must be absolute"
        )
    cleaned = posixpath.normpath("/" + path.lstrip("/"))
    if cleaned == "/":
        raise InvalidParameter(
            f"invalid volume specification: '{shown}': invalid specification: destination can't be '/'"
        )
    return cleaned


def parse_bind(text: str, volume_driver: str) -> MountPoint:
    """``source:destination[:modes]``, ``name:destination[:modes]`` or ``destination`` alone (an anonymous volume)."""
    parts = text.split(":")
    if len(parts) > 3 or not all(parts):
        raise InvalidParameter(f"invalid volume specification: '{text}'")
    if len(parts) == 1:
        return anonymous(parts[0], volume_driver)
    source, destination = parts[0], clean_destination(parts[1], text)
    mode = parts[2] if len(parts) == 3 else ""
    modes = _modes(mode, text)
    propagation = next((item for item in modes if item in PROPAGATIONS), "")
    if source.startswith("/"):
        return MountPoint(
            "bind",
            destination,
            posixpath.normpath(source),
            mode=mode,
            rw="ro" not in modes,
            propagation=propagation or "rprivate",
            create_source=True,
        )
    _check_volume_name(source)
    if propagation:
        raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {mode}")
    return MountPoint(
        "volume",
        destination,
        name=source,
        driver=volume_driver,
        mode=mode or "z",
        rw="ro" not in modes,
        copy_up="nocopy" not in modes,
    )


def anonymous(destination: str, volume_driver: str) -> MountPoint:
    """A volume that goes with the container; its name is given when it is made."""
    return MountPoint(
        "volume", clean_destination(destination, destination), driver=volume_driver, anonymous=True, copy_up=True
    )


def parse_tmpfs(destination: str, text: str) -> MountPoint:
    """``--tmpfs``: safe defaults, each taken back by its opposite."""
    options = list(TMPFS_DEFAULTS)
    read_only = False
    for option in filter(None, text.split(",")):
        _check_tmpfs_option(option)
        if option in ("ro", "rw"):
            read_only = option == "ro"
            continue
        if f"no{option}" in options:
            options.remove(f"no{option}")
        if option not in options:
            options.append(option)
    return MountPoint("tmpfs", clean_destination(destination, destination), rw=not read_only, options=tuple(options))


def _check_tmpfs_option(option: str) -> None:
    name, equals, value = option.partition("=")
    is_value = name in TMPFS_VALUES and equals and value
    if option not in TMPFS_FLAGS and not is_value:
        raise InvalidParameter(f'invalid tmpfs option ["{option}"]')


def parse_mount(mount: MountSpec, index: int) -> MountPoint:
    """An entry of ``Mounts``."""
    field = f"HostConfig.Mounts[{index}]"
    if not mount.target:
        raise InvalidParameter(f'invalid mount config for type "{mount.type}": field Target must not be empty')
    destination = clean_destination(mount.target, mount.target)
    given = (("bind", mount.bind), ("volume", mount.volume), ("tmpfs", mount.tmpfs), ("image", mount.image))
    for kind, options in given:
        if options is not None and kind != mount.type:
            raise InvalidParameter(
                f'invalid mount config for type "{mount.type}": field {kind.title()}Options must not be specified'
            )
    builders = {"bind": _bind_mount, "volume": _volume_mount, "tmpfs": _tmpfs_mount, "image": _image_mount}
    builder = builders.get(mount.type)
    if builder is None:
        raise InvalidParameter(
            f'invalid mount config for type "{mount.type}": mount type unknown',
            field=f"{field}.Type",
            value=mount.type,
            allowed="bind, volume, tmpfs or image",
        )
    return replace(builder(mount), destination=destination, rw=not mount.read_only)


def _bind_mount(mount: MountSpec) -> MountPoint:
    if not mount.source:
        raise InvalidParameter('invalid mount config for type "bind": field Source must not be empty')
    if not mount.source.startswith("/"):
        raise InvalidParameter(
            f"invalid mount config for type \"bind\": invalid mount path: '{mount.source}' mount path must be absolute"
        )
    options = mount.bind
    if options and options.propagation and options.propagation not in PROPAGATIONS:
        raise InvalidParameter(f'invalid mount config for type "bind": invalid propagation mode: {options.propagation}')
    if options and options.read_only_force_recursive:
        _check_forced(mount, options)
    return MountPoint(
        "bind",
        "",
        posixpath.normpath(mount.source),
        propagation=(options.propagation if options else "") or "rprivate",
        recursive=not (options and options.non_recursive),
        read_only_below=not (options and options.read_only_non_recursive),
        create_source=bool(options and options.create_mountpoint),
    )


def _volume_mount(mount: MountSpec) -> MountPoint:
    if mount.source:
        _check_volume_name(mount.source)
    options = mount.volume
    subpath = options.subpath if options else ""
    if subpath and (not mount.source or subpath.startswith("/") or ".." in subpath.split("/")):
        raise InvalidParameter(
            'invalid mount config for type "volume": subpath must be a relative path within a named volume'
        )
    return MountPoint(
        "volume",
        "",
        name=mount.source,
        driver=options.driver if options else "",
        mode="z",
        anonymous=not mount.source,
        copy_up=not (options and options.no_copy),
        subpath=subpath,
    )


def _image_mount(mount: MountSpec) -> MountPoint:
    """``storage.py`` puts the image's ID in the place of its name; what a container writes to it goes with its run."""
    subpath = mount.image.subpath if mount.image else ""
    if not mount.source:
        raise InvalidParameter('invalid mount config for type "image": field Source must not be empty')
    if subpath.startswith("/") or ".." in subpath.split("/"):
        raise InvalidParameter(
            'invalid mount config for type "image": subpath must be a relative path within the image'
        )
    return MountPoint("image", "", name=mount.source, subpath=subpath)


def _check_forced(mount: MountSpec, options: BindOptions) -> None:
    """What is forced must be possible: mount_setattr(2) makes a whole tree read-only, if it does not propagate."""
    contrary = {
        "ReadOnly must be true": not mount.read_only,
        "ReadOnlyNonRecursive must be false": options.read_only_non_recursive,
        "NonRecursive must be false": options.non_recursive,
        "Propagation must be private or rprivate": options.propagation not in ("", "private", "rprivate"),
    }
    for said, is_contrary in contrary.items():
        if is_contrary:
            raise InvalidParameter(f'invalid mount config for type "bind": {said} with ReadOnlyForceRecursive')


def _tmpfs_mount(mount: MountSpec) -> MountPoint:
    if mount.source:
        raise InvalidParameter('invalid mount config for type "tmpfs": field Source must not be specified')
    options = list(TMPFS_DEFAULTS)
    given = mount.tmpfs
    if given:
        if given.size < 0:
            raise InvalidParameter("must not be negative", field="TmpfsOptions.SizeBytes", value=given.size)
        options += [f"size={given.size}"] if given.size else []
        options += [f"mode={given.mode:o}"] if given.mode else []
        for option in given.options:
            _check_tmpfs_option("=".join(option))
        options += ["=".join(option) for option in given.options if option != ("exec",)]
        if ("exec",) in given.options:
            options.remove("noexec")
    return MountPoint("tmpfs", "", options=tuple(options))


def parse_volumes_from(text: str) -> tuple[str, bool | None]:
    """``container[:ro|rw]`` as the container and whether it is writable (``None``: as in that container)."""
    reference, colon, mode = text.partition(":")
    if not reference or (colon and not set(mode.split(",")) <= {"ro", "rw", *EFFECTLESS_MODES}):
        raise InvalidParameter(f"invalid volumes-from specification: {text}")
    return reference, None if not colon else "ro" not in mode.split(",")


def image_volumes(paths: Iterable[str], volume_driver: str, taken: Mapping[str, MountPoint]) -> list[MountPoint]:
    """Anonymous volumes for ``VOLUME`` paths that nothing else is mounted on.

    The path is cleaned as if the image's root were all there is: ``/../../etc`` is ``/etc`` of the container.
    """
    points = (anonymous(path if path.startswith("/") else f"/{path}", volume_driver) for path in paths)
    return [point for point in points if point.destination not in taken]


def _modes(mode: str, text: str) -> frozenset[str]:
    modes = frozenset(filter(None, mode.split(",")))
    unknown = modes - PROPAGATIONS - EFFECTLESS_MODES - {"ro", "rw", "nocopy"}
    if unknown or {"ro", "rw"} <= modes or len(modes & PROPAGATIONS) > 1:
        raise InvalidParameter(f"invalid volume specification: '{text}': invalid mode: {mode}")
    return modes


def _check_volume_name(name: str) -> None:
    if not VOLUME_NAME.fullmatch(name):
        raise InvalidParameter(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only "{NAME_FORM}" are '
            "allowed. If you intended to pass a host directory, use absolute path"
        )
