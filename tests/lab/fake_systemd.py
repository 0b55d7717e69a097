"""A message bus on a unix socket with a manager of units behind it, as far as a runtime asks one; D-Bus by hand.

Source: D-Bus Specification, "Authentication Protocol" and "Message Protocol"; org.freedesktop.systemd1(5).
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ALIGNMENT = {"y": 1, "g": 1, "v": 1, "n": 2, "q": 2, "x": 8, "t": 8, "(": 8}
_FORMATS = {"y": "<B", "n": "<h", "q": "<H", "i": "<i", "u": "<I", "x": "<q", "t": "<Q", "b": "<I"}


def _element(signature: str) -> str:
    """The first complete type of a signature."""
    if signature[0] == "a":
        return "a" + _element(signature[1:])
    depth = 0
    for place, letter in enumerate(signature):
        depth += (letter == "(") - (letter == ")")
        if depth == 0:
            return signature[: place + 1]
    raise ValueError(signature)


class Reader:
    """Values out of bytes, by their signature."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def _take(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def _align(self, letter: str) -> None:
        self.at += -self.at % _ALIGNMENT.get(letter, 4)

    def value(self, kind: str) -> Any:
        """One value of a complete type."""
        letter = kind[0]
        self._align(letter)
        if letter in _FORMATS:
            return struct.unpack(_FORMATS[letter], self._take(struct.calcsize(_FORMATS[letter])))[0]
        if letter in "sog":
            length = self.value("y" if letter == "g" else "u")
            return self._take(length + 1)[:-1].decode()
        if letter == "v":
            return self.value(self.value("g"))
        if letter == "(":
            return tuple(self.values(kind[1:-1]))
        length = self.value("u")
        self._align(kind[1])
        end = self.at + length
        found = []
        while self.at < end:
            found.append(self.value(kind[1:]))
        return found

    def values(self, signature: str) -> list[Any]:
        """All values of a signature."""
        found = []
        while signature:
            kind = _element(signature)
            found.append(self.value(kind))
            signature = signature[len(kind) :]
        return found


def _string(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode() + b"\0"


def _message(kind: int, serial: int, fields: list[tuple[int, str, Any]], signature: str, *texts: Any) -> bytes:
    """A message whose body is of strings and u32s."""
    header, body = b"", b""
    for letter, value in zip(signature, texts, strict=True):
        body += b"\0" * (-len(body) % 4) + (struct.pack("<I", value) if letter == "u" else _string(value))
    for code, letter, value in [*fields, *([(8, "g", signature)] if signature else [])]:
        header += b"\0" * (-len(header) % 8) + bytes([code, 1]) + letter.encode() + b"\0"
        if letter == "g":
            header += bytes([len(value)]) + value.encode() + b"\0"
        else:
            header += struct.pack("<I", value) if letter == "u" else _string(value)
    start = struct.pack("<cBBBIII", b"l", kind, 0, 1, len(body), serial, len(header))
    return start + header + b"\0" * (-(len(start) + len(header)) % 8) + body


class FakeSystemd:
    """The bus. ``calls`` are the calls of the manager: (member, arguments). Tests set how it answers."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.calls: list[tuple[str, list[Any]]] = []
        self.units: set[str] = set()
        self.refuses_login = False
        self.job_result = "done"
        self.errors: dict[str, tuple[str, str]] = {}  # by member: name and message
        self.raw_reply: bytes | None = None  # instead of every answer of the manager
        self.on_start: Callable[[str, dict[str, Any]], None] = lambda unit, properties: None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def address(self) -> str:
        """For DBUS_SYSTEM_BUS_ADDRESS."""
        return f"unix:path={self.path}"

    def last(self, member: str) -> list[Any]:
        """The arguments of the last call of a method."""
        return next(arguments for name, arguments in reversed(self.calls) if name == member)

    def close(self) -> None:
        """Ends it, once or twice."""
        if self._listener.fileno() < 0:
            return
        # A call that is on its way into accept(2) would find the next bus under the same number.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as incoming:
            login = incoming.readline()
            if self.refuses_login or not login.startswith(b"\0AUTH EXTERNAL "):
                connection.sendall(b"REJECTED EXTERNAL\r\n")
                return
            connection.sendall(b"OK 0123456789abcdef\r\n")
            if incoming.readline() != b"BEGIN\r\n":
                return
            while head := incoming.read(16):
                body_length, serial, fields_length = struct.unpack("<III", head[4:])
                rest = incoming.read(fields_length + -fields_length % 8 + body_length)
                fields = dict(Reader(head + rest, 12).value("a(yv)"))
                body = rest[fields_length + -fields_length % 8 :]
                arguments = Reader(body).values(fields.get(8, ""))
                connection.sendall(self._answer(fields[3], arguments, serial))

    def _answer(self, member: str, arguments: list[Any], serial: int) -> bytes:
        if member in {"Hello", "AddMatch", "Subscribe"}:
            return _message(2, 1, [(5, "u", serial)], "s" if member == "Hello" else "", *[":1.1"][: member == "Hello"])
        self.calls.append((member, arguments))
        if self.raw_reply is not None:
            return self.raw_reply
        if member in self.errors:
            name, text = self.errors[member]
            return _message(3, 1, [(4, "s", name), (5, "u", serial)], "s", text)
        if member == "StopUnit" and arguments[0] not in self.units:
            name = "org.freedesktop.systemd1.NoSuchUnit"
            return _message(3, 1, [(4, "s", name), (5, "u", serial)], "s", f"Unit {arguments[0]} not loaded.")
        if member in {"StartTransientUnit", "StopUnit"}:
            return self._job(member, arguments, serial)
        return _message(2, 1, [(5, "u", serial)], "")

    def _job(self, member: str, arguments: list[Any], serial: int) -> bytes:
        unit, job = arguments[0], f"/org/freedesktop/systemd1/job/{serial}"
        if member == "StartTransientUnit":
            self.units.add(unit)
            self.on_start(unit, dict(arguments[2]))
        else:
            self.units.discard(unit)
        fields = [(1, "o", "/org/freedesktop/systemd1"), (2, "s", "org.freedesktop.systemd1.Manager")]
        signal = [*fields, (3, "s", "JobRemoved")]
        other = _message(4, 2, signal, "uoss", 1, "/org/freedesktop/systemd1/job/0", "other.scope", "failed")
        done = _message(4, 3, signal, "uoss", 2, job, unit, self.job_result)
        # A job can be done before the call that made it has returned; and others are none of ours.
        return other + done + _message(2, 4, [(5, "u", serial)], "o", job)
