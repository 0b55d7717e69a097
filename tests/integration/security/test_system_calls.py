"""The default filter: what a container may not ask of the kernel, by whichever way into it."""

from __future__ import annotations

import shutil

import pytest

from tests.integration.runtime.harness import Bundle, Runtime
from tests.integration.security.conftest import Probe, grant
from tests.integration.support.private_agent import PrivateAgent
from wherry.containers import seccomp
from wherry.containers.spec.capabilities import DEFAULT_CAPABILITIES

# What comes with a capability is allowed again by the agent with it; here the filter stays as it is, so that it alone
# stands between the caller and the kernel.
MANY = tuple(
    f"CAP_{name}"
    for name in (
        "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
        "NET_ADMIN", "NET_RAW", "IPC_LOCK", "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT",
        "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "SYSLOG", "BPF", "PERFMON",
    )
)  # fmt: skip
NOT_THERE = {"clone3", "socketcall"}
"""Answered as by a kernel that lacks them, so that programs take another way; the others answer EPERM."""


def outcomes(text: str) -> dict[tuple[str, str], str]:
    """By way and name."""
    return {(way, name): outcome for way, name, outcome in (line.split() for line in text.splitlines())}


def assert_all_are_stopped(text: str) -> None:
    found = outcomes(text)
    assert len(found) > 50
    passed = {key: outcome for key, outcome in found.items() if outcome != "EPERM" and key[1] not in NOT_THERE}
    assert passed == {}
    assert {outcome for (_, name), outcome in found.items() if name in NOT_THERE} == {"ENOSYS"}


@pytest.fixture
def mighty(bundle: Bundle, probe: Probe) -> Bundle:
    """A bundle whose program tries them, with nearly all capabilities."""
    shutil.copy(probe("calls"), bundle.rootfs / "calls")
    bundle.process["args"] = ["/calls"]
    grant(bundle, MANY)
    return bundle


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_filter_alone_stops_every_way(runtime: Runtime, mighty: Bundle, no_new_privileges: bool) -> None:
    mighty.linux["seccomp"] = seccomp.default_profile(DEFAULT_CAPABILITIES)
    mighty.process["noNewPrivileges"] = no_new_privileges
    assert_all_are_stopped(runtime.run().stdout)


def test_without_the_filter_the_kernel_would_let_them_through(runtime: Runtime, mighty: Bundle) -> None:
    """What the test above relies on: nothing but the filter answers EPERM there."""
    assert "EPERM" not in outcomes(runtime.run().stdout).values()


def test_run_and_exec_of_docker_are_filtered(agent: PrivateAgent, busybox: str, probe: Probe) -> None:
    name = "calls"
    agent.docker("run", "--detach", "--name", name, "-v", f"{probe('calls')}:/calls:ro", busybox, "sleep", "1000")
    try:
        assert_all_are_stopped(agent.out("exec", name, "/calls"))
        assert_all_are_stopped(agent.out("run", "--rm", "--volumes-from", name, busybox, "/calls"))
    finally:
        agent.docker("rm", "--force", name)
