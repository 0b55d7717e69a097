"""Paired timing: A and B in turn, medians and the ratio of each pair, so that a drifting machine hurts both alike."""

from __future__ import annotations

import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Action = Callable[[], None]


@dataclass(frozen=True)
class Series:
    """What one contender took, in milliseconds, run by run; ``cpu`` where the processor's time was taken too."""

    name: str
    milliseconds: tuple[float, ...]
    cpu: tuple[float, ...] = ()

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)

    def figures(self) -> str:
        """Median and minimum, and the same of the processor's time."""
        text = f"{self.median:9.1f} ms (least {min(self.milliseconds):.1f})"
        if self.cpu:
            text += f"  cpu {statistics.median(self.cpu):.1f} ms (least {min(self.cpu):.1f})"
        return text


def command(*argv: str, environment: Mapping[str, str] | None = None) -> Action:
    """An action that runs a command, discards its output, and fails loudly when the command fails."""

    def run() -> None:
        outcome = subprocess.run(argv, env=environment, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if outcome.returncode != 0:
            raise RuntimeError(f"{' '.join(argv)}: exit {outcome.returncode}: {outcome.stderr.decode()[-500:]}")

    return run


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def in_turn(
    contenders: Mapping[str, Action], runs: int, warm_up: int = 2, before: Action = lambda: None, cpu: bool = False
) -> list[Series]:
    """Times all contenders in turn, ``runs`` times each after ``warm_up`` rounds that do not count.

    ``before`` comes before each of them and is not timed. ``cpu`` takes the processor's time too, of actions whose work
    is done by processes that they start: on a machine that others use, it is the steadier figure.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(warm_up + runs):
        for name, action in contenders.items():
            before()
            begun, started = _children_seconds(), time.perf_counter()
            action()
            if number >= warm_up:
                taken[name].append((time.perf_counter() - started) * 1000)
                spent[name].append((_children_seconds() - begun) * 1000)
    return [Series(name, tuple(figures), tuple(spent[name]) if cpu else ()) for name, figures in taken.items()]


def _least(ours: Sequence[float], others: Sequence[float]) -> str:
    return f"{min(ours) / min(others):.2f}"


def report(title: str, series: Sequence[Series]) -> None:
    """Prints the figures of each, and for all but the first the median ratio of the first to it, pair by pair, with the
    ratio of the least figures, which a busy machine disturbs less."""
    ours, *others = series
    print(f"\n{title} ({len(ours.milliseconds)} paired runs)")
    print(f"  {ours.name:<28} {ours.figures()}")
    for other in others:
        ratios = [mine / theirs for mine, theirs in zip(ours.milliseconds, other.milliseconds, strict=True)]
        text = f"ratio {statistics.median(ratios):.2f} (of the least {_least(ours.milliseconds, other.milliseconds)})"
        if ours.cpu:
            text += f", of the least cpu {_least(ours.cpu, other.cpu)}"
        print(f"  {other.name:<28} {other.figures()}   {text}")


def proportional_set_size(pid: int) -> int:
    """PSS of a process in bytes (/proc/PID/smaps_rollup, proc(5))."""
    with Path(f"/proc/{pid}/smaps_rollup").open(encoding="ascii") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/{pid}/smaps_rollup: no Pss line")
