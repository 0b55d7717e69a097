"""Times one GET over a unix socket where it runs: ``python asked.py RUNS PATH < sockets.json``, result as JSON.

A file of its own, standard library only, so that it can be started inside a lab host. The input is an object of socket
paths by name, asked in turn over one connection each; the output has, by name, a list of milliseconds from the first
byte sent to the last received, and the number of bytes of the last answer.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time


class Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


def once(connection: Connection, path: str) -> tuple[float, int]:
    started = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    taken = time.perf_counter() - started
    if answer.status != 200:
        raise SystemExit(f"GET {path}: {answer.status}: {body[-500:]!r}")
    return taken * 1000, len(body)


def main() -> None:
    runs, path = int(sys.argv[1]), sys.argv[2]
    connections = {name: Connection(place) for name, place in json.load(sys.stdin).items()}
    taken: dict[str, list[float]] = {name: [] for name in connections}
    sizes: dict[str, int] = {}
    for number in range(runs + 2):
        for name, connection in connections.items():
            milliseconds, sizes[name] = once(connection, path)
            if number >= 2:
                taken[name].append(milliseconds)
    json.dump({name: [figures, sizes[name]] for name, figures in taken.items()}, sys.stdout)


if __name__ == "__main__":
    main()
