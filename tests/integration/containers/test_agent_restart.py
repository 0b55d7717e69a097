"""What a container keeps when its agent is killed, and what the next agent makes of it."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.containers.conftest import eventually, state_of
from tests.integration.support.private_agent import PrivateAgent

TICKER = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done"


def names(agent: PrivateAgent, *filters: str) -> list[str]:
    return agent.out("ps", "--all", "--format", "{{.Names}}", *filters).split()


def test_running_container_is_adopted_with_its_log_and_its_times(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker("run", "--detach", "--name", "ticker", own_busybox, "sh", "-c", TICKER)
    before = state_of(own_agent, "ticker")
    own_agent.kill()
    time.sleep(0.5)
    own_agent.start()
    after = state_of(own_agent, "ticker")
    assert (after["Pid"], after["StartedAt"], after["Status"]) == (before["Pid"], before["StartedAt"], "running")
    lines = own_agent.out("logs", "ticker").splitlines()
    assert len(lines) > 8
    assert lines == [f"tick {number}" for number in range(len(lines))]
    assert own_agent.out("exec", "ticker", "echo", "still") == "still"
    own_agent.docker("stop", "--time", "0", "ticker")
    assert state_of(own_agent, "ticker")["ExitCode"] == 128 + signal.SIGKILL


def test_exit_without_an_agent_is_settled_by_the_next(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker("run", "--detach", "--name", "short", own_busybox, "sh", "-c", "sleep 0.5; echo bye; exit 7")
    own_agent.docker("run", "--detach", "--name", "gone", "--rm", own_busybox, "sleep", "0.5")
    own_agent.docker(
        "run", "--detach", "--name", "retry", "--restart", "on-failure:3", own_busybox, "sh", "-c", "sleep 0.2; exit 2"
    )
    own_agent.kill()
    time.sleep(3)
    own_agent.start()
    state = state_of(own_agent, "short")
    assert (state["Status"], state["ExitCode"], own_agent.out("logs", "short")) == ("exited", 7, "bye")
    assert state["FinishedAt"] > state["StartedAt"]
    assert sorted(names(own_agent)) == ["retry", "short"]
    assert own_agent.out("inspect", "--format", "{{.RestartCount}} {{.State.ExitCode}}", "retry") == "3 2"


def test_removal_of_an_auto_removed_container_survives_the_agents_death(
    own_agent: PrivateAgent, own_busybox: str
) -> None:
    script = "while [ ! -e /end ]; do sleep 0.05; done"
    own_agent.docker("run", "--detach", "--name", "gone", "--rm", own_busybox, "sh", "-c", script)
    own_agent.restart(crash=True)
    assert names(own_agent) == ["gone"]
    own_agent.docker("exec", "gone", "touch", "/end")
    eventually(lambda: names(own_agent) == [])


def test_killed_monitor_leaves_no_process_and_policies_hold(own_agent: PrivateAgent, own_busybox: str) -> None:
    """The nearest to a reboot that a test may do: every monitor and container is gone when the agent comes up."""
    for name, policy in (
        ("always", "always"),
        ("unless", "unless-stopped"),
        ("stopped", "unless-stopped"),
        ("never", "no"),
    ):
        own_agent.docker("run", "--detach", "--name", name, "--restart", policy, own_busybox, "sleep", "1000")
    own_agent.docker("stop", "--time", "0", "stopped")
    pids = {name: state_of(own_agent, name)["Pid"] for name in ("always", "unless", "never")}
    own_agent.kill()
    for pid in pids.values():
        parent = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        subprocess.run(["kill", "-9", str(parent), str(pid)], check=True)
    own_agent.start()
    status = {name: state_of(own_agent, name)["Status"] for name in ("always", "unless", "stopped", "never")}
    assert status == {"always": "running", "unless": "running", "stopped": "exited", "never": "exited"}
    assert all(state_of(own_agent, name)["Pid"] != pids[name] for name in ("always", "unless"))


def test_published_port_outlives_the_agent(own_agent: PrivateAgent, own_busybox: str) -> None:
    script = "mkdir -p /www; echo page > /www/index.html; httpd -f -p 80 -h /www"
    own_agent.docker("run", "--detach", "--name", "web", "-p", "18080:80", own_busybox, "sh", "-c", script)
    fetch = ("busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:18080/")
    eventually(lambda: own_agent.run(*fetch, check=False).stdout == b"page\n")
    own_agent.kill()
    assert own_agent.run(*fetch).stdout == b"page\n"
    own_agent.start()
    assert own_agent.run(*fetch).stdout == b"page\n"
    assert own_agent.out("port", "web") == "80/tcp -> 0.0.0.0:18080"


@pytest.mark.parametrize("moment", [0.0, 0.02, 0.05, 0.1])
def test_agent_killed_in_the_middle_of_anything_leaves_nothing_behind(
    own_agent: PrivateAgent, own_busybox: str, moment: float
) -> None:
    clients = [
        subprocess.Popen(
            own_agent.enter(["docker", "run", "--rm", "--name", f"c{number}", "-v", "/x", own_busybox, "sleep", "0.1"]),
            env=own_agent.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for number in range(4)
    ]  # fmt: skip
    time.sleep(0.05 + moment)
    own_agent.restart(crash=True)
    for client in clients:
        client.kill()
        client.wait()
    time.sleep(0.5)
    left = names(own_agent)
    own_agent.docker("rm", "--force", "--volumes", *left, check=False)
    eventually(lambda: not list((own_agent.data_root / "containers").iterdir()), "an empty directory")
    assert not list((own_agent.exec_root / "containers").iterdir())
    # What the runtime keeps for all containers has a dot before its name.
    assert not [entry for entry in (own_agent.exec_root / "runtime").iterdir() if entry.name[0] != "."]
    assert names(own_agent) == []


def test_container_that_only_the_runtime_knows_is_taken_away(own_agent: PrivateAgent, own_busybox: str) -> None:
    """Its record is lost: nothing of it stays, neither its process nor its groups (nor the scope that holds them)."""
    own_agent.docker("run", "--detach", "--name", "kept", own_busybox, "sleep", "1000")
    container = own_agent.out("run", "--detach", "--name", "lost", own_busybox, "sleep", "1000")
    pid = state_of(own_agent, "lost")["Pid"]
    own_agent.kill()
    with contextlib.closing(sqlite3.connect(own_agent.data_root / "state.db")) as database:
        database.execute("DELETE FROM containers WHERE id = ?", (container,))
        database.commit()
    own_agent.start()
    assert not Path(f"/proc/{pid}").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/*/{container}"))
    assert not (own_agent.exec_root / "runtime" / container).exists()
    assert names(own_agent) == ["kept"]
    assert state_of(own_agent, "kept")["Running"]


def test_a_cable_that_is_gone_is_plugged_in_again(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker("network", "create", "--subnet", "10.149.0.0/24", "cut")
    run = ("run", "--detach", "--name", "cut-off", "--network", "cut", "--ip", "10.149.0.7", "-p", "18149:80")
    own_agent.docker(*run, own_busybox, "sh", "-c", "mkdir /w; echo page >/w/index.html; exec httpd -f -h /w")
    own_agent.kill()
    links = own_agent.run("ip", "-o", "link", "show", "type", "veth").stdout.decode()
    own_agent.run("ip", "link", "del", links.split()[1].partition("@")[0])
    own_agent.start()
    address = own_agent.out("inspect", "--format", "{{.NetworkSettings.Networks.cut.IPAddress}}", "cut-off")
    assert address == "10.149.0.7"
    for place in ("10.149.0.7", "127.0.0.1:18149"):
        fetch = ("busybox", "wget", "-q", "-O", "-", f"http://{place}/")
        eventually(lambda fetch=fetch: own_agent.run(*fetch, check=False).stdout == b"page\n", f"the page at {place}")
    own_agent.docker("rm", "-f", "cut-off")
    own_agent.docker("network", "rm", "cut")
