"""wherry-runtime beside crun and runc: `run` of /bin/true, and `exec` into a running container."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet

RUNTIMES = {
    "wherry-runtime": private.REPOSITORY / "native" / "build" / "wherry-runtime",
    "crun": private.TOOLS / "crun",
    "runc": private.TOOLS / "runc",
}


def _bundle(lab: Fleet) -> Path:
    """A bundle with every namespace, the default mounts, capabilities, limits and masks that `runc spec` writes."""
    bundle = lab.directory / "h1" / "data" / "bundle"
    (bundle / "rootfs" / "bin").mkdir(parents=True)
    shutil.copy(shutil.which("busybox") or "/bin/busybox", bundle / "rootfs" / "bin" / "busybox")
    for applet in ("true", "sleep", "sh"):
        (bundle / "rootfs" / "bin" / applet).symlink_to("busybox")
    lab.run("h1", "sh", "-c", f"cd {private.DATA}/bundle && {RUNTIMES['runc']} spec")
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    config["process"]["terminal"] = False
    config["process"]["args"] = ["/bin/true"]
    config["process"].pop("rlimits", None)
    config["linux"]["resources"]["memory"] = {"limit": 64 * 1024 * 1024}
    config["linux"]["resources"]["pids"] = {"limit": 100}
    path.write_text(json.dumps(config))
    return bundle


def _loop(lab: Fleet, script: str) -> Callable[[], None]:
    """Runs a shell loop on the host: entering the host's namespaces is paid once for many containers."""

    def run() -> None:
        lab.run("h1", "sh", "-ec", script, timeout=120)

    return run


def main() -> None:
    repeat = 20
    with private.host() as lab:
        _bundle(lab)
        for name, binary in RUNTIMES.items():
            version = lab.run("h1", str(binary), "--version").stdout.splitlines()[0]
            print(f"{name}: {version}")
        loops = {}
        for name, binary in RUNTIMES.items():
            root = f"{private.DATA}/{name}"
            line = f"{shlex.quote(str(binary))} --root {root} run --bundle {private.DATA}/bundle b$i"
            loops[name] = _loop(lab, f"for i in $(seq {repeat}); do {line}; done")
        series = [
            measure.Series(one.name, tuple(took / repeat for took in one.milliseconds))
            for one in measure.in_turn(loops, runs=9)
        ]
        measure.report("run of /bin/true, a container", series)


if __name__ == "__main__":
    main()
