"""A container below an init process: signals reach the command, orphans are reaped, and its end is the command's."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.containers.conftest import Run, eventually
from tests.integration.support.private_agent import PrivateAgent

PROGRAM = Path(__file__).resolve().parents[3] / "native" / "build" / "wherry-init"


@pytest.mark.parametrize(
    ("command", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143), ("kill -KILL $$", 137)]
)
def test_exit_status_is_the_commands(agent: PrivateAgent, busybox: str, command: str, status: int) -> None:
    assert agent.docker("run", "--rm", "--init", busybox, "sh", "-c", command, check=False).returncode == status


@pytest.mark.parametrize(("path", "status"), [("/no/such/program", 127), ("/etc", 126)])
def test_command_that_cannot_be_run_is_told_like_by_a_shell(
    agent: PrivateAgent, busybox: str, path: str, status: int
) -> None:
    done = agent.docker("run", "--rm", "--init", busybox, path, check=False)
    assert (done.returncode, done.stderr.startswith(f"wherry-init: exec {path}: ".encode())) == (status, True)


def test_first_process_is_the_init_and_its_file_cannot_be_written(run: Run) -> None:
    script = "cat /proc/1/comm; echo $PPID; (echo x >/sbin/docker-init) 2>&1 | sed 's/.*: //'"
    assert run(script, "--init").splitlines() == ["docker-init", "1", "Read-only file system"]


def test_orphans_are_reaped(run: Run) -> None:
    script = "for i in 1 2 3; do sh -c 'sleep 0.1 & exit' ; done; sleep 0.5; ps -o stat,comm | grep -c ^Z"
    assert run(f"{script} || true", "--init") == "0"


def test_stop_signal_reaches_the_command_below_the_init(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    agent.docker("run", "--detach", "--init", "--name", name, busybox, "sh", "-c", script)
    eventually(lambda: agent.out("logs", name) == "ready")
    began = time.monotonic()
    agent.docker("stop", name)
    assert time.monotonic() - began < 8
    assert agent.out("inspect", "--format", "{{.State.ExitCode}} {{.HostConfig.Init}}", name) == "5 true"
    assert agent.out("logs", name).split() == ["ready", "told"]


def test_command_that_handles_no_signal_is_ended_by_one(agent: PrivateAgent, busybox: str, name: str) -> None:
    """Without an init it would be pid 1, for which the kernel drops signals that have no handler."""
    agent.docker("run", "--detach", "--init", "--name", name, busybox, "sleep", "1000")
    began = time.monotonic()
    agent.docker("stop", name)
    assert time.monotonic() - began < 8
    assert agent.out("inspect", "--format", "{{.State.ExitCode}}", name) == "143"


def test_terminal_is_the_commands(agent: PrivateAgent, busybox: str, name: str) -> None:
    # Field 8 of stat is the terminal's foreground process group, field 5 the process's own.
    script = "set -- $(cat /proc/self/stat); test -t 0 && test $5 = $8 && echo foreground"
    agent.docker("run", "--init", "--tty", "--name", name, busybox, "sh", "-c", script)
    assert agent.out("logs", name) == "foreground"


def test_containers_that_share_processes_have_no_init_of_their_own(run: Run) -> None:
    assert run("test -e /sbin/docker-init || echo none", "--init", "--pid", "host") == "none"


def test_agent_can_give_every_container_an_init(own_agent: PrivateAgent, own_busybox: str) -> None:
    (own_agent.place / "wherryd.yml").write_text('{"init": true}')
    own_agent.restart()
    with_it = own_agent.out("run", "--rm", own_busybox, "cat", "/proc/1/comm")
    without = own_agent.out("run", "--rm", "--init=false", own_busybox, "cat", "/proc/1/comm")
    assert (with_it, without) == ("docker-init", "cat")
    (own_agent.place / "wherryd.yml").write_text('{"init": true, "init-path": "/no/such/init"}')
    own_agent.restart()
    done = own_agent.docker("run", "--rm", own_busybox, "true", check=False)
    assert b'init-path: "/no/such/init": is not a program that can be run' in done.stderr


def test_init_sleeps_while_nothing_happens() -> None:
    with subprocess.Popen([PROGRAM, "--", "sleep", "100"]) as init:
        time.sleep(0.3)
        before = _switches(init.pid)
        time.sleep(1)
        assert _switches(init.pid) == before
        init.terminate()
        assert init.wait(5) == 143


def _switches(pid: int) -> str:
    text = Path(f"/proc/{pid}/status").read_text()
    return next(line for line in text.splitlines() if line.startswith("voluntary_ctxt_switches"))


def test_usage_is_told() -> None:
    done = subprocess.run([PROGRAM, "sleep"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (2, b"wherry-init: usage: wherry-init -- COMMAND [ARGUMENT...]\n")
