"""Remapping of users: containers in user namespaces whose IDs are those that /etc/subuid and /etc/subgid grant.

On disk stand the owners as a container knows them, in layers, upper directories and volumes alike; a container sees
them through ID-mapped mounts (Linux 5.19). So layers are shared with containers that keep the host's users, nothing
is copied or shifted, and the setting can change while containers exist.
"""

from __future__ import annotations

import grp
import pwd
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.containers.layout import ContainerLayout
from wherry.containers.model import HostConfig
from wherry.errors import Conflict, InvalidParameter, SystemFailure, WherryError
from wherry.native import IdMaps, IdRange
from wherry.paths import Paths

SUBUID = Path("/etc/subuid")
SUBGID = Path("/etc/subgid")
DEFAULT_ACCOUNT = "dockremap"
"""Whose IDs ``default`` means, as in Docker."""
KEY = "userns-remap"
MOST_RANGES = 340
LARGEST_ID = (1 << 32) - 2
HOST = "host"
_FORM = "default, or USER[:GROUP] by name or number, with IDs in /etc/subuid and /etc/subgid"


@dataclass(frozen=True)
class Remap:
    """The maps of every container that does not ask for the host's users."""

    ids: IdMaps

    @property
    def root(self) -> tuple[int, int]:
        """What root of a container is on the host: user and group."""
        return self.ids.uids[0].outside, self.ids.gids[0].outside

    @property
    def shown(self) -> str:
        """For logs: where root begins."""
        return "{}.{}".format(*self.root)


def load(setting: str) -> Remap | None:
    """The maps that ``userns-remap`` asks for, ``None`` when it is empty; raises ``InvalidParameter``."""
    if not setting:
        return None
    user, _, group = setting.partition(":")
    if setting == "default":
        user = DEFAULT_ACCOUNT
    account, uid = _user(user, setting)
    group_name, gid = _group(group, setting) if group else (account, None)
    return Remap(
        IdMaps(
            tuple(_ranges(SUBUID, account, uid, setting)),
            tuple(_ranges(SUBGID, group_name, gid, setting)),
        )
    )


def _user(text: str, setting: str) -> tuple[str, int | None]:
    try:
        found = pwd.getpwuid(int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else pwd.getpwnam(text)
    except KeyError:
        if text.isdigit() or not text:
            raise InvalidParameter("no such user", field=KEY, value=setting, allowed=_FORM) from None
        return text, None  # IDs can be granted to a name without an account
    return found.pw_name, found.pw_uid


def _group(text: str, setting: str) -> tuple[str, int | None]:
    try:
        found = grp.getgrgid(int(text)) if re.fullmatch(r"[0-9]{1,9}", text) else grp.getgrnam(text)
    except KeyError:
        if text.isdigit():
            raise InvalidParameter("no such group", field=KEY, value=setting, allowed=_FORM) from None
        return text, None
    return found.gr_name, found.gr_gid


def _ranges(file: Path, name: str, number: int | None, setting: str) -> Iterator[IdRange]:
    """The ranges of one owner, lowest first, one behind the other inside (subuid(5))."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InvalidParameter(f"{file}: {error.strerror}", field=KEY, value=setting, allowed=_FORM) from error
    owners = {name} if number is None else {name, str(number)}
    granted = sorted(
        (int(fields[1]), int(fields[2]))
        for fields in (line.strip().split(":") for line in lines)
        if len(fields) == 3 and fields[0] in owners and fields[1].isdecimal() and fields[2].isdecimal()
    )
    granted = [(first, count) for first, count in granted if count and first + count - 1 <= LARGEST_ID]
    if not granted or len(granted) > MOST_RANGES:
        raise InvalidParameter(
            f"{file} grants {name} {len(granted)} ranges of IDs",
            field=KEY,
            value=setting,
            allowed=f"1 to {MOST_RANGES} lines such as {name}:100000:65536",
        )
    inside = 0
    for first, count in granted:
        yield IdRange(inside, first, count)
        inside += count


def check(remap: Remap | None, host_config: HostConfig) -> None:
    """What does not go together with users of one's own, in Docker's words."""
    if remap is None or host_config.userns_mode == HOST:
        return
    if host_config.privileged:
        raise InvalidParameter(
            "privileged mode is incompatible with user namespaces.  You must run the container in the host namespace "
            "when running privileged mode"
        )
    for what, mode in (("host's network", host_config.network_mode), ("host PID", host_config.pid_mode)):
        if mode == HOST:
            raise InvalidParameter(f"cannot share the {what} namespace when user namespaces are enabled")


def probe(remap: Remap, paths: Paths) -> None:
    """Raises ``SystemFailure`` where this kernel, or the file system of the data root, cannot map owners; blocks."""
    place = paths.temporary / "userns-probe"
    namespace = paths.userns / "probe"
    shutil.rmtree(place, ignore_errors=True)
    try:
        native.userns_remove(namespace)
        native.userns_create(namespace, remap.ids)
        for name in ("lower", "upper", "work", "root"):
            (place / name).mkdir(parents=True)
        native.mount_mapped_overlay(
            place / "root",
            [place / "lower"],
            place / "upper",
            place / "work",
            user_namespace=namespace,
            root=remap.root,
        )
        native.unmount(place / "root")
    except (WherryError, OSError) as error:
        raise SystemFailure(
            f"{KEY}: owners cannot be mapped here, for which overlayfs of Linux 5.19 is needed and ext4, xfs, btrfs or "
            f"tmpfs below {paths.data_root}: {error}"
        ) from error
    finally:
        native.userns_remove(namespace)
        shutil.rmtree(place, ignore_errors=True)


@dataclass(frozen=True)
class Users:
    """The user namespace of a container that starts: the file that keeps it, and what its root is outside."""

    path: Path
    root: tuple[int, int]


def enter(
    remap: Remap | None, host_config: HostConfig, layout: ContainerLayout, joined: tuple[ContainerLayout, int] | None
) -> Users | None:
    """Makes the user namespace of a container that starts, or takes over that whose other namespaces it joins; blocks.

    ``joined`` is another container with the pid of its first process. ``None`` for a container with the host's users.
    """
    native.userns_remove(layout.userns)
    if remap is None or host_config.userns_mode == HOST:
        return None
    if joined is None:
        native.userns_create(layout.userns, remap.ids)
        return Users(layout.userns, remap.root)
    other, pid = joined
    if not is_kept(other.userns):
        raise Conflict(f"cannot join the namespaces of container {other.container_id}, which has the host's users")
    native.userns_share(other.userns, layout.userns)
    return Users(layout.userns, Remap(ids_of(other, pid)).root)


def is_kept(path: Path) -> bool:
    """Whether a user namespace is kept there."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


def ids_of(layout: ContainerLayout, pid: int) -> IdMaps:
    """The maps of a container that runs, by its first process; none for one with the host's users."""
    if not is_kept(layout.userns):
        return IdMaps()
    return IdMaps(_read_map(pid, "uid_map"), _read_map(pid, "gid_map"))


def _read_map(pid: int, name: str) -> tuple[IdRange, ...]:
    try:
        lines = Path(f"/proc/{pid}/{name}").read_text(encoding="ascii").splitlines()
    except OSError as error:
        raise Conflict(f"the container has ended meanwhile: {error.strerror}") from error
    return tuple(IdRange(*(int(number) for number in line.split())) for line in lines)
