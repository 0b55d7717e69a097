"""wherryd beside dockerd and podman, all asked by the same docker command line in one run.

Short commands are timed in turn, pair by pair; so are fifty containers that are started and removed, eight at a time.
At the end each engine holds 200 containers of which 100 run: for its list, and for its memory (PSS).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench import measure, peers, private
from tests.bench.peers import Engine
from tests.lab.fleet import Fleet

AT_A_TIME = 8
MANY, ROUNDS = 50, 2
RUNNING, LISTED = 100, 200
LIST = "/v1.41/containers/json?all=1"
SLEEP = ("bench", "sleep", "10000")
Engines = Mapping[str, Engine]


def _script(lab: Fleet, name: str, *arguments: str, given: object) -> str:
    """What one of the scripts beside this file prints when it runs on the host."""
    argv = [str(private.BIN / "python"), str(Path(__file__).with_name(name)), *arguments]
    outcome = subprocess.run(
        lab.host_command("h1", argv), input=json.dumps(given), capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        raise RuntimeError(f"{name}: {outcome.stderr[-800:]}")
    return outcome.stdout


def _commands(lab: Fleet, title: str, commands: Mapping[str, Sequence[str]], runs: int) -> None:
    taken = json.loads(_script(lab, "timed.py", str(runs), "2", given=commands))
    measure.report(title, [measure.Series(name, tuple(wall for wall, _ in one)) for name, one in taken.items()])


def _short(lab: Fleet, engines: Engines) -> None:
    for network in ("none", "bridge"):
        argv = ("run", "--rm", "--network", network, "bench", "true")
        commands = {name: engine.cli(*argv) for name, engine in engines.items()}
        _commands(lab, f"docker run --rm --network {network} IMAGE true", commands, runs=9)
    for engine in engines.values():
        lab.run("h1", *engine.cli("run", "-d", "--name", "held", *SLEEP))
    commands = {name: engine.cli("exec", "held", "true") for name, engine in engines.items()}
    _commands(lab, "docker exec CONTAINER true", commands, runs=15)
    for engine in engines.values():
        lab.run("h1", *engine.cli("rm", "-f", "held"))


def _together(lab: Fleet, commands: Sequence[Sequence[str]]) -> float:
    return float(_script(lab, "together.py", str(AT_A_TIME), given=commands))


def _started(engine: Engine, first: int, count: int) -> list[list[str]]:
    return [engine.cli("run", "-d", "--name", f"m{number}", *SLEEP) for number in range(first, first + count)]


def _many(lab: Fleet, engines: Engines) -> None:
    taken: dict[str, dict[str, list[float]]] = {"started": {}, "removed": {}}
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            removed = [engine.cli("rm", "-f", f"m{number}") for number in range(MANY)]
            taken["started"].setdefault(name, []).append(_together(lab, _started(engine, 0, MANY)))
            taken["removed"].setdefault(name, []).append(_together(lab, removed))
    for what, figures in taken.items():
        series = [measure.Series(name, tuple(one)) for name, one in figures.items()]
        measure.report(f"{MANY} containers on the default network {what}, {AT_A_TIME} at a time", series)


def _fill(lab: Fleet, engines: Engines) -> None:
    for engine in engines.values():
        created = [engine.cli("create", "--name", f"c{number}", *SLEEP) for number in range(LISTED - RUNNING)]
        _together(lab, [*_started(engine, 0, RUNNING), *created])


def _list(lab: Fleet, engines: Engines) -> None:
    sockets = {name: engine.socket for name, engine in engines.items()}
    taken = json.loads(_script(lab, "asked.py", "11", LIST, given=sockets))
    series = [measure.Series(f"{name}, {size >> 10} KiB", tuple(figures)) for name, (figures, size) in taken.items()]
    measure.report(f"GET /containers/json of {LISTED} containers, {RUNNING} of them running", series)


def _memory(lab: Fleet, engines: Engines, when: str) -> None:
    print(f"\nmemory {when} (PSS)")
    for name, engine in engines.items():
        daemons, keepers, count = engine.memory(lab)
        text = f"  {name:<10} {' + '.join(engine.daemons):<22} {daemons / 1024**2:6.1f} MiB"
        if count:
            each = keepers / count / 1024
            text += f"   {count} {engine.keepers[0]} {keepers / 1024**2:6.1f} MiB ({each:.0f} KiB each)"
        print(f"{text}   together {(daemons + keepers) / 1024**2:6.1f} MiB")


def main() -> None:
    with private.host() as lab:
        engines = peers.start_all(lab, private.busybox_rootfs(lab.directory))
        _memory(lab, engines, "with nothing done yet")
        _short(lab, engines)
        _many(lab, engines)
        _fill(lab, engines)
        _list(lab, engines)
        _memory(lab, engines, f"with {RUNNING} of {LISTED} containers running")


if __name__ == "__main__":
    main()
