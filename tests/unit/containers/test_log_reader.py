"""Reading logs: tail, times, streams, rotation, following, hostile content."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wherry.containers.log_formats import FORMATS, LogEntry
from wherry.containers.log_reader import LogQuery, LogSource, read
from wherry.containers.log_watch import LogWatch
from wherry.containers.waiting import ExitResult

START = 1_700_000_000


def line(number: int, stream: str = "stdout", text: str | None = None) -> str:
    moment = f"2023-11-14T22:13:{20 + number:02d}.5Z"
    return json.dumps({"log": text or f"line {number}\n", "stream": stream, "time": moment}) + "\n"


def source(path: Path, ended: Callable[[], bool], driver: str = "json-file") -> LogSource:
    """A log whose container never reports an exit of its own."""
    return LogSource(path, FORMATS[driver], LogWatch(), ended, lambda: asyncio.get_running_loop().create_future())


def collect(path: Path, query: LogQuery, driver: str = "json-file") -> list[LogEntry]:
    async def run() -> list[LogEntry]:
        return [entry async for entry in read(source(path, lambda: True, driver), query)]

    return asyncio.run(run())


def texts(entries: list[LogEntry]) -> list[str]:
    return [entry.data.decode().strip() for entry in entries]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "x-json.log"
    path.with_name("x-json.log.2").write_text(line(0))
    path.with_name("x-json.log.1").write_text(line(1) + line(2, "stderr"))
    path.write_text(line(3) + line(4, "stderr") + line(5))
    return path


def test_rotated_files_come_oldest_first(log: Path) -> None:
    assert texts(collect(log, LogQuery())) == [f"line {number}" for number in range(6)]


@pytest.mark.parametrize(("tail", "expected"), [(0, []), (2, [4, 5]), (4, [2, 3, 4, 5]), (99, [0, 1, 2, 3, 4, 5])])
def test_tail_reaches_back_over_rotated_files(log: Path, tail: int, expected: list[int]) -> None:
    assert texts(collect(log, LogQuery(tail=tail))) == [f"line {number}" for number in expected]


def test_streams_and_times_are_told_apart(log: Path) -> None:
    assert texts(collect(log, LogQuery(stdout=False))) == ["line 2", "line 4"]
    assert texts(collect(log, LogQuery(stderr=False, tail=2))) == ["line 3", "line 5"]
    second = 1_000_000_000
    window = LogQuery(since=(START + 2) * second, until=(START + 3) * second + second // 2)
    assert texts(collect(log, window)) == ["line 2", "line 3"]


def test_a_line_that_is_being_written_is_not_read_before_it_is_whole(log: Path) -> None:
    with log.open("a") as file:
        file.write(line(6)[:20])
    assert texts(collect(log, LogQuery(tail=1))) == ["line 5"]
    assert texts(collect(log, LogQuery()))[-1] == "line 5"


def test_every_byte_comes_back_as_it_went_in(log: Path) -> None:
    raw = b'{"log":"\\u001b[31m\xff\xfe{\\"log\\":1}\\n","stream":"stdout","time":"2023-11-14T22:13:20Z"}\n'
    log.write_bytes(raw + b"garbage that no monitor wrote\n" + line(1).encode())
    entries = collect(log, LogQuery(tail=2))
    assert entries[0].data == b'\x1b[31m\xff\xfe{"log":1}\n'
    assert texts(entries[1:]) == ["line 1"]


def test_a_long_line_in_many_pieces_is_read_backwards_too(log: Path) -> None:
    log.write_text("".join(line(0, text="x" * 16384) for _ in range(100)) + line(1))
    entries = collect(log, LogQuery(tail=51))
    assert len(entries) == 51
    assert sum(len(entry.data) for entry in entries[:-1]) == 50 * 16384


def rotate(log: Path) -> None:
    with log.open("a") as file:
        file.write(line(8))
    log.replace(log.with_name("x-json.log.1"))
    log.write_text(line(9))


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def follow(log: Path, last: str, react: Callable[[list[str]], None], **query: Any) -> list[str]:
    """Follows until ``last`` was seen; the container then exits."""
    seen: list[str] = []

    async def run() -> None:
        exited: asyncio.Future[ExitResult] = asyncio.get_running_loop().create_future()
        here = replace(source(log, exited.done), next_exit=lambda: asyncio.shield(exited))
        async for entry in read(here, LogQuery(follow=True, **query)):
            seen.extend(texts([entry]))
            react(seen)
            if last in seen and not exited.done():
                exited.set_result(ExitResult(0))

    async def limited() -> None:
        asyncio.get_running_loop().call_later(0.15, append, log, line(7))
        await asyncio.wait_for(run(), 5)

    asyncio.run(limited())
    return seen


def test_follow_sees_what_is_written_and_survives_rotation(log: Path) -> None:
    def react(seen: list[str]) -> None:
        if seen == ["line 7"]:
            rotate(log)

    assert follow(log, "line 9", react, tail=0) == ["line 7", "line 8", "line 9"]


def test_follow_misses_no_file_that_came_and_went_between_two_looks(log: Path) -> None:
    def react(seen: list[str]) -> None:
        if seen != ["line 7"]:
            return
        rotate(log)
        log.with_name("x-json.log.1").replace(log.with_name("x-json.log.2"))
        with gzip.open(log.with_name("x-json.log.1.gz"), "wt") as packed:
            packed.write(log.read_text())
        log.replace(log.with_name("gone"))
        log.write_text(line(10))

    assert follow(log, "line 10", react, tail=0) == ["line 7", "line 8", "line 9", "line 10"]


def test_follow_goes_on_when_a_log_of_one_file_is_emptied(log: Path) -> None:
    def react(seen: list[str]) -> None:
        if seen[-1] == "line 7":
            log.write_text(line(8))

    assert follow(log, "line 8", react, tail=0) == ["line 7", "line 8"]


def test_follow_ends_when_the_wanted_time_is_over(log: Path) -> None:
    began = time.monotonic()
    until = time.time_ns() + 300_000_000

    async def run() -> int:
        return len([entry async for entry in read(source(log, lambda: False), LogQuery(follow=True, until=until))])

    assert asyncio.run(asyncio.wait_for(run(), 5)) == 6
    assert 0.2 < time.monotonic() - began < 3


def compress(path: Path) -> None:
    with gzip.open(path.with_name(path.name + ".gz"), "wb") as packed:
        packed.write(path.read_bytes())
    path.unlink()


@pytest.mark.parametrize("tail", [None, 1, 4, 5, 99])
def test_compressed_files_are_read_like_plain_ones(log: Path, tail: int | None) -> None:
    expected = texts(collect(log, LogQuery(tail=tail)))
    compress(log.with_name("x-json.log.1"))
    compress(log.with_name("x-json.log.2"))
    log.with_name("x-json.log.1.gz.tmp").write_bytes(b"a compressor is at work")
    assert texts(collect(log, LogQuery(tail=tail))) == expected


def test_a_compressed_file_that_was_cut_short_gives_what_there_is(log: Path) -> None:
    old = log.with_name("x-json.log.1")
    old.write_text("".join(line(number % 40, text=os.urandom(40).hex() + "\n") for number in range(500)))
    compress(old)
    packed = log.with_name("x-json.log.1.gz")
    packed.write_bytes(packed.read_bytes()[:-2000])
    assert 300 < len(collect(log, LogQuery())) < 503


def record(text: bytes, number: int, *, last: bool | None = None) -> bytes:
    """A record of the driver local, written out by hand; ``last`` is that of a piece of a long line."""
    nanoseconds = (START + number) * 1_000_000_000
    varint = bytearray()
    while nanoseconds >= 0x80:
        varint.append(nanoseconds & 0x7F | 0x80)
        nanoseconds >>= 7
    varint.append(nanoseconds)
    message = b"\x0a\x06stdout" + b"\x10" + bytes(varint)
    if text:
        assert len(text) < 128
        message += b"\x1a" + bytes([len(text)]) + text
    if last is not None:
        partial = (b"\x08\x01" if last else b"") + b"\x12\x02ab\x18\x01"
        message += b"\x20\x01\x2a" + bytes([len(partial)]) + partial
    size = len(message).to_bytes(4, "big")
    return size + message + size


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "container.log"
    path.with_name("container.log.1").write_bytes(record(b"one", 1) + record(b"", 2))
    path.write_bytes(record(b"thr", 3, last=False) + record(b"ee", 3, last=True) + record(b"\xff\n", 4))
    return path


@pytest.mark.parametrize("tail", [None, 1, 2, 3, 4, 5])
def test_the_form_of_the_local_driver_is_read_from_either_end(local: Path, tail: int | None) -> None:
    data = [entry.data for entry in collect(local, LogQuery(tail=tail), "local")]
    assert data == [b"one\n", b"\n", b"thr", b"ee\n", b"\xff\n\n"][-tail if tail else None :]
    compress(local.with_name("container.log.1"))
    assert [entry.data for entry in collect(local, LogQuery(tail=tail), "local")] == data
    window = LogQuery(since=(START + 2) * 10**9, until=(START + 3) * 10**9)
    assert len(collect(local, window, "local")) == 3


def test_a_record_that_is_being_written_is_not_read_before_it_is_whole(local: Path) -> None:
    with local.open("ab") as file:
        file.write(record(b"more", 5)[:-3])
    assert [entry.data for entry in collect(local, LogQuery(tail=1), "local")] == [b"\xff\n\n"]
    assert len(collect(local, LogQuery(), "local")) == 5


def test_a_link_or_fifo_in_place_of_the_log_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(line(1))
    link, fifo = tmp_path / "a-json.log", tmp_path / "b-json.log"
    link.symlink_to(secret)
    os.mkfifo(fifo)
    assert collect(link, LogQuery()) == []
    assert collect(tmp_path / "absent", LogQuery(tail=5)) == []
