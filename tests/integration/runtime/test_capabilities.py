"""Capabilities, no_new_privs and seccomp of the container's process and of exec."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime

CHOWN, KILL, NET_RAW = 1 << 0, 1 << 5, 1 << 13
SETS = ("Inh", "Prm", "Eff", "Bnd", "Amb")


def _sets(text: str) -> dict[str, int]:
    return {line[3:6]: int(line.split()[1], 16) for line in text.splitlines() if line.startswith("Cap")}


def _status(runtime: Runtime) -> dict[str, int]:
    return _sets(runtime.output("grep Cap /proc/self/status"))


def _grant(bundle: Bundle, *names: str, **others: list[str]) -> None:
    bundle.process["capabilities"] = {key: list(names) for key in ("bounding", "effective", "permitted")} | others


def test_root_has_exactly_the_capabilities_that_are_named(runtime: Runtime, bundle: Bundle) -> None:
    _grant(bundle, "CAP_CHOWN", "CAP_KILL")
    assert _status(runtime) == dict(zip(SETS, (0, CHOWN | KILL, CHOWN | KILL, CHOWN | KILL, 0), strict=True))


def test_no_capabilities_means_none(runtime: Runtime, bundle: Bundle) -> None:
    del bundle.process["capabilities"]
    assert set(_status(runtime).values()) == {0}


def test_another_user_has_none_but_the_bounding_set(runtime: Runtime, bundle: Bundle) -> None:
    _grant(bundle, "CAP_CHOWN")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert _status(runtime) == dict(zip(SETS, (0, 0, 0, CHOWN, 0), strict=True))


def test_ambient_capabilities_reach_the_program_of_another_user(runtime: Runtime, bundle: Bundle) -> None:
    _grant(bundle, "CAP_NET_RAW", inheritable=["CAP_NET_RAW"], ambient=["CAP_NET_RAW"])
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert set(_status(runtime).values()) == {NET_RAW}


def test_an_unknown_capability_is_left_out_with_a_warning(runtime: Runtime, bundle: Bundle) -> None:
    _grant(bundle, "CAP_CHOWN", "CAP_NO_SUCH")
    assert _status(runtime)["Eff"] == CHOWN
    warning = json.loads(runtime.log.read_text().splitlines()[-1])
    assert (warning["level"], "CAP_NO_SUCH" in warning["msg"]) == ("warning", True)


def test_a_capability_that_the_runtime_lacks_is_left_out_with_a_warning(runtime: Runtime, bundle: Bundle) -> None:
    # This machine's root has no CAP_SYS_RESOURCE.
    own = _sets(Path("/proc/self/status").read_text())["Bnd"]
    if own & (1 << 24):
        pytest.skip("this root has CAP_SYS_RESOURCE")
    _grant(bundle, "CAP_CHOWN", "CAP_SYS_RESOURCE")
    assert _status(runtime)["Eff"] == CHOWN
    warning = json.loads(runtime.log.read_text().splitlines()[-1])
    assert warning["level"] == "warning"
    assert "CAP_SYS_RESOURCE" in warning["msg"]


def test_exec_has_the_containers_capabilities_and_those_that_are_added(runtime: Runtime, bundle: Bundle) -> None:
    _grant(bundle, "CAP_CHOWN")
    runtime.start()
    assert _sets(runtime("exec", "kept", "grep", "Cap", "/proc/self/status").stdout) == dict(
        zip(SETS, (0, CHOWN, CHOWN, CHOWN, 0), strict=True)
    )
    added = _sets(runtime("exec", "--cap", "CAP_KILL", "kept", "grep", "Cap", "/proc/self/status").stdout)
    assert added == dict(zip(SETS, (0, CHOWN | KILL, CHOWN | KILL, CHOWN | KILL, 0), strict=True))


@pytest.mark.parametrize("wanted", [True, False])
def test_no_new_privileges_is_set_when_asked_for(runtime: Runtime, bundle: Bundle, wanted: bool) -> None:
    bundle.process["noNewPrivileges"] = wanted
    assert runtime.output("grep NoNewPrivs /proc/self/status").split()[1] == str(int(wanted))


def _filter(*names: str) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    }


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_filtered_system_call_fails_in_run_and_exec(
    runtime: Runtime, bundle: Bundle, no_new_privileges: bool
) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the filter is for x86-64")
    bundle.linux["seccomp"] = _filter("mkdir", "mkdirat")
    bundle.process["noNewPrivileges"] = no_new_privileges
    runtime.start("mkdir /made; grep Seccomp: /proc/self/status; sleep 1000")
    done = runtime("exec", "kept", "mkdir", "/made", check=False)
    assert "Function not implemented" in done.stderr
    assert runtime("exec", "kept", "grep", "Seccomp:", "/proc/self/status").stdout.split()[1] == "2"
    assert runtime.text().split() == ["Seccomp:", "2"]
    assert not (bundle.rootfs / "made").exists()


def test_a_filter_action_that_is_not_supported_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_NOTIFY"}
    assert "SCMP_ACT_NOTIFY" in runtime.run(check=False).stderr
