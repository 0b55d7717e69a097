"""The default seccomp profile, and what ``--security-opt seccomp=`` gives in its place, as OCI ``linux.seccomp``.

Default-deny: what is not allowed fails with EPERM. The lists are in ``seccomp_calls.py``; here are the calls whose
arguments decide, and those whose arguments lie in memory where a filter cannot look (seccomp(2), "Caveats"): clone3
answers ENOSYS, so that libraries fall back to clone, whose flags can be checked; so does socketcall, the older way to
sockets of 32-bit programs, by which they would reach the address families that socket refuses.
"""

from __future__ import annotations

import errno
import json
import platform
from collections.abc import Iterable, Mapping
from typing import Any

from wherry.containers import seccomp_calls
from wherry.errors import InvalidParameter

Rule = dict[str, Any]

ALLOW = "SCMP_ACT_ALLOW"
ERRNO = "SCMP_ACT_ERRNO"

ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}
GO_ARCHITECTURES = {
    "x86_64": frozenset({"amd64", "x86", "x32"}),
    "aarch64": frozenset({"arm64", "arm"}),
}

CLONE_NAMESPACE_FLAGS = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET of clone(2)."""

AF_ALG = 38
AF_VSOCK = 40
ALLOWED_PERSONALITIES = (
    0x0,  # PER_LINUX
    0x0008,  # PER_LINUX32
    0x20000,  # UNAME26
    0x20008,  # UNAME26 | PER_LINUX32
    0xFFFFFFFF,  # ask only
)


def default_profile(capabilities: Iterable[str], machine: str | None = None) -> Rule:
    """The profile for a process whose bounding set holds ``capabilities`` on ``machine`` (``uname -m``)."""
    machine = machine or platform.machine()
    held = frozenset(capabilities)
    allowed = dict.fromkeys((*seccomp_calls.ALWAYS, *seccomp_calls.TRACING))
    allowed.update(dict.fromkeys(seccomp_calls.BY_MACHINE.get(machine, ())))
    for capability, names in seccomp_calls.BY_CAPABILITY.items():
        if capability in held:
            allowed.update(dict.fromkeys(names))
    return {
        "defaultAction": ERRNO,
        "defaultErrnoRet": errno.EPERM,
        "architectures": list(ARCHITECTURES.get(machine, ())),
        "syscalls": [
            {"names": ["socketcall"], "action": ERRNO, "errnoRet": errno.ENOSYS},
            {"names": list(allowed), "action": ALLOW},
            *_socket_rules(),
            *_personality_rules(),
            *([] if "CAP_SYS_ADMIN" in held else _clone_rules()),
        ],
    }


def _socket_rules() -> list[Rule]:
    """Every address family but AF_ALG (the kernel's crypto parsers) and AF_VSOCK (the hypervisor's other guests)."""
    return [
        _with_argument("socket", 0, AF_ALG, "SCMP_CMP_LT"),
        _with_argument("socket", 0, AF_ALG + 1, "SCMP_CMP_EQ"),
        _with_argument("socket", 0, AF_VSOCK, "SCMP_CMP_GT"),
    ]


def _personality_rules() -> list[Rule]:
    """Only execution domains that change no protection: no ADDR_NO_RANDOMIZE, no READ_IMPLIES_EXEC."""
    return [_with_argument("personality", 0, value, "SCMP_CMP_EQ") for value in ALLOWED_PERSONALITIES]


def _clone_rules() -> list[Rule]:
    """Processes and threads, but no new namespaces."""
    clone = _with_argument("clone", 0, CLONE_NAMESPACE_FLAGS, "SCMP_CMP_MASKED_EQ")
    clone["args"][0]["valueTwo"] = 0
    return [clone, {"names": ["clone3"], "action": ERRNO, "errnoRet": errno.ENOSYS}]


def _with_argument(name: str, index: int, value: int, operator: str) -> Rule:
    return {"names": [name], "action": ALLOW, "args": [{"index": index, "value": value, "op": operator}]}


def custom_profile(text: str, capabilities: Iterable[str], machine: str | None = None) -> Rule:
    """A profile that a user hands over as JSON, Docker's form (``archMap``, ``includes``) or plain OCI.

    Raises ``InvalidParameter`` when it is no JSON object with a default action.
    """
    machine = machine or platform.machine()
    try:
        given = json.loads(text)
    except ValueError as error:
        raise InvalidParameter(f"Decoding seccomp profile failed: {error}") from None
    if not isinstance(given, dict) or not isinstance(given.get("defaultAction"), str):
        raise InvalidParameter("Decoding seccomp profile failed: an object with a defaultAction is needed")
    profile = {key: given[key] for key in ("defaultAction", "defaultErrnoRet", "flags") if given.get(key) is not None}
    for refused in ("listenerPath", "listenerMetadata"):
        if given.get(refused):
            raise InvalidParameter(f"seccomp profile: {refused} is not supported")
    profile["architectures"] = _architectures_of(given, machine)
    held = frozenset(capabilities)
    profile["syscalls"] = [
        _plain_rule(rule) for rule in given.get("syscalls") or () if _applies(rule, held, GO_ARCHITECTURES.get(machine))
    ]
    return profile


def _architectures_of(given: Mapping[str, Any], machine: str) -> list[str]:
    if given.get("architectures"):
        return list(given["architectures"])
    native = ARCHITECTURES.get(machine, ())
    for entry in given.get("archMap") or ():
        if native and entry.get("architecture") == native[0]:
            return [native[0], *(entry.get("subArchitectures") or ())]
    return list(native[:1])


def _plain_rule(rule: Mapping[str, Any]) -> Rule:
    names = list(rule.get("names") or ([rule["name"]] if rule.get("name") else []))
    plain: Rule = {"names": names, "action": rule.get("action")}
    if rule.get("errnoRet") is not None:
        plain["errnoRet"] = rule["errnoRet"]
    if rule.get("args"):
        plain["args"] = [dict(argument) for argument in rule["args"]]
    return plain


def _applies(rule: Mapping[str, Any], held: frozenset[str], machines: frozenset[str] | None) -> bool:
    """Whether a rule of Docker's form is meant for these capabilities and this machine.

    ``minKernel`` needs no look: every kernel that Wherry runs on is newer than those that profiles name.
    """
    includes, excludes = rule.get("includes") or {}, rule.get("excludes") or {}
    here = machines or frozenset()
    if includes.get("caps") and not held.issuperset(includes["caps"]):
        return False
    if includes.get("arches") and here.isdisjoint(includes["arches"]):
        return False
    return held.isdisjoint(excludes.get("caps") or ()) and here.isdisjoint(excludes.get("arches") or ())
