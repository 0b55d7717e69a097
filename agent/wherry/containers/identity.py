"""Who a process is: ``USER`` looked up in the image's own /etc/passwd and /etc/group.

Both files are hostile input: they are read inside the root file system, only if regular, and up to one MiB. Numbers
are decimal digits and nothing else, at most 2^31 - 1: a number that overflows, a sign or a prefix is an error and
never becomes user 0 (CVE-2024-40635).
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry import native
from wherry.errors import InvalidParameter, SystemFailure

LARGEST_ID = (1 << 31) - 1
DATABASE_LIMIT = 1 << 20
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
ReadFile = Callable[[str], bytes]
"""Reads a file inside the root file system; empty when there is none."""


@dataclass(frozen=True)
class Identity:
    """Numbers of a process, and the home directory that belongs to its user."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


@dataclass(frozen=True)
class _Account:
    name: str
    uid: int
    gid: int
    home: str


@dataclass(frozen=True)
class _Group:
    name: str
    gid: int
    members: tuple[str, ...]


def resolve(user: str, group_add: Sequence[str], read: ReadFile) -> Identity:
    """The identity that ``user`` (``name``, ``1000``, ``name:group``, ``1000:1000``) has in an image.

    The primary group is always among the supplementary ones (CVE-2022-36109); groups of the user's membership are added
    only when no group was given, ``group_add`` always.
    """
    user_part, colon, group_part = user.partition(":")
    if colon and (not group_part or not user_part):
        raise InvalidParameter("must be user, uid, user:group or uid:gid", field="User", value=user)
    account = _find_account(user_part or "0", _accounts(read("/etc/passwd")))
    groups = list(_groups(read("/etc/group")))
    gid = _find_group(group_part, groups) if colon else account.gid
    supplementary = [gid]
    if not colon and account.name:
        supplementary += [group.gid for group in groups if account.name in group.members]
    supplementary += [_find_group(name, groups) for name in group_add]
    return Identity(account.uid, gid, tuple(dict.fromkeys(supplementary)), account.home or "/")


def _find_account(wanted: str, accounts: Iterator[_Account]) -> _Account:
    number = _number(wanted, "user")
    for account in accounts:
        if account.uid == number if number is not None else account.name == wanted:
            return account
    if number is None:
        raise InvalidParameter(f"unable to find user {wanted}: no matching entries in passwd file")
    return _Account("", number, 0, "/")


def _find_group(wanted: str, groups: Iterable[_Group]) -> int:
    number = _number(wanted, "group")
    if number is not None:
        return number
    for group in groups:
        if group.name == wanted:
            return group.gid
    raise InvalidParameter(f"unable to find group {wanted}: no matching entries in group file")


def _number(text: str, kind: str) -> int | None:
    if not re.fullmatch(r"[0-9]+", text):
        return None
    if len(text) > 10 or int(text) > LARGEST_ID:
        raise InvalidParameter(f"{kind} numbers must be between 0 and {LARGEST_ID}", field="User", value=text)
    return int(text)


def _accounts(content: bytes) -> Iterator[_Account]:
    for fields in _lines(content, 6):
        uid, gid = _entry_number(fields[2]), _entry_number(fields[3])
        if uid is not None and gid is not None:
            yield _Account(fields[0], uid, gid, fields[5])


def _groups(content: bytes) -> Iterator[_Group]:
    for fields in _lines(content, 3):
        gid = _entry_number(fields[2])
        if gid is not None:
            yield _Group(fields[0], gid, tuple(fields[3].split(",")) if len(fields) > 3 else ())


def _lines(content: bytes, fields_needed: int) -> Iterator[list[str]]:
    for line in content.decode("utf-8", "replace").split("\n"):
        fields = line.strip().split(":")
        if len(fields) >= fields_needed and fields[0] and not fields[0].startswith("#"):
            yield fields


def _entry_number(text: str) -> int | None:
    """A number of a database line; a line whose number is none of ours is skipped, not read as something else."""
    if re.fullmatch(r"[0-9]{1,10}", text) and int(text) <= LARGEST_ID:
        return int(text)
    return None


def reader_of(rootfs: Path) -> ReadFile:
    """Reads through libwherry inside ``rootfs``: no link or device of the image leads anywhere else."""

    def read(path: str) -> bytes:
        try:
            return native.read_in_root(rootfs, path, DATABASE_LIMIT)
        except native.NativeError as error:
            if error.errno in _ABSENT:
                return b""
            raise SystemFailure(f"cannot read {path} of the image: {error}") from error

    return read
