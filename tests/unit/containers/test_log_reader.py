"""Reading logs: tail, times, streams, rotation, following, hostile content."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from wherry.containers.log_reader import LogEntry, LogQuery, read

START = 1_700_000_000


def line(number: int, stream: str = "stdout", text: str | None = None) -> str:
    moment = f"2023-11-14T22:13:{20 + number:02d}.5Z"
    return json.dumps({"log": text or f"line {number}\n", "stream": stream, "time": moment}) + "\n"


def collect(path: Path, query: LogQuery) -> list[LogEntry]:
    async def run() -> list[LogEntry]:
        return [entry async for entry in read(path, query, lambda: True)]

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


def test_follow_sees_what_is_written_and_survives_rotation(log: Path) -> None:
    seen: list[str] = []

    async def follow() -> None:
        async for entry in read(log, LogQuery(tail=0, follow=True), lambda: "line 9" in seen):
            seen.extend(texts([entry]))
            if seen == ["line 7"]:
                rotate(log)

    async def run() -> None:
        asyncio.get_running_loop().call_later(0.15, append, log, line(7))
        await asyncio.wait_for(follow(), 5)

    asyncio.run(run())
    assert seen == ["line 7", "line 8", "line 9"]


def test_a_link_or_fifo_in_place_of_the_log_is_not_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(line(1))
    link, fifo = tmp_path / "a-json.log", tmp_path / "b-json.log"
    link.symlink_to(secret)
    os.mkfifo(fifo)
    assert collect(link, LogQuery()) == []
    assert collect(tmp_path / "absent", LogQuery(tail=5)) == []
