"""Loading kernel modules, now and at every boot, the way this host's init system does it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidParameter, SystemFailure

SYSTEMD_FILE = "etc/modules-load.d/wherry.conf"
"""modules-load.d(5); OpenRC elsewhere than on Gentoo reads the directory too."""
GENTOO_FILE = "etc/conf.d/modules"
"""OpenRC on Gentoo: a shell file, whose variable ``modules`` holds the names."""
MODULES_FILE = "etc/modules"
"""modules(5): Alpine, and Debian without systemd."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_GENTOO_LINE = re.compile(r"""^(?P<head>\s*modules=)(?P<quote>["'])(?P<names>[^"']*)(?P=quote)""", re.MULTILINE)


@dataclass(frozen=True)
class Loading:
    """What was done: modules that were not loaded before, and those that the host did not load at boot, in ``file``."""

    loaded: tuple[str, ...]
    persisted: tuple[str, ...]
    file: Path


def load_modules(
    names: Iterable[str],
    *,
    root: Path = Path("/"),
    modprobe: Callable[[str], None] | None = None,
    check: bool = False,
) -> Loading:
    """Loads modules that are not loaded, and has the host load all of them at boot.

    ``root`` is where the host's /etc, /run and /proc are looked for, ``modprobe`` loads one module (default: the
    program). What is loaded or persisted already is left as it is. With ``check`` nothing is done, and the answer says
    what would be. Raises InvalidParameter for what is no module name,
    before anything is done, and SystemFailure when a module cannot be loaded.
    """
    wanted = tuple(dict.fromkeys(names))
    for name in wanted:
        if not _NAME.fullmatch(name):
            raise InvalidParameter("not a module name", field="modules", value=name, allowed="letters, digits, _ and -")
    present = _loaded(root)
    missing = tuple(name for name in wanted if _canonical(name) not in present)
    for name in () if check else missing:
        (modprobe or _modprobe)(name)
    file, persisted = persist_modules(wanted, root=root, check=check)
    return Loading(missing, persisted, file)


def persist_modules(
    names: Sequence[str], *, root: Path = Path("/"), check: bool = False
) -> tuple[Path, tuple[str, ...]]:
    """Has the host load these modules at boot; returns the file and which of them it did not have yet.

    The file is replaced by rename, so that a host that loses power has the old one or the new one.
    """
    relative = modules_file(root)
    file = root / relative
    content = file.read_text() if file.exists() else ""
    gentoo = relative == GENTOO_FILE
    known = {_canonical(name) for name in (_gentoo_names(content) if gentoo else _plain_names(content))}
    new = tuple(name for name in names if _canonical(name) not in known)
    if new and not check:
        changed = _with_gentoo_names(content, new) if gentoo else _with_plain_names(content, new)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(file.name + ".wherry-new")
        temporary.write_text(changed)
        temporary.chmod(0o644)
        temporary.rename(file)
    return file, new


def modules_file(root: Path = Path("/")) -> str:
    """The file that this host's init system reads at boot, relative to ``root``."""
    if (root / "run/systemd/system").is_dir():
        return SYSTEMD_FILE
    if (root / GENTOO_FILE).exists() or (root / "etc/gentoo-release").exists():
        return GENTOO_FILE
    if (root / MODULES_FILE).exists():
        return MODULES_FILE
    return SYSTEMD_FILE


def _canonical(name: str) -> str:
    return name.replace("-", "_")


def _loaded(root: Path) -> set[str]:
    """What /proc/modules lists; built-in modules have a directory in /sys/module when they have parameters."""
    listing = root / "proc/modules"
    names = {line.split()[0] for line in listing.read_text().splitlines() if line} if listing.exists() else set()
    directory = root / "sys/module"
    return names | ({entry.name for entry in directory.iterdir()} if directory.is_dir() else set())


def _modprobe(name: str) -> None:
    program = shutil.which("modprobe", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise SystemFailure(f"cannot load module {name}: modprobe is not installed (package kmod)")
    done = subprocess.run([program, "--", name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemFailure(f"cannot load module {name}: {done.stderr.strip() or f'modprobe ended {done.returncode}'}")


def _plain_names(content: str) -> list[str]:
    lines = (line.strip() for line in content.splitlines())
    return [line.split()[0] for line in lines if line and line[0] not in "#;"]


def _with_plain_names(content: str, names: Sequence[str]) -> str:
    newline = "\n" if content and not content.endswith("\n") else ""
    return content + newline + "".join(f"{name}\n" for name in names)


def _gentoo_names(content: str) -> list[str]:
    return [name for match in _GENTOO_LINE.finditer(content) for name in match["names"].split()]


def _with_gentoo_names(content: str, names: Sequence[str]) -> str:
    """The last assignment counts in a shell file, so that is the one that grows; without one, one is added."""
    matches = list(_GENTOO_LINE.finditer(content))
    if not matches:
        newline = "\n" if content and not content.endswith("\n") else ""
        return f'{content}{newline}modules="{" ".join(names)}"\n'
    last = matches[-1]
    grown = " ".join([*last["names"].split(), *names])
    return f"{content[: last.start()]}{last['head']}{last['quote']}{grown}{last['quote']}{content[last.end() :]}"
