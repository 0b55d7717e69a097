"""``HostConfig.SecurityOpt``: ``seccomp=…``, ``no-new-privileges``, ``systempaths=unconfined`` and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidParameter

APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
APPARMOR_PROFILES = Path("/sys/kernel/security/apparmor/profiles")


@dataclass(frozen=True)
class SecurityOptions:
    """``seccomp`` is ``""`` for the default profile, ``unconfined``, or the text of a profile; ``apparmor`` a profile
    that the kernel knows.
    """

    seccomp: str = ""
    no_new_privileges: bool = False
    system_paths_unconfined: bool = False
    apparmor: str = ""


def parse(options: Sequence[str]) -> SecurityOptions:
    """Reads the options; raises ``InvalidParameter`` that names the one that is unknown or cannot be honoured here."""
    seccomp, no_new_privileges, unconfined_paths, apparmor = "", False, False, ""
    for option in options:
        key, value = _split(option)
        if key == "seccomp":
            seccomp = "" if value == "builtin" else value
        elif key == "no-new-privileges":
            no_new_privileges = _boolean(value or "true", option)
        elif key == "systempaths" and value == "unconfined":
            unconfined_paths = True
        elif key == "apparmor":
            apparmor = "" if value == "unconfined" else _known_profile(value, option)
        else:
            _refuse(key, value, option)
    return SecurityOptions(seccomp, no_new_privileges, unconfined_paths, apparmor)


def _split(option: str) -> tuple[str, str]:
    separator = "=" if "=" in option else ":"
    key, _, value = option.partition(separator)
    return key, value


def _refuse(key: str, value: str, option: str) -> None:
    """Lets pass what asks for the absence of a label, which is what every container has; refuses the rest by name."""
    if key == "label":
        if value == "disable":
            return
        raise InvalidParameter("SELinux labels are not supported", field="SecurityOpt", value=option)
    raise InvalidParameter(f'invalid --security-opt 2: "{option}"')


def _known_profile(name: str, option: str) -> str:
    """A profile that is loaded: one that is not would let the container start unconfined, or not at all."""
    try:
        enabled = APPARMOR.read_text(encoding="ascii").startswith("Y")
    except OSError:
        enabled = False
    if not enabled:
        raise InvalidParameter("this kernel runs no AppArmor", field="SecurityOpt", value=option, allowed="unconfined")
    # Each line is a name and its mode in parentheses.
    loaded = {line.rpartition(" (")[0] for line in APPARMOR_PROFILES.read_text(encoding="utf-8").splitlines()}
    if not name or name not in loaded:
        raise InvalidParameter("this profile is not loaded", field="SecurityOpt", value=option)
    return name


def _boolean(text: str, option: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidParameter("must be true or false", field="SecurityOpt", value=option)
