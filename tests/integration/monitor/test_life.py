"""A container's life under its monitor: created, started, ended, restarted, and never lost."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.monitor.harness import Watched, alive, all_of, descriptors, pss, states_until, switches, until
from wherry.containers import monitor_client
from wherry.containers.monitor_client import MonitorFailure, MonitorState


async def test_states_follow_the_life(watched: Watched) -> None:
    _, states = await watched.run("exit 7")
    assert [state.status for state in states] == ["created", "running", "exited"]
    last = states[-1]
    assert (last.exit_code, last.signal, last.pid, last.oom_killed) == (7, None, None, False)
    assert states[1].pid is not None
    assert last.started_at is not None and last.finished_at is not None
    assert last.started_at <= last.finished_at
    assert watched.state() == last


async def test_death_by_signal_is_128_and_its_number(watched: Watched) -> None:
    client = await watched.spawn("sleep 100")
    states = await client.subscribe()
    await client.start()
    await client.signal(signal.SIGKILL)
    last = await states_until(states, "exited")
    assert (last.exit_code, last.signal) == (137, signal.SIGKILL)


async def test_what_waits_for_the_agents_readiness_hears_nothing_of_containers(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    output, states = await watched.run("echo ${NOTIFY_SOCKET-none}")
    assert b"".join(data for _, data in output) == b"none\n"
    assert states[-1].exit_code == 0


async def test_command_that_is_not_there_fails_with_the_runtimes_message(watched: Watched) -> None:
    watched.bundle.process["args"] = ["/no/such/program"]
    watched.bundle.write()
    with pytest.raises(MonitorFailure, match=r"no such file or directory|not found"):
        await asyncio.to_thread(monitor_client.spawn, watched.options)


async def test_created_container_that_is_given_up_leaves_nothing(watched: Watched) -> None:
    client = await watched.spawn("true")
    state = watched.state()
    await client.quit()
    await until(lambda: not alive(state))
    assert not (watched.options.state_dir / "monitor.sock").exists()


async def test_second_start_is_an_error_and_changes_nothing(watched: Watched) -> None:
    client = await watched.spawn("sleep 100")
    await client.start()
    with pytest.raises(MonitorFailure, match="started before"):
        await client.start()
    assert watched.state().status == "running"


async def test_out_of_memory_is_noticed(watched: Watched) -> None:
    watched.bundle.linux["resources"] = {"memory": {"limit": 16 << 20}}
    _, states = await watched.run("exec awk 'BEGIN { while (1) text = text \"xxxxxxxxxxxxxxxx\" text }'")
    assert (states[-1].oom_killed, states[-1].exit_code) == (True, 137)


async def test_child_that_is_killed_for_memory_is_noticed_while_the_container_goes_on(watched: Watched) -> None:
    watched.bundle.linux["resources"] = {"memory": {"limit": 16 << 20}}
    hog = "awk 'BEGIN { while (1) text = text \"xxxxxxxxxxxxxxxx\" text }'"
    client = await watched.spawn(f"{hog}; read x; {hog}; exec sleep 100")
    states = await client.subscribe()
    await client.start()
    async with asyncio.timeout(20):
        while not (state := await anext(states)).oom_kills:
            pass
        assert (state.status, state.oom_killed) == ("running", True)
        while state.oom_kills < 2:
            state = await anext(states)
    pid = state.monitor_pid
    before = switches(pid)
    await asyncio.sleep(1)
    assert switches(pid) - before <= 6  # the looks that follow an event come to an end
    await client.signal(signal.SIGKILL)
    assert (await states_until(states, "exited")).oom_kills == 2


async def test_restarts_wait_twice_as_long_each_time_and_end_at_the_bound(watched: Watched) -> None:
    watched.configure(restart="on-failure:3")
    _, states = await watched.run("exit 3")
    assert [state.restart_count for state in states if state.status == "restarting"] == [1, 2, 3]
    waits = []
    for before, after in itertools.pairwise(states):
        if before.status == "restarting" and after.status == "running":
            waits.append((_time(after.started_at) - _time(before.finished_at)).total_seconds())
    for expected, waited in zip((0.1, 0.2, 0.4), waits, strict=True):
        assert expected <= waited < expected + 0.5
    assert states[-1].status == "exited"
    assert states[-1].exit_code == 3


@pytest.mark.parametrize("policy", ["always", "unless-stopped"])
async def test_success_is_restarted_by_the_policies_that_know_no_failure(watched: Watched, policy: str) -> None:
    watched.configure(restart=policy)
    client = await watched.spawn("exit 0")
    states = await client.subscribe()
    await client.start()
    while (await states_until(states, "restarting")).restart_count < 2:
        pass
    await client.stopping(True)
    assert (await states_until(states, "exited")).exit_code == 0


async def test_wait_begins_anew_after_ten_seconds_of_health(watched: Watched) -> None:
    watched.configure(restart="on-failure:3")
    count = "n=$(cat /n 2>/dev/null || echo 0); echo $((n + 1)) >/n"
    _, states = await watched.run(f"{count}; test $n = 2 && sleep 10.2; exit 3")
    waits = []
    for before, after in itertools.pairwise(states):
        if before.status == "restarting" and after.status == "running":
            waits.append((_time(after.started_at) - _time(before.finished_at)).total_seconds())
    assert waits[1] >= 0.2
    assert 0.1 <= waits[2] < 0.4, "the third run lasted ten seconds: without that it would be 0.4 s"


async def test_success_is_not_restarted_on_failure(watched: Watched) -> None:
    watched.configure(restart="on-failure")
    _, states = await watched.run("exit 0")
    assert [state.status for state in states] == ["created", "running", "exited"]


async def test_person_who_stops_is_stronger_than_the_policy(watched: Watched) -> None:
    watched.configure(restart="always")
    client = await watched.spawn("sleep 100")
    states = await client.subscribe()
    await client.start()
    await client.stopping(True)
    await client.signal(signal.SIGKILL)
    assert (await states_until(states, "exited")).restart_count == 0


async def test_stop_during_the_wait_for_a_restart_ends_it(watched: Watched) -> None:
    watched.configure(restart="always")
    client = await watched.spawn("exit 1")
    states = await client.subscribe()
    await client.start()
    while (await states_until(states, "restarting")).restart_count < 4:
        pass
    await client.stopping(True)
    assert (await states_until(states, "exited")).exit_code == 1


async def test_policy_can_change_while_it_runs(watched: Watched) -> None:
    watched.configure(restart="always")
    client = await watched.spawn("sleep 100")
    states = await client.subscribe()
    await client.start()
    with pytest.raises(MonitorFailure, match="unknown; allowed are"):
        await client.set_policy("sometimes")
    await client.set_policy("no")
    await client.signal(signal.SIGKILL)
    assert (await states_until(states, "exited")).restart_count == 0


async def test_container_that_cannot_be_made_again_ends_with_the_reason(watched: Watched) -> None:
    watched.configure(restart="on-failure:1")
    client = await watched.spawn("sleep 100")
    states = await client.subscribe()
    await client.start()
    (watched.bundle.path / "config.json").write_text("{}")
    await client.signal(signal.SIGKILL)
    last = await states_until(states, "exited")
    assert last.exit_code == 128
    assert last.error


async def test_monitor_outlives_whoever_started_it_and_the_signals_of_a_terminal(
    watched: Watched, tmp_path: Path
) -> None:
    watched.bundle.shell("sleep 100")
    watched.bundle.write()
    arguments = watched.options.arguments(3)
    watched.options.state_dir.mkdir()
    script = tmp_path / "starter.py"
    script.write_text(f"import os\nos.dup2(1, 3)\nos.execv({arguments[0]!r}, {arguments!r})\n")
    starter = subprocess.run([sys.executable, script], capture_output=True, start_new_session=True, check=True)
    assert b'"ok":true' in starter.stdout
    client = await watched.client()
    await client.start()
    state = watched.state()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(state.monitor_pid, number)
    await asyncio.sleep(0.1)
    assert alive(state)
    assert os.getsid(state.monitor_pid) != os.getsid(0)
    assert watched.state().status == "running"


async def test_idle_monitor_is_small_and_sleeps(watched: Watched) -> None:
    client = await watched.spawn("sleep 100")
    await client.start()
    await client.close()
    pid = watched.state().monitor_pid
    await asyncio.sleep(0.7)
    before = switches(pid)
    await asyncio.sleep(1.5)
    assert switches(pid) == before
    assert pss(pid) < 400 << 10


async def test_container_inherits_nothing_of_monitor_or_caller(watched: Watched) -> None:
    with (watched.place / "secret").open("w") as secret:
        os.set_inheritable(secret.fileno(), True)
        output, _ = await watched.run("ls /proc/self/fd; env")
    text = b"".join(data for _, data in output).decode().split()
    assert [word for word in text if word.isdigit()] == ["0", "1", "2", "3"]  # 3: the directory that ls reads
    assert {word.partition("=")[0] for word in text if "=" in word} <= {"PATH", "PWD", "SHLVL", "HOME"}


async def test_record_is_whole_at_every_moment(watched: Watched) -> None:
    watched.configure(restart="on-failure:3")
    client = await watched.spawn("exit 1")
    states = await client.subscribe()
    seen: list[MonitorState] = []

    async def read() -> None:
        while True:
            seen.append(watched.state())
            await asyncio.sleep(0)

    reader = asyncio.create_task(read())
    await client.start()
    await states_until(states, "exited")
    reader.cancel()
    assert len(seen) > 50


async def test_connections_that_talk_nonsense_harm_nothing(watched: Watched) -> None:
    client = await watched.spawn("sleep 100; true")
    await client.start()
    pid = watched.state().monitor_pid
    idle = descriptors(pid)
    for garbage in (b"\xff" * 64, b"\x00\x00\x00\x00\xff\xff\xff\xff", b"\x05\x00\x00", b"", b"\x63\0\0\0\0\0\0\0"):
        for _ in range(40):
            _, writer = await asyncio.open_unix_connection(sock=_connect(watched))
            writer.write(garbage)
            writer.close()
    await until(lambda: descriptors(pid) <= idle)
    await client.signal(signal.SIGTERM)
    assert alive(watched.state())


async def test_end_is_told_to_those_who_come_in_the_last_moment(watched: Watched) -> None:
    client = await watched.spawn("echo last words; exit 0")
    watcher = await watched.attached()
    await client.start()
    assert await all_of(watcher) == b"last words\n"
    assert watched.log()[-1]["log"] == "last words\n"


def _connect(watched: Watched) -> socket.socket:
    directory = os.open(watched.options.state_dir, os.O_PATH | os.O_DIRECTORY)
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(f"/proc/self/fd/{directory}/monitor.sock")
    os.close(directory)
    return connection


def _time(text: str | None) -> datetime.datetime:
    assert text is not None
    return datetime.datetime.fromisoformat(text[:26] + "+00:00")
