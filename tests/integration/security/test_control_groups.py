"""Escapes through control groups (CVE-2022-0492), bombs, and devices that are not the container's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, wait_until
from tests.integration.security.conftest import Probe, grant
from tests.integration.support.private_agent import PrivateAgent
from wherry.containers.spec.capabilities import DEFAULT_CAPABILITIES

HAS_V1 = (CGROUPS / "memory" / "memory.limit_in_bytes").exists()
PIDS_MAX = 64
DISK = "b 254 0"
MEMORY = "c 1 1"


@pytest.fixture
def name(agent: PrivateAgent) -> Iterator[str]:
    """A container's name; it is removed in the end."""
    yield "victim"
    agent.docker("rm", "--force", "--volumes", "victim", check=False)


# -- CVE-2022-0492


def test_no_hierarchy_can_be_mounted_unshared_or_written(agent: PrivateAgent, busybox: str) -> None:
    attempts = {
        "mount": "mkdir /tmp/g && mount -t cgroup -o memory cgroup /tmp/g",
        "mount v2": "mkdir /tmp/g2 && mount -t cgroup2 cgroup2 /tmp/g2",
        "remount": "mount -o remount,rw /sys/fs/cgroup",
        "remount below": 'mount -o remount,rw "$(ls -d /sys/fs/cgroup/*/ | head -n 1)"',
        "user namespace": "unshare -U true",
        "user and mount namespace": "unshare -U -r -m true",
        "mount namespace": "unshare -m true",
        "write": 'for f in $(find /sys/fs/cgroup/ -type f); do echo 1 > "$f" && exit 0; done; false',
        "make": 'for d in $(find /sys/fs/cgroup/ -type d); do mkdir "$d/own" && exit 0; done; false',
        "release agent": 'find / -name release_agent 2> /dev/null | while read f; do echo /x > "$f" && echo took; done'
                         " | grep took",
    }  # fmt: skip
    script = "".join(f"if ({attempt}) 2> /dev/null; then echo '{what}'; fi\n" for what, attempt in attempts.items())
    assert agent.out("run", "--rm", busybox, "sh", "-c", script) == ""
    assert agent.out("run", "--rm", "--user", "1000", busybox, "sh", "-c", script) == ""


def test_the_attempts_succeed_where_the_defaults_are_given_up(agent: PrivateAgent, busybox: str) -> None:
    """What the test above relies on, and what docs/security.md says of --privileged."""
    script = "unshare -U -r -m true && mkdir /tmp/g && mount -t cgroup -o memory cgroup /tmp/g && echo done"
    assert agent.out("run", "--rm", "--privileged", busybox, "sh", "-c", script) == "done"


def test_a_process_cannot_leave_its_group(agent: PrivateAgent, busybox: str) -> None:
    script = """
        before=$(cat /proc/self/cgroup)
        exec 2> /dev/null
        for f in $(find /sys/fs/cgroup/ -name cgroup.procs -o -name tasks); do echo $$ > "$f" && echo moved; done
        [ "$before" = "$(cat /proc/self/cgroup)" ] && echo same
        [ "$(find /sys/fs/cgroup/ -name cgroup.procs | xargs cat | sort -u | grep -vc '^[0-9]*$')" = 0 ] && echo own
    """
    assert agent.out("run", "--rm", busybox, "sh", "-c", script).split() == ["same", "own"]


# -- bombs


@pytest.mark.skipif(not HAS_V1, reason="no cgroup v1 here; the same on v2 is in tests/integration/runtime")
def test_a_fork_bomb_stays_within_its_limit_and_can_be_removed(
    agent: PrivateAgent, busybox: str, name: str, probe: Probe
) -> None:
    options = ("--pids-limit", str(PIDS_MAX), "-v", f"{probe('bomb')}:/bomb:ro")
    container = agent.out("run", "--detach", "--name", name, *options, busybox, "/bomb")
    group = CGROUPS / "pids" / agent.instance / container
    wait_until(lambda: int((group / "pids.current").read_text()) == PIDS_MAX, "the bomb does not grow")
    seen = []
    for _ in range(20):
        seen.append(len((group / "cgroup.procs").read_text().split()))
        time.sleep(0.02)
    assert max(seen) <= PIDS_MAX
    began = time.monotonic()
    agent.docker("rm", "--force", name)
    assert time.monotonic() - began < 10
    assert not group.exists()


@pytest.mark.skipif(not HAS_V1, reason="no cgroup v1 here; the same on v2 is in tests/integration/runtime")
def test_a_memory_bomb_is_killed_and_said_to_be(agent: PrivateAgent, busybox: str, name: str) -> None:
    bomb = "exec awk 'BEGIN { while (1) text = text \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\" text }'"
    options = ("--memory", "32m", "--memory-swap", "32m")
    done = agent.docker("run", "--name", name, *options, busybox, "sh", "-c", bomb, check=False)
    assert done.returncode == 137
    state = json.loads(agent.out("inspect", "--format", "{{json .State}}", name))
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 137)


# -- devices


def _attempts(*kinds: str) -> str:
    """Makes each node and tries to read and write it; prints what succeeded."""
    lines = []
    for kind in kinds:
        node = "/tmp/" + kind.replace(" ", "-")
        lines.append(f"[ -e {node} ] || mknod {node} {kind} || echo no node")
        lines.append(f"(head -c 1 {node} | wc -c | grep -q 1) 2> /dev/null && echo read {kind}")
        lines.append(f"(: > {node}) 2> /dev/null && echo wrote {kind}")
    return "; ".join([*lines, "true"])


def test_a_node_that_is_made_inside_opens_nothing_of_the_host(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = _attempts(DISK, MEMORY, "c 1 2", "c 1 4", "c 10 229", "c 10 200", "b 7 0", "b 8 0", "c 4 0", "c 108 0")
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", f"({script}) > /said; sleep 1000")
    wait_until(lambda: agent.docker("exec", name, "test", "-e", "/said").returncode == 0, "no container")
    assert agent.out("exec", name, "sh", "-c", script) == ""
    # A change of limits must not reset the rules for devices.
    agent.docker("update", "--memory", "64m", "--memory-swap", "64m", "--cpu-shares", "100", name)
    assert agent.out("exec", name, "sh", "-c", script) == ""
    agent.docker("pause", name)
    agent.docker("unpause", name)
    assert agent.out("exec", name, "sh", "-c", script) == ""
    # Nor a next agent, nor a restart.
    agent.docker("restart", "--time", "0", name)
    assert agent.out("exec", name, "sh", "-c", script) == ""
    assert agent.out("exec", name, "cat", "/said") == ""


def test_exec_with_more_capabilities_opens_no_more_devices(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1000")
    assert agent.out("exec", "--privileged", name, "sh", "-c", _attempts(DISK, MEMORY)) == ""


def test_a_device_group_is_not_made_open_by_the_runtimes_defaults(runtime: Runtime, bundle: Bundle) -> None:
    """The runtime's own: a configuration without a list of devices is closed, and stays so for exec and update."""
    grant(bundle, DEFAULT_CAPABILITIES)
    bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}, {"allow": True, "access": "m"}]}
    runtime.start("sleep 1000")
    script = _attempts(DISK, MEMORY)
    assert runtime("exec", "kept", "sh", "-c", script).stdout == ""
    resources = runtime.root.parent / "resources.json"
    resources.write_text(json.dumps({"memory": {"limit": 64 << 20}, "pids": {"limit": 100}}))
    runtime("update", "--resources", str(resources), "kept")
    assert runtime("exec", "kept", "sh", "-c", script).stdout == ""
