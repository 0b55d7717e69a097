"""Clients that read slowly, late or never: the container goes on, and who reads at all loses nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import time
from pathlib import Path

from tests.integration.monitor.harness import Watched, alive, states_until, until

STDOUT, CUT = 1, 17
MEGABYTE = 1 << 20


def attach(state_dir: Path) -> socket.socket:
    """A client that has attached, and reads when it is told to."""
    directory = os.open(state_dir, os.O_PATH)
    try:
        client = socket.socket(socket.AF_UNIX)
        client.connect(f"/proc/self/fd/{directory}/monitor.sock")
    finally:
        os.close(directory)
    client.settimeout(20)
    client.sendall(b"\x05\0\0\0\0\0\0\x01\x06")
    assert client.recv(8, socket.MSG_WAITALL)[0] == 6
    return client


def frames(client: socket.socket) -> list[tuple[int, bytes]]:
    """All frames to the end of the connection; each must be whole."""
    found = []
    with client.makefile("rb") as stream:
        while head := stream.read(8):
            kind, length = struct.unpack(">B3xI", head)
            payload = stream.read(length)
            assert len(payload) == length
            found.append((kind, payload))
    return found


async def test_who_looks_on_and_does_not_read_is_cut_off_and_told_so(watched: Watched) -> None:
    watched.configure(backlog_max=MEGABYTE, stdin=True)
    client = await watched.spawn("read x; head -c 20000000 /dev/zero; exit 6")
    states = await client.subscribe()
    await client.start()
    with attach(watched.options.state_dir) as stuck:
        began = time.monotonic()
        await client.write_stdin(b"\n")
        last = await states_until(states, "exited")
        assert time.monotonic() - began < 10
        assert (last.exit_code, last.clients_cut) == (6, 1)
        *output, (kind, reason) = frames(stuck)
    assert kind == CUT
    assert b"bytes behind: the container does not wait for who reads too slowly" in reason
    assert {kind for kind, _ in output} == {STDOUT}


async def test_small_delay_of_a_reader_is_bridged_without_the_container_noticing(watched: Watched) -> None:
    client = await watched.spawn("head -c 20000000 /dev/zero; exit 6")
    states = await client.subscribe()
    with attach(watched.options.state_dir) as late:
        began = time.monotonic()
        await client.start()
        assert (await states_until(states, "exited")).exit_code == 6
        async for _ in states:
            pass
        assert time.monotonic() - began < 10  # whoever controls it is told, though one still reads
        state = watched.state()
        assert alive(state)
        assert not (watched.options.state_dir / "monitor.sock").exists()
        assert sum(len(data) for _, data in frames(late)) == 20_000_000
    await until(lambda: not alive(state))
    assert state.clients_cut == 0


async def test_reader_that_was_there_from_the_start_has_more_kept_for_it(watched: Watched) -> None:
    watched.configure(backlog_max=MEGABYTE)
    client = await watched.spawn("head -c 12000000 /dev/zero; echo end")
    states = await client.subscribe()
    with attach(watched.options.state_dir) as slow:
        await client.start()
        assert (await states_until(states, "exited")).clients_cut == 0
        output = b"".join(data for _, data in await asyncio.to_thread(frames, slow))
    assert (len(output), output[-4:]) == (12_000_004, b"end\n")


async def test_stuck_reader_that_was_there_from_the_start_does_not_hold_the_container(watched: Watched) -> None:
    watched.configure(backlog_max=MEGABYTE)
    client = await watched.spawn("head -c 40000000 /dev/zero; exit 6")
    states = await client.subscribe()
    with attach(watched.options.state_dir) as stuck:
        began = time.monotonic()
        await client.start()
        last = await states_until(states, "exited")
        assert time.monotonic() - began < 15
        assert (last.exit_code, last.clients_cut) == (6, 1)
        *output, (kind, reason) = frames(stuck)
    assert kind == CUT
    assert b"bytes behind: the container does not wait for who reads too slowly" in reason
    assert {kind for kind, _ in output} == {STDOUT}


async def test_two_readers_at_their_own_speed_see_the_same(watched: Watched) -> None:
    client = await watched.spawn("seq 1 300000")
    with attach(watched.options.state_dir) as first, attach(watched.options.state_dir) as second:
        await client.start()
        quick = b"".join(data for _, data in await asyncio.to_thread(frames, first))
        late = b"".join(data for _, data in await asyncio.to_thread(frames, second))
    assert quick == late
    assert quick.split() == [b"%d" % number for number in range(1, 300_001)]


async def test_reader_that_leaves_does_not_keep_the_monitor(watched: Watched) -> None:
    client = await watched.spawn("head -c 5000000 /dev/zero")
    states = await client.subscribe()
    with attach(watched.options.state_dir):
        await client.start()
        await states_until(states, "exited")
        state = watched.state()
    await until(lambda: not alive(state))
