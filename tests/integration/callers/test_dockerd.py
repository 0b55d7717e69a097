"""dockerd runs its containers with wherry-runtime as its default runtime."""

from __future__ import annotations

import pytest

from tests.integration.callers.conftest import Caller

FOREVER = 'trap "exit 3" TERM; while :; do sleep 0.05; done'


def test_a_default_container_runs(docker: Caller) -> None:
    script = "cat /proc/self/status; echo tty >/dev/tty || true; [ -c /dev/tty ] && exit 5"
    done = docker("run", "--rm", "busybox", "sh", "-c", script, check=False)
    assert done.returncode == 5
    assert "CapEff:\t00000000a80425fb" in done.stdout
    assert "Seccomp:\t2" in done.stdout
    assert docker("info", "--format", "{{.DefaultRuntime}}").stdout == "wherry\n"


@pytest.mark.parametrize(("program", "status"), [("nonexistent", 127), ("/nonexistent", 127), ("/etc", 126)])
def test_a_program_that_cannot_be_executed_has_the_status_of_a_shell(docker: Caller, program: str, status: int) -> None:
    assert docker("run", "--rm", "busybox", program, check=False).returncode == status


def test_the_controlling_terminal_can_be_opened(docker: Caller) -> None:
    done = docker("run", "--rm", "--tty", "busybox", "sh", "-c", "echo by way of tty >/dev/tty", terminal=True)
    assert "by way of tty" in done.stdout


def test_options_reach_the_container(docker: Caller) -> None:
    assert docker("run", "--rm", "--privileged", "busybox", "readlink", "/dev/ptmx").stdout == "pts/ptmx\n"
    done = docker(
        "run", "--rm", "--memory", "64m", "--cpuset-cpus", "0", "--read-only", "--tmpfs", "/scratch", "--network",
        "none", "--hostname", "named", "--sysctl", "net.ipv4.ip_forward=1", "busybox", "sh", "-c",
        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes; hostname; cat /proc/sys/net/ipv4/ip_forward; "
        "touch /scratch/x && echo writable; touch /x 2>/dev/null || echo read-only",
    )  # fmt: skip
    assert done.stdout.split() == ["67108864", "named", "1", "writable", "read-only"]


def test_life_of_a_container(docker: Caller) -> None:
    docker("run", "--detach", "--name", "life", "busybox", "sh", "-c", FOREVER)
    assert docker("exec", "life", "echo", "inside").stdout == "inside\n"
    done = docker("exec", "--tty", "life", "sh", "-c", "tty; exit 4", check=False, terminal=True)
    assert (done.returncode, "/dev/pts/0" in done.stdout) == (4, True)
    missing = docker("exec", "life", "nonexistent", check=False)
    assert "executable file not found in $PATH" in missing.stdout + missing.stderr
    assert "sh -c trap" in docker("top", "life").stdout
    docker("update", "--memory", "100m", "--memory-swap", "200m", "--pids-limit", "44", "life")
    limits = docker(
        "exec", "life", "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/pids/pids.max"
    )
    assert limits.stdout.split() == ["104857600", "44"]
    docker("pause", "life")
    assert "(Paused)" in docker("ps", "--format", "{{.Status}}").stdout
    docker("stop", "--time", "10", "life")
    assert docker("inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "life").stdout == "exited 3\n"
    docker("start", "life")
    docker("kill", "life")
    assert docker("wait", "life").stdout == "137\n"
    docker("rm", "life")


def test_a_death_for_want_of_memory_is_noticed(docker: Caller) -> None:
    docker(
        "run",
        "--name",
        "hungry",
        "--memory",
        "16m",
        "--memory-swap",
        "16m",
        "busybox",
        "tail",
        "/dev/zero",
        check=False,
    )
    assert docker("inspect", "--format", "{{.State.OOMKilled}} {{.State.ExitCode}}", "hungry").stdout == "true 137\n"
    docker("rm", "hungry")
