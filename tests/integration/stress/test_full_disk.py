"""A disk without room, inodes, descriptors: whoever asks is told, what runs goes on, and with room all works again."""

from __future__ import annotations

import asyncio
import io
import random
import tarfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.stress.engine_client import Answer, Engine
from tests.integration.stress.storm import IMAGE, small_archive
from tests.integration.support.private_agent import PrivateAgent

MIB = 1 << 20
DISK = 340 * MIB
"""Unpacking leaves 256 MiB free, so there must be more."""
DEADLINE_SECONDS = 60.0
WRITER = "i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.05; done"


class SmallAgent(PrivateAgent):
    """An agent whose data root is a small file system of its own, in its mount namespace."""

    def __init__(self) -> None:
        super().__init__()
        self.data_root = Path("/run/small")
        self.saved = b""

    def start(self) -> None:
        """Makes the file system before the first start."""
        script = f"mkdir -p {self.data_root} && mountpoint -q {self.data_root} || mount -t tmpfs -o size={DISK},mode=700 small {self.data_root}"  # noqa: E501
        self.run("sh", "-c", script)
        super().start()

    def _left_inside(self) -> list[str]:
        """What is mounted or stored by containers that are gone; seen from inside, where the disk is."""
        mounts = self.run("cat", "/proc/self/mountinfo").stdout.decode().splitlines()
        points = [line.split()[4] for line in mounts]
        left = [f"mount {point}" for point in points if point.startswith((f"{self.data_root}/", f"{self.place}/"))]
        return left + self.run("ls", "-A", f"{self.data_root}/containers").stdout.decode().split()

    def fill(self) -> None:
        """Takes all room that is left, also what the agent has given up of its reserve."""
        self.run("sh", "-c", f"cat /dev/zero >> {self.data_root}/ballast", check=False)

    def take_inodes(self) -> None:
        """Leaves no inode."""
        self.run(
            "sh",
            "-c",
            f"mount -o remount,nr_inodes=$(df -i {self.data_root} | awk 'END {{print $3}}') {self.data_root}",
        )

    def give_back(self) -> None:
        """Room and inodes again."""
        self.run("sh", "-c", f"rm -f {self.data_root}/ballast; mount -o remount,nr_inodes=1000000 {self.data_root}")


@pytest.fixture(scope="module")
def small(rootfs_archive: Path) -> Iterator[SmallAgent]:
    """The agent, with busybox and a saved image."""
    with SmallAgent() as agent:
        agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), IMAGE)
        agent.docker("import", "-", "big:latest", input=layer(MIB // 2))
        agent.saved = agent.docker("save", "big:latest").stdout
        agent.docker("rmi", "big:latest")
        yield agent


@pytest.fixture
async def engine(small: SmallAgent) -> AsyncIterator[Engine]:
    """A client, with two containers: ``writer``, which logs, and ``still``, which does not run."""
    client = Engine(small.socket)
    await client.create("writer", {"Image": IMAGE, "Cmd": ["sh", "-c", WRITER]})
    await client.want("POST", "/containers/writer/start")
    await client.create("still", {"Image": IMAGE, "Cmd": ["sleep", "1000"]})
    yield client
    small.give_back()
    for one in await client.want("GET", "/containers/json", all=1):
        await client.want("DELETE", f"/containers/{one['Id']}", force=1, v=1)


def layer(size: int) -> bytes:
    """An archive that no compression makes smaller."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        archive.addfile(entry, io.BytesIO(random.Random(5).randbytes(size)))
    return made.getvalue()


async def told(answer: Answer) -> str:
    """What an operation that found no room says; it is an error of the server that names the cause."""
    assert answer.status in {500, 200}, answer
    text = answer.body.decode()
    assert any(words in text.lower() for words in ("no space left", "full", "cannot write", "too many open files")), (
        text
    )
    return text


async def made_or_told(small: SmallAgent, engine: Engine, path: str, body: dict[str, str], gone: str) -> None:
    """What some file systems have room for, even when they are full: it is made whole, or refused with nothing left."""
    answer = await engine.ask("POST", path, body)
    if answer.status == 201:
        removed = await engine.ask("DELETE", gone)
        if removed.status != 204:
            # Not one byte is left, not even of the reserve.
            await told(removed)
            small.give_back()
            await engine.want("DELETE", gone)
            small.fill()
    else:
        await told(answer)
    assert (await engine.ask("DELETE", gone)).status == 404


async def everything_fails_by_name(small: SmallAgent, engine: Engine) -> None:
    """Every operation that needs room is refused, and leaves nothing of itself."""
    before = [len(await engine.want("GET", path)) for path in ("/containers/json?all=1", "/images/json", "/networks")]
    noise = layer(MIB // 2)
    for _ in range(2):
        small.fill()
        await made_or_told(small, engine, "/containers/create?name=more", {"Image": IMAGE}, "/containers/more")
        await told(await engine.ask("POST", "/images/create", noise, fromSrc="-", repo="more"))
        await told(await engine.ask("POST", "/images/load", small.saved))
        small.fill()
        await told(await engine.ask("PUT", "/containers/writer/archive", small_archive("big", MIB // 2), path="/tmp"))
        await told(await engine.ask("POST", "/commit", {}, container="writer", repo="more"))
        await made_or_told(small, engine, "/volumes/create", {"Name": "more"}, "/volumes/more")
    assert [
        len(await engine.want("GET", path)) for path in ("/containers/json?all=1", "/images/json", "/networks")
    ] == before
    assert (await engine.want("GET", "/volumes"))["Volumes"] in ([], None)


async def everything_works(engine: Engine) -> None:
    """With room again, without a restart."""
    await engine.create("more", {"Image": IMAGE, "Cmd": ["sh", "-c", "echo hello; exit 3"], "Volumes": {"/data": {}}})
    await engine.want("POST", "/containers/more/start")
    assert (await engine.want("POST", "/containers/more/wait"))["StatusCode"] == 3
    assert b"hello" in (await engine.ask("GET", "/containers/more/logs", stdout=1)).body
    made = await engine.want("POST", "/commit", {}, container="more", repo="more")
    await engine.want("DELETE", f"/images/{made['Id']}")
    await engine.want("PUT", "/containers/writer/archive", small_archive("big", MIB), path="/tmp")
    await engine.want("DELETE", "/containers/more", v=1)


async def log_grows(engine: Engine) -> None:
    """What the writer says reaches its log again, in whole lines."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    first = await engine.ask("GET", "/containers/writer/logs", stdout=1, tail=1)
    while (last := await engine.ask("GET", "/containers/writer/logs", stdout=1, tail=1)).body == first.body:
        assert time.monotonic() < deadline, "the log stands still"
        await asyncio.sleep(0.1)
    assert last.body[8:].startswith(b"tick ")


async def test_full_disk_is_told_and_survived(small: SmallAgent, engine: Engine) -> None:
    before = (await engine.want("GET", "/containers/writer/json"))["State"]
    small.fill()
    await everything_fails_by_name(small, engine)
    # What gives room back works, and what ends is recorded.
    await engine.want("POST", "/containers/still/rename", name="renamed")
    started = await engine.ask("POST", "/containers/renamed/start")
    assert started.status in {204, 500}
    state = (await engine.want("GET", "/containers/renamed/json"))["State"]
    assert state["Running"] == (started.status == 204), state
    await engine.want("POST", "/containers/renamed/stop", t=0)
    await engine.want("DELETE", "/containers/renamed", force=1)
    state = (await engine.want("GET", "/containers/writer/json"))["State"]
    assert (state["Status"], state["Pid"]) == ("running", before["Pid"])
    assert (await engine.execute("writer", "echo", "here"))[1] == b"here\n"
    # An agent that dies now comes up again.
    small.fill()
    await asyncio.to_thread(small.restart, crash=True)
    await everything_fails_by_name(small, engine)
    assert (await engine.want("GET", "/containers/writer/json"))["State"]["Pid"] == before["Pid"]
    small.give_back()
    await everything_works(engine)
    await log_grows(engine)


async def test_a_disk_without_inodes_is_told_and_survived(small: SmallAgent, engine: Engine) -> None:
    small.take_inodes()
    await told(await engine.ask("POST", "/containers/create", {"Image": IMAGE}, name="more"))
    small.take_inodes()
    await told(await engine.ask("POST", "/commit", {}, container="writer", repo="more"))
    await made_or_told(small, engine, "/volumes/create", {"Name": "more"}, "/volumes/more")
    assert (await engine.execute("writer", "echo", "here"))[1] == b"here\n"
    small.give_back()
    await everything_works(engine)
    await log_grows(engine)


async def test_an_agent_without_descriptors_tells_and_recovers(small: SmallAgent, engine: Engine) -> None:
    used = len(list(Path(f"/proc/{small.pid}/fd").iterdir()))
    set_limit(small.pid, used + 12)
    try:
        clients = [await asyncio.open_unix_connection(str(small.socket)) for _ in range(40)]
        answers = await asyncio.gather(
            *(asyncio.wait_for(engine.ask("GET", "/info"), 3) for _ in range(20)), return_exceptions=True
        )
        assert all(not isinstance(one, Answer) or one.status in {200, 500} for one in answers)
        for _, writer in clients:
            writer.close()
    finally:
        set_limit(small.pid, 4096)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            await asyncio.wait_for(engine.want("GET", "/version"), 5)
            break
        except (OSError, EOFError, asyncio.TimeoutError):
            assert time.monotonic() < deadline, "the agent does not answer any more"
    await everything_works(engine)


def set_limit(pid: int, descriptors: int) -> None:
    """How many descriptors a process may have (prlimit(2)); only the soft limit, which can be raised again."""
    import resource

    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors, hard))
