"""Platforms: their spelling, what this machine is, and which entry of an index fits one."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from wherry.errors import InvalidParameter, NotFound

_ARCHITECTURES = {
    "x86_64": ("amd64", ""),
    "x86-64": ("amd64", ""),
    "amd64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "arm64": ("arm64", ""),
    "armhf": ("arm", "v7"),
    "armel": ("arm", "v6"),
    "armv8l": ("arm", "v7"),
    "armv7l": ("arm", "v7"),
    "armv6l": ("arm", "v6"),
    "armv5tel": ("arm", "v5"),
    "i386": ("386", ""),
    "i686": ("386", ""),
}
_SYSTEMS = frozenset({"linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "plan9"})
_KNOWN = frozenset({"amd64", "arm64", "arm", "386", "ppc64", "ppc64le", "riscv64", "s390x", "loong64"}) | frozenset(
    {"mips", "mipsle", "mips64", "mips64le", "wasm"}
)
# What stands for "no variant" in each architecture: arm64 is v8 unless it says otherwise.
_USUAL_VARIANT = {"arm64": "v8", "arm": "v7", "amd64": "v1"}


@dataclass(frozen=True)
class Platform:
    """An operating system, an architecture and its variant, spelled as Go spells them."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def parse(text: str) -> Platform:
    """Reads ``os[/architecture[/variant]]`` or an architecture alone, in the spellings that Docker takes."""
    parts = text.strip().lower().split("/")
    if not all(parts) or len(parts) > 3:
        raise InvalidParameter(
            "invalid platform", field="platform", value=text, allowed="it is spelled os/architecture[/variant]"
        )
    if len(parts) == 1:
        return _from_one_word(parts[0])
    return normalise(parts[0], parts[1], parts[2] if len(parts) == 3 else "")


def _from_one_word(word: str) -> Platform:
    own = host()
    if word in _SYSTEMS:
        return Platform(word, own.architecture, own.variant)
    platform = normalise("linux", word)
    if platform.architecture not in _KNOWN:
        raise InvalidParameter(
            f'"{word}": unknown operating system or architecture: invalid argument', field="platform", value=word
        )
    return platform


def normalise(system: str, architecture: str, variant: str = "") -> Platform:
    """The one spelling of a platform; the variant that is usual for an architecture is left out."""
    architecture, implied = _ARCHITECTURES.get(architecture.lower(), (architecture.lower(), ""))
    variant = (variant or implied).lower()
    if variant and not variant.startswith("v"):
        variant = f"v{variant}"
    if architecture != "arm" and variant == _USUAL_VARIANT.get(architecture):
        variant = ""
    return Platform(system.lower(), architecture, variant)


def host() -> Platform:
    """The platform of this machine, as its kernel names it."""
    return normalise("linux", os.uname().machine)


def rank(offered: Platform, wanted: Platform) -> int | None:
    """How well an image fits: 0 is exact, larger is worse, ``None`` cannot run.

    A processor runs its own variant and every lower one, so the nearest lower variant is the best substitute.
    """
    if (offered.os, offered.architecture) != (wanted.os, wanted.architecture):
        return None
    distance = _level(wanted) - _level(offered)
    return distance if distance >= 0 else None


def _level(platform: Platform) -> int:
    variant = platform.variant or _USUAL_VARIANT.get(platform.architecture, "v0")
    digits = variant.lstrip("v").split(".")[0]
    return int(digits) if digits.isdecimal() and len(digits) < 4 else 0


def choose(offers: Iterable[tuple[int, Platform]], wanted: Platform) -> int:
    """The index of the offer that fits best; the first of equals.

    Errors: ``NotFound`` with Docker's wording when none fits.
    """
    best: tuple[int, int] | None = None
    for position, offered in offers:
        fit = rank(offered, wanted)
        if fit is not None and (best is None or fit < best[0]):
            best = (fit, position)
    if best is None:
        raise NotFound(f"no matching manifest for {wanted} in the manifest list entries")
    return best[1]
