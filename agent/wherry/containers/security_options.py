"""``HostConfig.SecurityOpt``: ``seccomp=…``, ``no-new-privileges``, ``systempaths=unconfined`` and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wherry.errors import InvalidParameter

APPARMOR = Path("/sys/module/apparmor")


@dataclass(frozen=True)
class SecurityOptions:
    """``seccomp`` is ``""`` for the default profile, ``unconfined``, or the text of a profile."""

    seccomp: str = ""
    no_new_privileges: bool = False
    system_paths_unconfined: bool = False


def parse(options: Sequence[str]) -> SecurityOptions:
    """Reads the options; raises ``InvalidParameter`` that names the one that is unknown or cannot be honoured here."""
    seccomp, no_new_privileges, unconfined_paths = "", False, False
    for option in options:
        key, value = _split(option)
        if key == "seccomp":
            seccomp = "" if value == "builtin" else value
        elif key == "no-new-privileges":
            no_new_privileges = _boolean(value or "true", option)
        elif key == "systempaths" and value == "unconfined":
            unconfined_paths = True
        else:
            _refuse(key, value, option)
    return SecurityOptions(seccomp, no_new_privileges, unconfined_paths)


def _split(option: str) -> tuple[str, str]:
    separator = "=" if "=" in option else ":"
    key, _, value = option.partition(separator)
    return key, value


def _refuse(key: str, value: str, option: str) -> None:
    """Lets pass what asks for the absence of a label, which is what every container has; refuses the rest by name."""
    if key == "apparmor":
        if value == "unconfined":
            return
        missing = "" if APPARMOR.exists() else ": this kernel has no AppArmor"
        raise InvalidParameter(f"apparmor profiles are not supported{missing}", field="SecurityOpt", value=option)
    if key == "label":
        if value == "disable":
            return
        raise InvalidParameter("SELinux labels are not supported", field="SecurityOpt", value=option)
    raise InvalidParameter(f'invalid --security-opt 2: "{option}"')


def _boolean(text: str, option: str) -> bool:
    if text.lower() in ("1", "t", "true"):
        return True
    if text.lower() in ("0", "f", "false"):
        return False
    raise InvalidParameter("must be true or false", field="SecurityOpt", value=option)
