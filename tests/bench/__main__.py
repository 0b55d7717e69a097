"""python -m tests.bench NAME…: the named measurements, all of them without a name."""

from __future__ import annotations

import sys

from tests.bench import ansible, engine, images, layers, monitor, runtime

BENCHMARKS = {
    "runtime": runtime.main,
    "monitor": monitor.main,
    "layers": layers.main,
    "engine": engine.main,
    "images": images.main,
    "ansible": ansible.main,
}


def main(names: list[str]) -> int:
    for name in names:
        if name not in BENCHMARKS:
            print(f"{name}: unknown benchmark; allowed are {', '.join(BENCHMARKS)}", file=sys.stderr)
            return 2
    for name in names or BENCHMARKS:
        print(f"== {name}")
        BENCHMARKS[name]()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
