"""The agent's side of the monitor's protocol (docs/internals.md, "The monitor")."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from wherry.containers.log_options import NO_LOG, LogSettings
from wherry.errors import SystemFailure, Unavailable

HEADER = struct.Struct(">B3xI")
OUTPUT_BACKLOG = 64
"""Pieces of output that wait for a slow reader before this client stops reading from the monitor."""
FAULT = 3
"""The number of the stream that carries no output but an error, as in the Engine API's multiplexed stream."""
READY_FD = 3
"""What a monitor finds as this descriptor: who waits for its answer."""


class MonitorFailure(SystemFailure):
    """The monitor or its runtime says no; the message is the runtime's own."""


class Frame(IntEnum):
    """Types of frames, as native/src/monitor/protocol.h numbers them."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2
    STDIN_CLOSE = 3
    RESIZE = 4
    ATTACH = 5
    ATTACHED = 6
    SUBSCRIBE = 7
    STATE = 8
    START = 9
    SIGNAL = 10
    STOPPING = 11
    POLICY = 12
    OK = 13
    ERROR = 14
    QUIT = 15
    ROTATE = 16
    CUT = 17


@dataclass(frozen=True)
class MonitorState:
    """A monitor's record: what it last knew of its container. Times are RFC 3339 with nanoseconds."""

    id: str
    status: str
    monitor_pid: int
    monitor_start: int
    pid: int | None
    started_at: str | None
    finished_at: str | None
    exit_code: int | None
    signal: int | None
    oom_killed: bool
    restart_count: int
    error: str
    log_lost_entries: int = 0
    log_lost_bytes: int = 0
    clients_cut: int = 0
    oom_kills: int = 0

    @classmethod
    def parse(cls, text: bytes) -> MonitorState:
        """From the JSON of state.json or of a STATE frame; MonitorFailure when it is none."""
        try:
            document = json.loads(text)
            # A monitor that was started by an older agent knows fewer fields.
            given = {name: document[name] for name in cls.__dataclass_fields__ if name in document}
            return cls(**given)
        except (ValueError, KeyError, TypeError) as error:
            raise MonitorFailure(f"a monitor's record cannot be read: {error}") from error


@dataclass(frozen=True)
class MonitorOptions:
    """How a monitor is started; the fields are its command line options."""

    program: Path
    container_id: str
    bundle: Path
    runtime: Path
    runtime_root: Path
    state_dir: Path
    log: LogSettings = NO_LOG
    restart: str = "no"
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    systemd_cgroup: bool = False
    backlog_dir: Path | None = None
    backlog_max: int = 0
    exec_process: Path | None = None
    exec_id: str | None = None
    runtime_arguments: tuple[str, ...] = ()

    def arguments(self, ready_fd: int) -> list[str]:
        """The command line; the monitor answers on ``ready_fd``."""
        line: list[str | Path] = [
            self.program, "--id", self.container_id, "--bundle", self.bundle, "--runtime", self.runtime,
            *(f"--runtime-argument={argument}" for argument in self.runtime_arguments),
            "--runtime-root", self.runtime_root, "--state-dir", self.state_dir, "--ready-fd", str(ready_fd),
            "--restart", self.restart, *self.log.arguments(),
        ]  # fmt: skip
        flags = {"--tty": self.tty, "--stdin": self.stdin, "--stdin-once": self.stdin_once,
                 "--systemd-cgroup": self.systemd_cgroup}  # fmt: skip
        line += [flag for flag, wanted in flags.items() if wanted]
        if self.backlog_dir is not None:
            line += ["--backlog-dir", self.backlog_dir]
        if self.backlog_max:
            line += ["--backlog-max", str(self.backlog_max)]
        if self.exec_process is not None and self.exec_id is not None:
            line += ["--exec", self.exec_process, "--exec-id", self.exec_id]
        return [str(word) for word in line]


def read_state(state_dir: Path) -> MonitorState | None:
    """The monitor's record on disk; None when there is none."""
    try:
        return MonitorState.parse((state_dir / "state.json").read_bytes())
    except FileNotFoundError:
        return None


def spawn(options: MonitorOptions) -> None:
    """Starts a monitor and waits until its container is created; blocks. MonitorFailure with the runtime's message."""
    options.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    ready, ready_write = os.pipe2(os.O_CLOEXEC)
    errors, errors_write = os.pipe2(os.O_CLOEXEC)
    with os.fdopen(ready, "rb") as answers, os.fdopen(errors, "rb") as complaints:
        try:
            launcher = _start(options, ready_write, errors_write)
        finally:
            os.close(ready_write)
            os.close(errors_write)
        answer = answers.readline()
        _, status = os.waitpid(launcher, 0)  # it ends as soon as the monitor itself is on its way
        if status:
            said = complaints.read().decode(errors="replace").strip()
            raise MonitorFailure(f"the monitor did not start: {said}")
    if not answer:
        raise MonitorFailure("the monitor ended without a word")
    outcome: dict[str, Any] = json.loads(answer.decode(errors="replace"))
    if not outcome["ok"]:
        raise MonitorFailure(str(outcome["error"]))


def _start(options: MonitorOptions, ready: int, errors: int) -> int:
    """Starts the program with nothing but its own descriptors, which have numbers of their own; returns its pid.

    posix_spawn(3) does that without a copy of this process's page tables, and without what subprocess does besides.
    """
    line = options.arguments(READY_FD)
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, errors, 2),
    ]
    # By way of a number that no descriptor of ours has, lest one be overwritten before it was copied.
    above = max(ready, errors, READY_FD) + 1
    actions += [
        (os.POSIX_SPAWN_DUP2, ready, above),
        (os.POSIX_SPAWN_DUP2, above, READY_FD),
        (os.POSIX_SPAWN_CLOSE, above),
    ]
    return os.posix_spawn(
        line[0], line, os.environ, file_actions=actions, setsigmask=(), setsigdef=(signal.SIGPIPE, signal.SIGXFSZ)
    )


States = AsyncIterator[MonitorState]


class MonitorClient:
    """One connection. Requests are answered in order; states and output arrive on iterators of their own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._replies: asyncio.Queue[asyncio.Future[bytes]] = asyncio.Queue()
        self._starting: asyncio.Future[bytes] | None = None
        self._attached: asyncio.Future[bytes] | None = None
        self._states: asyncio.Queue[MonitorState | None] | None = None
        self._output: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue(OUTPUT_BACKLOG)
        self._ended = False
        self._task = asyncio.create_task(self._read())

    @classmethod
    async def connect(cls, path: Path) -> MonitorClient:
        """Connects to a monitor's socket; OSError when nobody listens there."""
        # By way of a descriptor of its directory: a unix socket's path may be no longer than 107 bytes (unix(7)).
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(f"/proc/self/fd/{directory}/{path.name}")
            except OSError:
                connection.close()
                raise
        finally:
            os.close(directory)
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        return cls(reader, writer)

    async def attach(self, *, stdin: bool, stdout: bool, stderr: bool) -> None:
        """From the return on, every byte that the container writes to the chosen streams reaches ``output``.

        Until the end of this run of it: with a restart, which the state tells in its place behind the output, a client
        has seen it all, as in Docker.
        """
        self._attached = asyncio.get_running_loop().create_future()
        await self._send(Frame.ATTACH, bytes([stdin | stdout << 1 | stderr << 2]))
        await self._attached
        await self._send(Frame.SUBSCRIBE)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Stream number (1 stdout, 2 stderr, FAULT) and bytes, until the container ends.

        A piece of FAULT is the last one: why this client, which was too slow, gets no more.
        """
        while True:
            piece = await self._output.get()
            if piece is None:
                self._output.put_nowait(None)
                return
            yield piece

    async def write_stdin(self, data: bytes) -> None:
        """Bytes for the container's standard input; waits while the monitor takes no more."""
        await self._send(Frame.STDIN, data)

    async def close_stdin(self) -> None:
        """No more input comes from this client."""
        await self._send(Frame.STDIN_CLOSE)

    async def resize(self, rows: int, columns: int) -> None:
        """The size of the container's terminal, in characters."""
        await self._send(Frame.RESIZE, struct.pack(">HH", rows, columns))

    async def subscribe(self) -> States:
        """The state now and at every change, until the monitor ends."""
        states: asyncio.Queue[MonitorState | None] = asyncio.Queue()
        self._states = states
        await self._send(Frame.SUBSCRIBE)
        return self._follow(states)

    async def start(self) -> MonitorState:
        """Lets the created process begin; MonitorFailure with the runtime's message."""
        self._starting = asyncio.get_running_loop().create_future()
        await self._send(Frame.START)
        return MonitorState.parse(await self._starting)

    async def signal(self, number: int, *, everyone: bool = False) -> None:
        """Sends a signal to the container's first process, or to all of them."""
        await self._request(Frame.SIGNAL, struct.pack(">IB", number, everyone))

    async def stopping(self, stopping: bool) -> None:
        """A person stops the container, so no restart shall follow; False takes that back."""
        await self._request(Frame.STOPPING, bytes([stopping]))

    async def set_policy(self, policy: str) -> None:
        """The restart policy from now on, as ``on-failure:3``."""
        await self._request(Frame.POLICY, policy.encode())

    async def rotate(self) -> None:
        """Has the log file opened anew."""
        await self._request(Frame.ROTATE)

    async def quit(self) -> None:
        """Ends a monitor whose container never started."""
        await self._request(Frame.QUIT)

    async def close(self) -> None:
        """Leaves; the container goes on."""
        self._task.cancel()
        self._writer.close()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _request(self, frame: Frame, payload: bytes = b"") -> None:
        reply: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._replies.put_nowait(reply)
        await self._send(frame, payload)
        await reply

    async def _send(self, frame: Frame, payload: bytes = b"") -> None:
        if self._ended:
            raise Unavailable("the container's monitor has ended")
        self._writer.write(HEADER.pack(frame, len(payload)) + payload)
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise Unavailable("the container's monitor has ended") from error

    async def _follow(self, states: asyncio.Queue[MonitorState | None]) -> AsyncIterator[MonitorState]:
        while (state := await states.get()) is not None:
            yield state

    async def _read(self) -> None:
        try:
            while True:
                kind, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
                await self._take(kind, await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            await self._end()

    async def _take(self, kind: int, payload: bytes) -> None:
        if kind in (Frame.STDOUT, Frame.STDERR):
            await self._output.put((kind, payload))
        elif kind == Frame.CUT:
            await self._output.put((FAULT, payload))
        elif kind == Frame.STATE:
            await self._take_state(payload)
        elif kind == Frame.ATTACHED and self._attached is not None:
            _settle(self._attached, payload)
        elif kind == Frame.OK:
            _settle(self._replies.get_nowait(), payload)
        elif kind == Frame.ERROR:
            failure = MonitorFailure(payload.decode(errors="replace"))
            waiting, self._starting = self._starting, None
            _fail(waiting if waiting is not None else self._replies.get_nowait(), failure)

    async def _take_state(self, payload: bytes) -> None:
        state = MonitorState.parse(payload)
        if self._states is not None:
            self._states.put_nowait(state)
        if self._starting is not None and state.status != "created":
            _settle(self._starting, payload)
            self._starting = None
        if self._attached is not None and state.status == "restarting":
            await self._output.put(None)

    async def _end(self) -> None:
        self._ended = True
        gone = Unavailable("the container's monitor has ended")
        waiting = [self._starting, self._attached]
        while not self._replies.empty():
            waiting.append(self._replies.get_nowait())
        for future in waiting:
            if future is not None:
                _fail(future, gone)
        if self._states is not None:
            self._states.put_nowait(None)
        self._writer.close()
        await self._output.put(None)


def _settle(future: asyncio.Future[bytes], payload: bytes) -> None:
    if not future.done():
        future.set_result(payload)


def _fail(future: asyncio.Future[bytes], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever waited may have left: an error that nobody fetches is no news
