"""Create, start, stop, kill, restart, pause, rename, update, remove: outcomes, codes and words."""

from __future__ import annotations

import concurrent.futures
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.integration.containers.conftest import ask, eventually, state_of
from tests.integration.support.private_agent import PrivateAgent

SLEEPER = ("sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.05; done")
DEAF = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")


def test_start_and_stop_say_when_there_is_nothing_to_do(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, *SLEEPER)
    assert ask(agent, "POST", f"/containers/{name}/stop")[0] == 304
    assert ask(agent, "POST", f"/containers/{name}/start")[0] == 204
    assert ask(agent, "POST", f"/containers/{name}/start")[0] == 304
    assert ask(agent, "POST", f"/containers/{name}/stop?t=5")[0] == 204
    assert state_of(agent, name)["ExitCode"] == 3


def test_stop_kills_after_the_timeout(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, *DEAF)
    began = time.monotonic()
    agent.docker("stop", "--time", "1", name)
    assert 0.9 < time.monotonic() - began < 5
    assert state_of(agent, name)["ExitCode"] == 137


def test_stop_uses_the_containers_signal(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "trap 'exit 12' USR1; trap '' TERM; while :; do sleep 0.05; done"
    agent.docker("run", "--detach", "--name", name, "--stop-signal", "USR1", busybox, "sh", "-c", script)
    time.sleep(0.2)
    agent.docker("stop", name)
    assert state_of(agent, name)["ExitCode"] == 12


def test_stopping_a_paused_container_ends_it(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, *SLEEPER)
    time.sleep(0.2)
    agent.docker("pause", name)
    assert state_of(agent, name)["Status"] == "paused"
    status, answer = ask(agent, "POST", f"/containers/{name}/pause")
    assert (status, "is already paused" in answer["message"]) == (409, True)
    agent.docker("stop", name)
    assert state_of(agent, name)["Status"] == "exited"


def test_kill_sends_any_signal_and_conflicts_when_there_is_nothing_to_kill(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker(
        "run", "--detach", "--name", name, busybox, "sh", "-c", "trap 'exit 9' HUP; while :; do sleep 0.05; done"
    )
    time.sleep(0.2)
    agent.docker("kill", "--signal", "HUP", name)
    eventually(lambda: state_of(agent, name)["ExitCode"] == 9)
    status, answer = ask(agent, "POST", f"/containers/{name}/kill")
    assert (status, "is not running" in answer["message"]) == (409, True)
    status, answer = ask(agent, "POST", f"/containers/{name}/kill?signal=NOPE")
    assert (status, answer["message"]) == (400, "Invalid signal: NOPE")


def test_a_container_runs_again_with_what_it_wrote(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--name", name, busybox, "sh", "-c", "echo x >> /file; wc -l < /file")
    assert agent.out("start", "--attach", name) == "2"
    agent.docker("restart", name)
    eventually(lambda: agent.out("logs", name).split() == ["1", "2", "3"])


def test_name_conflict_is_worded_as_clients_expect(agent: PrivateAgent, busybox: str, name: str) -> None:
    identity = agent.out("create", "--name", name, busybox, "true")
    status, answer = ask(agent, "POST", f"/containers/create?name={name}", {"Image": busybox})
    assert status == 409
    assert answer["message"] == (
        f'Conflict. The container name "/{name}" is already in use by container "{identity}". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    status, answer = ask(agent, "POST", "/containers/create?name=-bad", {"Image": busybox})
    assert (status, answer["message"]) == (
        400, "Invalid container name (-bad), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
    )  # fmt: skip
    assert ask(agent, "GET", "/containers/absent-one/json") == (404, {"message": "No such container: absent-one"})


def test_one_name_taken_twice_at_once_is_given_once(agent: PrivateAgent, busybox: str, name: str) -> None:
    def create(_: int) -> int:
        return ask(agent, "POST", f"/containers/create?name={name}", {"Image": busybox, "Cmd": ["true"]})[0]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [201] + [409] * 7


def test_parallel_removes_have_one_winner(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, *DEAF)

    def remove(_: int) -> tuple[int, Any]:
        return ask(agent, "DELETE", f"/containers/{name}?force=1")

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(remove, range(6)))
    statuses = sorted(status for status, _ in answers)
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 404, 409}
    assert all("is already in progress" in answer["message"] for status, answer in answers if status == 409)


def test_a_running_container_is_removed_only_by_force(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, *SLEEPER)
    status, answer = ask(agent, "DELETE", f"/containers/{name}")
    assert status == 409
    assert answer["message"].startswith("You cannot remove a running container ")
    assert state_of(agent, name)["Running"]
    agent.docker("rm", "--force", name)
    assert ask(agent, "GET", f"/containers/{name}/json")[0] == 404


def _nest(place: str, depth: int) -> None:
    kept = os.open(".", os.O_RDONLY)
    try:
        os.chdir(place)
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
    finally:
        os.fchdir(kept)
        os.close(kept)


def test_directories_nested_deeper_than_a_path_can_name_are_removed(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker("create", "--name", name, "-v", f"{name}:/v", busybox, "true")
    _nest(agent.out("inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", name), 2500)
    _nest(agent.out("volume", "inspect", "--format", "{{.Mountpoint}}", name), 2500)
    data = agent.data_root / "containers" / agent.out("inspect", "--format", "{{.Id}}", name)
    assert data.exists()
    agent.docker("rm", name)
    agent.docker("volume", "rm", name)
    assert not data.exists()
    assert not (agent.data_root / "volumes" / name).exists()


def test_rename_and_update_change_what_runs(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", f"{name}-old", "--memory", "32m", busybox, *SLEEPER)
    agent.docker("rename", f"{name}-old", name)
    agent.docker("update", "--memory", "64m", "--memory-swap", "128m", "--restart", "on-failure:2", name)
    limit = agent.out("exec", name, "cat", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    assert limit == str(64 << 20)
    shown = agent.out("inspect", "--format", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", name)
    assert shown == f"{64 << 20} on-failure"
    status, answer = ask(agent, "POST", f"/containers/{name}/update", {"Memory": 1})
    assert (status, answer["message"]) == (400, "Minimum memory limit allowed is 6MB")


def test_restart_policy_runs_out(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--restart", "on-failure:2", busybox, "sh", "-c", "echo x; exit 5")
    eventually(lambda: state_of(agent, name)["Status"] == "exited")
    assert agent.out("logs", name).split() == ["x", "x", "x"]
    assert agent.out("inspect", "--format", "{{.RestartCount}} {{.State.ExitCode}}", name) == "2 5"


def test_a_stopped_container_is_not_restarted_by_its_policy(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--restart", "always", busybox, *SLEEPER)
    agent.docker("stop", name)
    time.sleep(0.5)
    assert state_of(agent, name)["Status"] == "exited"


def test_what_is_not_honoured_is_refused_by_name(agent: PrivateAgent, busybox: str) -> None:
    done = agent.docker("create", "--isolation", "hyperv", busybox, "true", check=False)
    assert done.returncode == 1
    assert b"not supported" in done.stderr


def test_an_ambiguous_prefix_is_refused(agent: PrivateAgent, busybox: str) -> None:
    made = [agent.out("create", busybox, "true") for _ in range(17)]
    try:
        starts = [identity[0] for identity in made]
        shared = next(start for start in starts if starts.count(start) > 1)
        status, answer = ask(agent, "GET", f"/containers/{shared}/json")
        assert (status, answer["message"]) == (400, f"multiple IDs found with provided prefix: {shared}")
        assert ask(agent, "GET", f"/containers/{made[0][:12]}/json")[1]["Id"] == made[0]
    finally:
        agent.docker("rm", *made)


def test_list_filters_and_order(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--label", f"job={name}", busybox, *SLEEPER)
    agent.docker("create", "--name", f"{name}-b", "--label", f"job={name}", busybox, "true")
    mine = ("--filter", f"label=job={name}", "--format", "{{.Names}}")
    assert agent.out("ps", *mine) == name
    assert agent.out("ps", "--all", *mine).split() == [f"{name}-b", name]
    assert agent.out("ps", "--all", "--filter", "status=created", *mine) == f"{name}-b"
    assert agent.out("ps", "--all", "--last", "1", "--format", "{{.Names}}") == f"{name}-b"
    assert ask(agent, "GET", '/containers/json?filters={"nonsense":["x"]}')[0] == 400
    agent.docker("rm", f"{name}-b")


def test_top_shows_the_containers_processes_alone(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1234")
    lines = agent.out("top", name, "-o", "pid,args").splitlines()
    assert [line.split()[1:] for line in lines[1:]] == [["sleep", "1234"]]


def test_oom_is_recorded(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--name", name, "--memory", "16m", busybox, "tail", "/dev/zero", check=False)
    state = state_of(agent, name)
    assert (state["OOMKilled"], state["ExitCode"]) == (True, 128 + signal.SIGKILL)


def test_events_tell_the_whole_life(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--name", name, "--label", "a=b", busybox, "sh", "-c", "exit 4", check=False)
    agent.docker("rm", name)
    until = str(int(time.time()) + 1)
    lines = agent.out(
        "events", "--since", "1", "--until", until, "--filter", f"container={name}", "--format", "{{json .}}"
    )
    events = [json.loads(line) for line in lines.splitlines()]
    assert [event["Action"] for event in events] == ["create", "attach", "start", "die", "destroy"]
    assert events[3]["Actor"]["Attributes"]["exitCode"] == "4"
    assert all(
        event["Actor"]["Attributes"].items() >= {"name": name, "image": busybox, "a": "b"}.items() for event in events
    )
