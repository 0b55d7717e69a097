"""Times commands in turn where it runs: ``python timed.py RUNS WARM_UP < commands.json``, result as JSON.

A file of its own, standard library only, so that it can be started inside a lab host: entering the host is then paid
once and not by what is measured. The input is an object of argument vectors by name; ``{n}`` in an argument becomes a
number that no other run has. The output has, by name, a list of [wall, cpu] in milliseconds; cpu is the user and system
time of the process and of all that it waited for (wait4(2)).
"""

from __future__ import annotations

import json
import os
import sys
import time


def once(argv: list[str]) -> tuple[float, float]:
    started = time.perf_counter()
    pid = os.posix_spawn(argv[0], argv, os.environ)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    if status != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {os.waitstatus_to_exitcode(status)}")
    return wall * 1000, (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    runs, warm_up = int(sys.argv[1]), int(sys.argv[2])
    commands = json.load(sys.stdin)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(warm_up + runs):
        for name, argv in commands.items():
            figures = once([word.replace("{n}", str(number)) for word in argv])
            if number >= warm_up:
                taken[name].append(figures)
            # What the kernel puts off (namespaces, control groups) is not the next one's to pay.
            time.sleep(0.005)
    json.dump(taken, sys.stdout)


if __name__ == "__main__":
    main()
