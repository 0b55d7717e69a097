"""``wherry pull`` and ``wherry push``: with a bar a layer on a terminal, and a line a step elsewhere."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO
from urllib.parse import quote

from wherry.cli.client import Client
from wherry.cli.table import size
from wherry.errors import SystemFailure

Subparsers = Any  # argparse's own class for this has no public name
BAR = 30


def add_parser(subparsers: Subparsers) -> None:
    """Adds both commands."""
    pull = subparsers.add_parser("pull", help="bring an image from a registry, through the mirrors")
    pull.add_argument("name", help="name[:tag], or name@digest")
    pull.add_argument("--platform", metavar="OS/ARCHITECTURE[/VARIANT]", help="another one than this host's")
    pull.set_defaults(run=_pull)
    push = subparsers.add_parser("push", help="send an image to the registry of its name")
    push.add_argument("name", help="name[:tag]")
    push.set_defaults(run=_push)
    for command in (pull, push):
        command.add_argument("-a", "--all-tags", action="store_true", help="all tags of the name")
        command.add_argument("-q", "--quiet", action="store_true", help="tell errors only")


def _pull(arguments: argparse.Namespace) -> int:
    query = {"fromImage": arguments.name}
    if not arguments.all_tags:
        query["tag"] = _tag(arguments.name)
    if arguments.platform:
        query["platform"] = arguments.platform
    return _run(arguments, "/images/create", query)


def _push(arguments: argparse.Namespace) -> int:
    query = {} if arguments.all_tags else {"tag": _tag(arguments.name)}
    return _run(arguments, f"/images/{quote(arguments.name, safe='/:@')}/push", query)


def _tag(name: str) -> str:
    """What stands for the tag: nothing where the name brings one, or a digest."""
    return "" if "@" in name or ":" in name.rpartition("/")[2] else "latest"


def _run(arguments: argparse.Namespace, path: str, query: Mapping[str, str]) -> int:
    # Whatever takes long has time limits of its own in the agent.
    client = Client(arguments.client.host, timeout=None)
    events = client.stream("POST", path, {key: value for key, value in query.items() if value})
    shown = Quiet() if arguments.quiet else Bars(sys.stdout) if sys.stdout.isatty() else Lines(sys.stdout)
    follow(events, shown)
    return 0


class Quiet:
    """Shows nothing."""

    def show(self, event: Mapping[str, Any]) -> None:
        """Takes one report."""


class Lines(Quiet):
    """Shows each step of each layer once, for logs."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last: dict[str, str] = {}

    def show(self, event: Mapping[str, Any]) -> None:
        """Takes one report."""
        status, name = str(event.get("status", "")), str(event.get("id", ""))
        if not status or (name and self._last.get(name) == status):
            return
        self._last[name] = status
        print(f"{name}: {status}" if name else status, file=self._out, flush=True)


class Bars(Quiet):
    """Shows a line a layer, drawn again in place, on a terminal."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rows: dict[str, str] = {}

    def show(self, event: Mapping[str, Any]) -> None:
        """Takes one report."""
        status, name = str(event.get("status", "")), str(event.get("id", ""))
        if not status:
            return
        if not name:
            self._rows = {}  # what stands above stays
            self._out.write(f"{status}\n")
        else:
            self._draw(name, f"{name}: {status}{bar(event.get('progressDetail') or {})}")
        self._out.flush()

    def _draw(self, name: str, text: str) -> None:
        text = text[: max(shutil.get_terminal_size().columns - 1, 20)]
        if name not in self._rows:
            self._rows[name] = text
            self._out.write(f"{text}\n")
            return
        self._rows[name] = text
        up = len(self._rows) - list(self._rows).index(name)
        self._out.write(f"\x1b[{up}A\r\x1b[2K{text}\x1b[{up}B\r")  # ECMA-48: cursor up, erase in line, cursor down


def bar(detail: Mapping[str, Any]) -> str:
    """How far it is, or nothing where nobody knows."""
    current, total = detail.get("current"), detail.get("total")
    if not isinstance(current, int):
        return ""
    if not isinstance(total, int) or total <= 0:
        return f"  {size(current)}"
    full = min(BAR * current // total, BAR)
    return f"  [{'=' * full}{'>' if full < BAR else ''}{' ' * (BAR - full - 1)}] {size(current)}/{size(total)}"


def follow(events: Iterable[Mapping[str, Any]], shown: Quiet) -> None:
    """Shows a stream of reports to its end. Raises SystemFailure with the last line's error, if it is one."""
    for event in events:
        if "error" in event:
            raise SystemFailure(str(event["error"]))
        shown.show(event)
