"""Input, output, terminal and log: every byte, in order, whatever the clients do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.monitor.harness import Watched, alive, all_of, pss, states_until, until
from wherry.errors import Unavailable

LINE = 16 * 1024


async def test_streams_are_told_apart_by_clients_and_log(watched: Watched) -> None:
    output, _ = await watched.run("echo out; echo err >&2")
    assert sorted(output) == [(1, b"out\n"), (2, b"err\n")]
    assert sorted((line["stream"], line["log"]) for line in watched.log()) == [("stderr", "err\n"), ("stdout", "out\n")]


async def test_every_attached_client_sees_all(watched: Watched) -> None:
    client = await watched.spawn("seq 1 2000")
    watchers = [await watched.attached() for _ in range(5)]
    await client.start()
    expected = "".join(f"{number}\n" for number in range(1, 2001)).encode()
    assert await asyncio.gather(*(all_of(one) for one in watchers)) == [expected] * 5


async def test_large_output_arrives_whole(watched: Watched) -> None:
    client = await watched.spawn("seq 1 1000000; echo end")
    watcher = await watched.attached()
    await client.start()
    data = await all_of(watcher)
    assert len(data) == 6888896 + len("end\n")
    assert data.endswith(b"1000000\nend\n")
    assert len(watched.log()) == 1000001


async def test_client_that_never_reads_does_not_hold_the_container_for_long(watched: Watched) -> None:
    client = await watched.spawn("seq 1 600000; echo done")
    states = await client.subscribe()
    directory = os.open(watched.options.state_dir, os.O_PATH | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as stuck:
        stuck.connect(f"/proc/self/fd/{directory}/monitor.sock")
        os.close(directory)
        stuck.sendall(b"\x05\0\0\0\0\0\0\x01\x06")  # ATTACH to stdout and stderr
        begun = time.monotonic()
        await client.start()
        pid = watched.state().monitor_pid
        largest = 0
        watching = asyncio.create_task(states_until(states, "exited"))
        while not watching.done():
            if alive(watched.state()):
                largest = max(largest, pss(pid))
            await asyncio.sleep(0.1)
        assert (await watching).exit_code == 0
        assert time.monotonic() - begun < 15
        assert largest < 8 << 20
    assert watched.log()[-1]["log"] == "done\n"
    assert len(watched.log()) == 600_001


async def test_input_reaches_the_container_and_its_end_too(watched: Watched) -> None:
    watched.configure(stdin=True, stdin_once=True)
    client = await watched.spawn("wc -c")
    watcher = await watched.attached(stdin=True)
    await client.start()
    for _ in range(100):
        await watcher.write_stdin(b"x" * 10_000)
    await watcher.close_stdin()
    assert (await all_of(watcher)).strip() == b"1000000"


async def test_slow_container_makes_its_writer_wait_and_loses_nothing(watched: Watched) -> None:
    watched.configure(stdin=True, stdin_once=True)
    client = await watched.spawn("sleep 0.5; wc -c")
    watcher = await watched.attached(stdin=True)
    await client.start()
    for _ in range(50):
        await watcher.write_stdin(b"x" * 60_000)
    await watcher.close_stdin()
    assert (await all_of(watcher)).strip() == b"3000000"


async def test_client_whose_input_had_to_wait_is_heard_again(watched: Watched) -> None:
    watched.configure(stdin=True, stdin_once=True)
    client = await watched.spawn("sleep 0.2; wc -c")
    watcher = await watched.attached(stdin=True)
    await client.start()
    for _ in range(4):
        await watcher.write_stdin(b"x" * 60_000)
    await asyncio.sleep(0.5)
    await watcher.close_stdin()
    assert (await asyncio.wait_for(all_of(watcher), 3)).strip() == b"240000"


async def test_input_of_one_client_ends_nothing_without_stdin_once(watched: Watched) -> None:
    watched.configure(stdin=True)
    client = await watched.spawn("read a; read b; echo $a $b")
    await client.start()
    first = await watched.attached(stdin=True)
    await first.write_stdin(b"one\n")
    await first.close_stdin()
    await first.close()
    second = await watched.attached(stdin=True)
    await second.write_stdin(b"two\n")
    assert await all_of(second) == b"one two\n"


async def test_container_that_closed_its_input_is_not_disturbed_by_more(watched: Watched) -> None:
    watched.configure(stdin=True, stdin_once=True)
    client = await watched.spawn("exec <&-; sleep 0.3; echo fine")
    watcher = await watched.attached(stdin=True)
    await client.start()
    with contextlib.suppress(Unavailable):  # it may end before all is sent
        for _ in range(20):
            await watcher.write_stdin(b"x" * 50_000)
    assert await all_of(watcher) == b"fine\n"


async def test_terminal_has_a_size_an_echo_and_one_stream(watched: Watched) -> None:
    watched.configure(tty=True, stdin=True)
    client = await watched.spawn("read x; echo got $x; stty size; tty >/dev/null && echo terminal")
    watcher = await watched.attached(stdin=True)
    await watcher.resize(31, 97)
    await client.start()
    await watcher.write_stdin(b"hello\n")
    assert await all_of(watcher, 1) == b"hello\r\ngot hello\r\n31 97\r\nterminal\r\n"


async def test_all_that_a_terminal_shows_arrives_before_its_end(watched: Watched) -> None:
    watched.configure(tty=True)
    output, _ = await watched.run("seq 1 5000")
    assert b"".join(data for _, data in output).split() == [b"%d" % number for number in range(1, 5001)]


async def test_descendant_that_holds_the_pipe_does_not_hold_the_end(watched: Watched) -> None:
    begun = time.monotonic()
    output, states = await watched.run("sleep 100 & echo gone")
    assert output == [(1, b"gone\n")]
    assert states[-1].exit_code == 0
    assert time.monotonic() - begun < 5


async def test_long_lines_are_split_and_an_unfinished_one_is_kept(watched: Watched) -> None:
    await watched.run(f"head -c {LINE + 10} /dev/zero | tr '\\0' a; echo; printf 'no end'")
    lines = [line["log"] for line in watched.log()]
    assert lines == ["a" * LINE, "a" * 10 + "\n", "no end"]


async def test_log_is_valid_json_whatever_the_bytes(watched: Watched) -> None:
    text = 'quote " back \\ tab \t bell \a é € 𝄞 <&>'
    (watched.bundle.rootfs / "text").write_bytes(text.encode() + b"\n" + b"\xff\xc3\x28\xed\xa0\x80\n")
    await watched.run("cat /text")
    first, second = (line["log"] for line in watched.log())
    assert first == text + "\n"
    assert second == "\ufffd\ufffd(\ufffd\ufffd\ufffd\n"
    for line in watched.log():
        assert line["time"].endswith("Z") and line["stream"] == "stdout"


async def test_log_rotates_by_size_and_count(watched: Watched) -> None:
    watched.configure_log(max_size=10_000, max_file=3)
    await watched.run("seq 1 2000")
    names = sorted(path.name for path in watched.place.glob("log.json*"))
    assert names == ["log.json", "log.json.1", "log.json.2"]
    kept = []
    for name in ("log.json.2", "log.json.1", "log.json"):
        text = (watched.place / name).read_bytes()
        assert len(text) < 10_200
        kept += [int(json.loads(line)["log"]) for line in text.splitlines()]
    assert kept == list(range(kept[0], 2001))


async def test_log_follows_a_rotation_by_others(watched: Watched) -> None:
    watched.configure(stdin=True)
    client = await watched.spawn("echo one; read x; echo two")
    await client.start()
    await until(lambda: b"one" in watched.log_path.read_bytes())
    watched.log_path.rename(watched.place / "old.json")
    await client.rotate()
    states = await client.subscribe()
    await client.write_stdin(b"\n")
    await states_until(states, "exited")
    assert [line["log"] for line in watched.log()] == ["two\n"]


async def test_log_behind_a_link_is_refused(watched: Watched) -> None:
    victim = watched.place / "victim"
    victim.touch()
    watched.log_path.symlink_to(victim)
    with pytest.raises(Exception, match="log file"):
        await watched.spawn("echo hello")
    assert victim.read_bytes() == b""


FULL_DISK = """
import asyncio, sys
from pathlib import Path
from tests.integration.monitor.harness import Watched
from tests.integration.runtime.harness import Bundle

async def main():
    watched = Watched(Bundle(Path(sys.argv[1]) / "bundle", sys.argv[2]), Path(sys.argv[1]))
    watched.configure_log(path=Path("/mnt/log.json"))
    output, states = await watched.run("seq 1 20000; echo end; exit 5")
    assert output[-1][1].endswith(b"end\\n"), output[-1]
    assert states[-1].exit_code == 5

asyncio.run(main())
"""


def _on_a_full_disk(script: str, tmp_path: Path, cgroup: str, *after: str) -> None:
    """Runs a script in a mount namespace where /mnt has room for 64 KiB."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    inside = ["mount -t tmpfs -o size=64k small /mnt", f"{sys.executable} -c '{script}' {tmp_path} {cgroup}", *after]
    command = ["unshare", "-m", "sh", "-ec", "\n".join(inside)]
    subprocess.run(command, check=True, env=environment, timeout=120, cwd=Path(__file__).parents[3])


def test_full_disk_costs_log_lines_and_nothing_else(tmp_path: Path, cgroup: str) -> None:
    _on_a_full_disk(FULL_DISK, tmp_path, cgroup, f"cp /mnt/log.json {tmp_path}/log.json")
    lines = (tmp_path / "log.json").read_bytes().splitlines()
    assert [int(json.loads(line)["log"]) for line in lines[:500]] == list(range(1, 501))
    for line in lines:
        json.loads(line)


FULL_BACKLOG = """
import asyncio, sys
from pathlib import Path
from tests.integration.monitor.harness import Watched, states_until
from tests.integration.monitor.test_slow_clients import CUT, attach, frames
from tests.integration.runtime.harness import Bundle

async def main():
    watched = Watched(Bundle(Path(sys.argv[1]) / "bundle", sys.argv[2]), Path(sys.argv[1]))
    watched.configure(backlog_dir=Path("/mnt"))
    client = await watched.spawn("head -c 20000000 /dev/zero; exit 5")
    states = await client.subscribe()
    with attach(watched.options.state_dir) as stuck:
        await client.start()
        last = await states_until(states, "exited")
        assert (last.exit_code, last.clients_cut) == (5, 1), last
        assert frames(stuck)[-1][0] == CUT

asyncio.run(main())
"""


def test_disk_without_room_for_what_a_stuck_reader_leaves_costs_the_reader_and_nothing_else(
    tmp_path: Path, cgroup: str
) -> None:
    _on_a_full_disk(FULL_BACKLOG, tmp_path, cgroup)
