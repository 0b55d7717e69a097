"""Times many commands, some at a time, where it runs: ``python together.py WIDTH < commands.json``.

A file of its own, standard library only, so that it can be started inside a lab host: entering the host is then paid
once and not by what is measured. The input is a list of argument vectors; one that fails fails the whole. What is
printed is the milliseconds for all.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def run(argv: list[str]) -> None:
    outcome = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {outcome.returncode}: {outcome.stderr[-500:]}")


def main() -> None:
    commands = json.load(sys.stdin)
    started = time.perf_counter()
    with ThreadPoolExecutor(int(sys.argv[1])) as pool:
        for _ in pool.map(run, commands):
            pass
    print((time.perf_counter() - started) * 1000)


if __name__ == "__main__":
    main()
