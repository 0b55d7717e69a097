"""The default seccomp profile against the facts of the field, and against its own promises."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from wherry.containers import seccomp
from wherry.containers.spec.capabilities import DEFAULT_CAPABILITIES
from wherry.errors import InvalidParameter

FIELD_PROFILE = Path(__file__).parents[4] / "shared" / "specs" / "seccomp-default.json"
ALL_GROUPS = (
    "CAP_DAC_READ_SEARCH", "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_CHROOT", "CAP_SYS_MODULE", "CAP_SYS_PACCT",
    "CAP_SYS_PTRACE", "CAP_SYS_RAWIO", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG", "CAP_SYS_NICE", "CAP_SYSLOG", "CAP_BPF",
    "CAP_PERFMON",
)  # fmt: skip


def decisions(profile: dict[str, Any]) -> dict[str, set[str]]:
    """What a profile says of each call: a canonical text for every rule that names it."""
    found: dict[str, set[str]] = {}
    for rule in profile["syscalls"]:
        arguments = sorted(
            f"{item['index']} {item['op']} {item['value']} {item.get('valueTwo', 0)}" for item in rule.get("args") or ()
        )
        for name in rule["names"]:
            found.setdefault(name, set()).add(f"{rule['action']} {rule.get('errnoRet', '')} {arguments}")
    return found


@pytest.mark.skipif(not FIELD_PROFILE.exists(), reason="the field's profile is not at hand")
@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("added", [(), *((name,) for name in ALL_GROUPS), ALL_GROUPS])
def test_default_profile_decides_as_the_field_does(machine: str, added: tuple[str, ...]) -> None:
    held = (*DEFAULT_CAPABILITIES, *added)
    theirs = seccomp.custom_profile(FIELD_PROFILE.read_text(), held, machine)
    ours = seccomp.default_profile(held, machine)
    expected = decisions(theirs) | {"socketcall": {f"SCMP_ACT_ERRNO 38 {[]}"}}  # stricter: see seccomp.py
    assert decisions(ours) == expected
    assert ours["architectures"] == theirs["architectures"]
    assert (ours["defaultAction"], ours["defaultErrnoRet"]) == (theirs["defaultAction"], theirs["defaultErrnoRet"])


def allowed_without_arguments(profile: dict[str, Any]) -> set[str]:
    return {
        name
        for rule in profile["syscalls"]
        if rule["action"] == seccomp.ALLOW and not rule.get("args")
        for name in rule["names"]
    }


def test_default_profile_keeps_the_dangerous_calls_shut() -> None:
    allowed = allowed_without_arguments(seccomp.default_profile(DEFAULT_CAPABILITIES, "x86_64"))
    shut = {"keyctl", "add_key", "request_key", "bpf", "userfaultfd", "io_uring_setup", "mount", "kexec_load", "setns",
            "open_by_handle_at", "init_module", "unshare", "clone", "socket", "personality", "swapon"}  # fmt: skip
    assert not allowed & shut


def test_clone3_answers_that_it_does_not_exist() -> None:
    rules = [r for r in seccomp.default_profile(DEFAULT_CAPABILITIES)["syscalls"] if r["names"] == ["clone3"]]
    assert rules == [{"names": ["clone3"], "action": seccomp.ERRNO, "errnoRet": 38}]


def only(names: Iterable[str]) -> str:
    return json.dumps(
        {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": list(names), "action": "SCMP_ACT_ALLOW"}]}
    )


def test_custom_profile_of_plain_form_is_taken_as_it_is() -> None:
    profile = seccomp.custom_profile(only(["read", "write"]), ())
    assert profile["syscalls"] == [{"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"}]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"defaultAction": 5}', "/etc/passwd"])
def test_custom_profile_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="seccomp profile"):
        seccomp.custom_profile(text, ())


def test_custom_profile_cannot_name_a_listener() -> None:
    with pytest.raises(InvalidParameter, match="listenerPath"):
        seccomp.custom_profile('{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/x"}', ())
