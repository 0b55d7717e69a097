"""``volumes``, ``mounts`` and ``tmpfs`` of a container."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from wherry.containers.model import BindOptions, MountSpec, TmpfsOptions, VolumeOptions
from wherry.engine.documents import fields
from wherry.engine.documents.quantities import size
from wherry.errors import InvalidParameter

MOUNT_TYPES = ("bind", "tmpfs", "volume")
PROPAGATIONS = ("private", "rprivate", "shared", "rshared", "slave", "rslave")
_MODES = frozenset({"ro", "rw", "nocopy", "z", "Z", "consistent", "cached", "delegated", *PROPAGATIONS})
_EFFECTLESS = frozenset({"rw", "z", "Z", "consistent", "cached", "delegated", "rprivate"})
_FORM = '"/PATH", "VOLUME:/PATH[:MODE]" or "/HOST_PATH:/PATH[:MODE]"'


def volumes(value: Any, where: str) -> tuple[str, ...]:
    """Reads ``volumes``: named volumes, paths of the host, and (a path alone) anonymous volumes."""
    entries = fields.texts(value, where)
    for number, entry in enumerate(entries):
        _check_volume(entry, f"{where}[{number}]")
    return entries


def _check_volume(entry: str, where: str) -> None:
    source, _, rest = entry.partition(":")
    if ":" not in entry:
        source, rest = "", entry
    target, _, mode = rest.partition(":")
    if (":" in entry and not source) or not target.startswith("/") or ":" in mode:
        raise InvalidParameter("is not a volume", field=where, value=entry, allowed=_FORM)
    unknown = [word for word in mode.split(",") if mode and word not in _MODES]
    if unknown:
        allowed = f"any of {', '.join(sorted(_MODES))}"
        raise InvalidParameter(f'unknown mode "{unknown[0]}"', field=where, value=entry, allowed=allowed)


def canonical_volumes(entries: tuple[str, ...]) -> set[tuple[str, str, frozenset[str]]]:
    """Volumes as they count: source, target and the modes that have an effect."""
    found = set()
    for entry in entries:
        source, target, mode = entry_parts(entry)
        words = frozenset(word for word in mode.split(",") if word and word not in _EFFECTLESS)
        cleaned = posixpath.normpath(source) if source.startswith("/") else source
        found.add((cleaned, posixpath.normpath(target), words))
    return found


def entry_parts(entry: str) -> tuple[str, str, str]:
    """Source (empty for an anonymous volume), target and mode of an entry of ``volumes``."""
    source, colon, rest = entry.partition(":")
    if not colon:
        return "", entry, ""
    target, _, mode = rest.partition(":")
    return source, target, mode


def mounts(value: Any, where: str) -> tuple[MountSpec, ...]:
    """Reads ``mounts``: a list of dictionaries with suboptions that depend on the type."""
    found = fields.list_of(_mount)(value, where)
    targets: set[str] = set()
    for number, mount in enumerate(found):
        if mount.target in targets:
            raise InvalidParameter("is mounted on twice", field=f"{where}[{number}].target", value=mount.target)
        targets.add(mount.target)
    return found


def _mount(value: Any, where: str) -> MountSpec:
    options = fields.suboptions(value, where)
    kind = options.default("type", fields.choice(*MOUNT_TYPES), "volume")
    readers = {"bind": _bind, "tmpfs": _tmpfs, "volume": _volume}
    spec = MountSpec(
        type=kind,
        target=options.required("target", fields.absolute_path),
        source=options.default("source", fields.text, ""),
        read_only=options.default("read_only", fields.flag, False),
        consistency=options.default(
            "consistency", fields.choice("default", "consistent", "cached", "delegated"), "default"
        ).replace("default", ""),
        **readers[kind](options),
    )
    options.finish()
    if kind == "bind" and not spec.source.startswith("/"):
        field = options.field("source")
        raise InvalidParameter("must be an absolute path on the host", field=field, value=spec.source)
    if kind == "tmpfs" and spec.source:
        raise InvalidParameter("a tmpfs has no source", field=options.field("source"), value=spec.source)
    return spec


def _bind(options: fields.Options) -> dict[str, Any]:
    propagation = options.get("propagation", fields.choice(*PROPAGATIONS))
    recursive = options.get("non_recursive", fields.flag)
    create = options.get("create_mountpoint", fields.flag)
    if propagation is None and recursive is None and create is None:
        return {}
    return {"bind": BindOptions(propagation or "", bool(recursive), bool(create))}


def _tmpfs(options: fields.Options) -> dict[str, Any]:
    amount = options.default("tmpfs_size", size, 0)
    mode = options.default("tmpfs_mode", _mode, 0)
    words = options.get("tmpfs_options", fields.list_of(_tmpfs_option)) or ()
    return {"tmpfs": TmpfsOptions(amount, mode, words)} if amount or mode or words else {}


def _mode(value: Any, where: str) -> int:
    text = value if isinstance(value, str) else ""
    if not text or set(text) - set("01234567") or int(text, 8) > 0o7777:
        raise InvalidParameter("is not an octal mode", field=where, value=value, allowed='such as "1777"')
    return int(text, 8)


def _tmpfs_option(value: Any, where: str) -> tuple[str, ...]:
    if isinstance(value, Mapping) and len(value) == 1:
        ((name, content),) = value.items()
        return (str(name),) if content is None else (str(name), str(content))
    name, equals, content = fields.filled(value, where).partition("=")
    return (name, content) if equals else (name,)


def _volume(options: fields.Options) -> dict[str, Any]:
    made = VolumeOptions(
        no_copy=options.default("no_copy", fields.flag, False),
        labels=options.default("labels", fields.text_map, {}),
        driver=options.default("volume_driver", fields.text, ""),
        driver_options=options.default("volume_options", fields.text_map, {}),
    )
    return {} if made == VolumeOptions() else {"volume": made}


def canonical_mount(mount: MountSpec) -> MountSpec:
    """A mount as it counts: without suboptions that say nothing."""
    volume = None if mount.volume == VolumeOptions() else mount.volume
    if volume and volume.driver == "local":
        volume = replace(volume, driver="")
        volume = None if volume == VolumeOptions() else volume
    bind = mount.bind
    if bind and bind.propagation == "rprivate":
        bind = replace(bind, propagation="")
    bind = None if bind == BindOptions() else bind
    tmpfs = None if mount.tmpfs == TmpfsOptions() else mount.tmpfs
    source = posixpath.normpath(mount.source) if mount.type == "bind" else mount.source
    target = posixpath.normpath(mount.target)
    return replace(mount, source=source, target=target, volume=volume, bind=bind, tmpfs=tmpfs, consistency="")


def mount_json(mount: MountSpec) -> dict[str, Any]:
    """A mount in the words of the option."""
    body: dict[str, Any] = {"type": mount.type, "target": mount.target}
    if mount.source:
        body["source"] = mount.source
    if mount.read_only:
        body["read_only"] = True
    if mount.bind:
        body |= {"propagation": mount.bind.propagation, "non_recursive": mount.bind.non_recursive}
    if mount.tmpfs:
        body |= {"tmpfs_size": mount.tmpfs.size, "tmpfs_mode": f"{mount.tmpfs.mode:o}"}
    if mount.volume:
        body |= {"no_copy": mount.volume.no_copy, "labels": dict(mount.volume.labels)}
    return body


def tmpfs(value: Any, where: str) -> dict[str, str]:
    """Reads ``tmpfs``: ``/run`` or ``/run:size=64k``."""
    found = {}
    for number, entry in enumerate(fields.texts(value, where)):
        target, _, words = entry.partition(":")
        if not target.startswith("/"):
            raise InvalidParameter(
                "is not a tmpfs", field=f"{where}[{number}]", value=entry, allowed='"/PATH" or "/PATH:OPTIONS"'
            )
        found[target] = words
    return found


def canonical_tmpfs(mounted: Mapping[str, str]) -> dict[str, frozenset[str]]:
    """The order of options means nothing."""
    return {
        posixpath.normpath(target): frozenset(word for word in words.split(",") if word)
        for target, words in mounted.items()
    }
