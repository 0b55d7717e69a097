"""What drivers keep of a container's output, where they keep it, and what they tell of what they could not keep."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.monitor.harness import Watched, states_until, until
from wherry.containers.log_formats import FORMATS
from wherry.containers.log_reader import LogQuery, LogSource, read
from wherry.containers.log_watch import LogWatch
from wherry.containers.monitor_client import MonitorFailure


async def logged(path: Path, driver: str) -> list[tuple[str, bytes]]:
    """Stream and text of every entry, as the agent reads them."""
    future = asyncio.get_running_loop().create_future
    source = LogSource(path, FORMATS[driver], LogWatch(), lambda: True, future)
    return [(entry.stream, entry.data) async for entry in read(source, LogQuery())]


@pytest.mark.parametrize("driver", ["json-file", "local"])
async def test_rotated_files_are_compressed_and_read_as_one(watched: Watched, driver: str) -> None:
    watched.configure_log(driver=driver, max_size=100_000, max_file=4, compress=True)
    await watched.run("for i in 0 1 2 3 4 5; do seq $((i * 2000 + 1)) $((i * 2000 + 2000)); sleep 0.1; done")
    place = watched.place
    await until(lambda: not list(place.glob("log.json.*.tmp")) and not (place / "log.json.1").exists())
    names = sorted(path.name for path in place.glob("log.json*"))
    assert names == ["log.json", "log.json.1.gz", "log.json.2.gz", "log.json.3.gz"]
    assert len(gzip.decompress((place / "log.json.1.gz").read_bytes())) >= 100_000
    numbers = [int(data) for _, data in await logged(watched.log_path, driver)]
    assert len(numbers) > 3000
    assert numbers == list(range(12_001 - len(numbers), 12_001))


async def test_rotation_waits_for_no_compressor_and_loses_nothing(watched: Watched) -> None:
    watched.configure_log(max_size=20_000, max_file=1000, compress=True)
    await watched.run("seq 1 20000")
    await until(lambda: not list(watched.place.glob("log.json.*.tmp")))
    assert [int(data) for _, data in await logged(watched.log_path, "json-file")] == list(range(1, 20_001))


async def test_half_entry_of_a_killed_monitor_spoils_nothing(watched: Watched) -> None:
    watched.configure_log(driver="local")
    watched.log_path.write_bytes(_record(b"whole") + _record(b"cut off")[:-3])
    await watched.run("echo next")
    assert await logged(watched.log_path, "local") == [("stdout", b"whole\n"), ("stdout", b"next\n")]


async def test_half_line_of_a_killed_monitor_spoils_nothing(watched: Watched) -> None:
    watched.log_path.write_text('{"log":"whole\\n","stream":"stdout","time":"2024-01-01T00:00:00Z"}\n{"log":"cut o')
    await watched.run("echo next")
    assert [line["log"] for line in watched.log()] == ["whole\n", "next\n"]


def _record(text: bytes) -> bytes:
    message = b"\x0a\x06stdout\x10\x01\x1a" + bytes([len(text)]) + text
    return struct.pack(">I", len(message)) + message + struct.pack(">I", len(message))


async def test_local_keeps_every_byte_of_lines_long_short_and_unfinished(watched: Watched) -> None:
    watched.configure_log(driver="local")
    raw = bytes(range(256)) * 200 + b"\n\n" + b"x" * 16384 + b"\n" + b"no end"
    (watched.bundle.rootfs / "raw").write_bytes(raw)
    await watched.run("cat /raw; echo error >&2")
    entries = await logged(watched.log_path, "local")
    assert b"".join(data for stream, data in entries if stream == "stdout") == raw
    assert [data for stream, data in entries if stream == "stderr"] == [b"error\n"]


async def test_attributes_stand_beside_every_entry(watched: Watched) -> None:
    watched.configure_log(attributes=(("a", 'quote"'), ("tag", "x=y")))
    await watched.run("echo one; echo two")
    assert [line["attrs"] for line in watched.log()] == [{"a": 'quote"', "tag": "x=y"}] * 2  # type: ignore[comparison-overlap]


async def test_pieces_of_a_long_line_have_one_time(watched: Watched) -> None:
    await watched.run("head -c 40000 /dev/zero | tr '\\0' a; sleep 0.2; echo; echo next")
    lines = watched.log()
    assert len({line["time"] for line in lines[:3]}) == 1
    assert lines[3]["time"] > lines[0]["time"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", lines[0]["time"])


@contextlib.contextmanager
def receiver(kind: str, place: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A syslog server: its address, and the messages as they come (of a stream: what each connection sent)."""
    family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
    stream = kind in ("tcp", "unix")
    server = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    server.bind(str(place / "s") if family == socket.AF_UNIX else ("127.0.0.1", 0))
    got: list[bytes] = []

    def serve() -> None:
        try:
            if stream:
                server.listen(4)
                while True:
                    connection, _ = server.accept()
                    with connection:
                        while data := connection.recv(65536):
                            got.append(data)
            while data := server.recv(65536):
                got.append(data)
        except OSError:
            return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = "" if family == socket.AF_UNIX else f":{server.getsockname()[1]}"
    yield f"{kind}://{place / 's' if family == socket.AF_UNIX else '127.0.0.1'}{port}", got
    with contextlib.suppress(OSError):  # it wakes who waits for a datagram all the same
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    server.close()


@pytest.mark.parametrize("kind", ["udp", "tcp", "unix", "unixgram"])
async def test_syslog_in_rfc5424(watched: Watched, kind: str) -> None:
    with receiver(kind, watched.place) as (address, got):
        watched.configure_log(driver="syslog", path=None, address=address, format="rfc5424micro", tag="web/1")
        watched.configure_log(facility=16)
        await watched.run("echo one; sleep 0.1; echo two >&2")
        await until(lambda: b"two" in b"".join(got))
    messages = b"".join(got).decode().splitlines() if kind in ("tcp", "unix") else [data.decode() for data in got]
    head = (
        r"<(\d+)>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z " + re.escape(socket.gethostname()) + r" web/1 \d+ web/1 - "
    )
    found = [re.fullmatch(head + "(.*)", message) for message in messages]
    assert [match and match.groups() for match in found] == [(str(16 * 8 + 6), "one"), (str(16 * 8 + 3), "two")]


@pytest.mark.parametrize(
    ("form", "head"), [("", r"<30>\w{3} [ \d]\d \d\d:\d\d:\d\d t\[\d+\]: "), ("rfc3164", r"<30>.{15} \S+ t\[\d+\]: ")]
)
async def test_syslog_in_the_older_forms(watched: Watched, form: str, head: str) -> None:
    with receiver("unixgram", watched.place) as (address, got):
        watched.configure_log(driver="syslog", path=None, address=address, format=form, tag="t")
        await watched.run("echo hello")
        await until(lambda: got)
    assert re.fullmatch(head + "hello", got[0].decode())


async def test_syslog_server_that_is_away_at_the_start_is_an_error(watched: Watched) -> None:
    watched.configure_log(driver="syslog", path=None, address="tcp://127.0.0.1:1", tag="t")
    with pytest.raises(MonitorFailure, match=r"syslog: tcp://127.0.0.1:1: Connection refused"):
        await watched.spawn("true")


async def test_syslog_server_that_comes_back_is_found_and_what_was_lost_is_counted(watched: Watched) -> None:
    watched.configure(stdin=True)
    with receiver("unixgram", watched.place) as (address, got):
        watched.configure_log(driver="syslog", path=None, address=address, tag="t")
        client = await watched.spawn("echo first; read x; echo lost; read x; sleep 1.1; echo again")
        states = await client.subscribe()
        await client.start()
        await until(lambda: got)
    (watched.place / "s").unlink()
    await client.write_stdin(b"\n")
    await until(lambda: watched.state().log_lost_entries)
    state = watched.state()
    assert (state.log_lost_entries, state.log_lost_bytes) == (1, 4)
    with receiver("unixgram", watched.place) as (_, got):
        await client.write_stdin(b"\n")
        await states_until(states, "exited")
        await until(lambda: got)
    assert got[0].endswith(b": again")
    assert watched.state().log_lost_entries == 1


def _stuck_server(place: Path) -> socket.socket:
    """A server that accepts a connection and never reads from it."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    server.bind(str(place / "s"))
    server.listen()
    return server


async def test_full_buffer_drops_entries_in_non_blocking_mode(watched: Watched) -> None:
    with _stuck_server(watched.place):
        address = f"unix://{watched.place}/s"
        watched.configure_log(driver="syslog", path=None, address=address, tag="t", non_blocking=True)
        watched.configure_log(max_buffer=100_000)
        began = time.monotonic()
        output, states = await watched.run("seq 1 200000")
        assert time.monotonic() - began < 10
        assert b"".join(data for _, data in output).endswith(b"200000\n")
        assert states[-1].log_lost_entries > 100_000
        await until(lambda: watched.state().log_lost_entries >= states[-1].log_lost_entries)


async def test_slow_server_makes_the_container_wait_in_blocking_mode_and_nothing_is_lost(watched: Watched) -> None:
    with _stuck_server(watched.place) as server:
        watched.configure_log(driver="syslog", path=None, address=f"unix://{watched.place}/s", tag="t")
        watched.configure_log(max_buffer=20_000)
        client = await watched.spawn("seq 1 100000; echo end")
        states = await client.subscribe()
        await client.start()
        await asyncio.sleep(0.5)
        assert watched.state().status == "running"
        await client.set_policy("no")  # the monitor itself goes on serving
        connection, _ = server.accept()
        got = bytearray()

        def drain() -> None:
            while data := connection.recv(1 << 16):
                got.extend(data)

        reader = asyncio.create_task(asyncio.to_thread(drain))
        last = await states_until(states, "exited")
        await asyncio.wait_for(reader, 10)
    texts = [line.rpartition(b": ")[2] for line in bytes(got).splitlines()]
    assert texts == [b"%d" % number for number in range(1, 100_001)] + [b"end"]
    assert last.log_lost_entries == 0


async def test_files_in_non_blocking_mode_are_complete_when_the_disk_keeps_up(watched: Watched) -> None:
    watched.configure_log(non_blocking=True, max_buffer=1 << 20)
    await watched.run("seq 1 3000")
    assert [int(line["log"]) for line in watched.log()] == list(range(1, 3001))
    assert watched.state().log_lost_entries == 0


async def test_journal_entries_carry_their_fields(watched: Watched) -> None:
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(watched.place / "j"))
    journal.settimeout(10)
    fields = (("CONTAINER_ID", "abc"), ("CONTAINER_NAME", "new\nline"))
    watched.configure_log(driver="journald", path=None, address=str(watched.place / "j"), attributes=fields)
    await watched.run("echo one; sleep 0.1; head -c 16390 /dev/zero | tr '\\0' a >&2; echo >&2")
    entries = [_journal_fields(await asyncio.to_thread(journal.recv, 1 << 20)) for _ in range(3)]
    journal.close()
    assert entries[0].items() >= {"MESSAGE": b"one", "PRIORITY": b"6", "CONTAINER_NAME": b"new\nline"}.items()
    assert "CONTAINER_PARTIAL_MESSAGE" not in entries[0]
    assert [len(entry["MESSAGE"]) for entry in entries[1:]] == [16384, 6]
    assert entries[1].items() >= {"PRIORITY": b"3", "CONTAINER_PARTIAL_MESSAGE": b"true"}.items()
    assert [entry["CONTAINER_PARTIAL_ORDINAL"] for entry in entries[1:]] == [b"1", b"2"]
    assert [entry["CONTAINER_PARTIAL_LAST"] for entry in entries[1:]] == [b"false", b"true"]
    assert entries[1]["CONTAINER_PARTIAL_ID"] == entries[2]["CONTAINER_PARTIAL_ID"]


def _journal_fields(datagram: bytes) -> dict[str, bytes]:
    """A datagram of the journal's native protocol."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + size], rest[9 + size :]
        fields[name.decode()] = value
        datagram = rest
    return fields


async def test_journal_that_does_not_run_is_an_error(watched: Watched) -> None:
    watched.configure_log(driver="journald", path=None, address=str(watched.place / "none"))
    with pytest.raises(MonitorFailure, match="journald is not enabled on this host"):
        await watched.spawn("true")


async def test_log_that_is_no_file_is_refused(watched: Watched) -> None:
    watched.configure_log(path=Path("/dev/full"))
    with pytest.raises(MonitorFailure, match="/dev/full: is not a regular file"):
        await watched.spawn("true")
