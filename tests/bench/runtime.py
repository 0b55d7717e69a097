"""wherry-runtime beside crun, runc and the kernel's own cost: `run` of /bin/true, and `exec` into a container."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet
from wherry.containers.seccomp import default_profile

RUNTIMES = {
    "wherry-runtime": private.REPOSITORY / "native" / "build" / "wherry-runtime",
    "crun": private.TOOLS / "crun",
    "runc": private.TOOLS / "runc",
}
FLOOR = "floor (bare C)"
BUNDLE = f"{private.DATA}/bundle"
ROOTS = "/run/bench"
CAPABILITIES = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]  # fmt: skip


def _bundle(lab: Fleet) -> None:
    """A bundle with every namespace, the mounts and masks of `runc spec`, default capabilities and seccomp, limits."""
    bundle = lab.directory / "h1" / "data" / "bundle"
    (bundle / "rootfs" / "bin").mkdir(parents=True)
    for place in ("proc", "sys", "dev"):
        (bundle / "rootfs" / place).mkdir()
    shutil.copy(shutil.which("busybox") or "/bin/busybox", bundle / "rootfs" / "bin" / "busybox")
    for applet in ("true", "sleep", "sh"):
        (bundle / "rootfs" / "bin" / applet).symlink_to("busybox")
    lab.run("h1", "sh", "-c", f"cd {BUNDLE} && {RUNTIMES['runc']} spec")
    path = bundle / "config.json"
    config = json.loads(path.read_text())
    config["process"].update(terminal=False, args=["/bin/true"])
    config["process"]["capabilities"] = dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES)
    config["process"].pop("rlimits", None)
    config["linux"]["namespaces"].append({"type": "cgroup"})
    config["linux"]["resources"].update(memory={"limit": 64 * 1024 * 1024}, pids={"limit": 100})
    config["linux"]["seccomp"] = default_profile(CAPABILITIES)
    path.write_text(json.dumps(config))
    config["process"]["args"] = ["/bin/sleep", "1000"]
    config["root"]["path"] = f"{BUNDLE}/rootfs"
    sleeper = bundle.parent / "sleeper"
    sleeper.mkdir()
    (sleeper / "config.json").write_text(json.dumps(config))


def _floor(lab: Fleet) -> str:
    """The bare C program, built where the host sees it."""
    source = Path(__file__).with_name("floor.c")
    program = lab.directory / "h1" / "data" / "floor"
    subprocess.run(["cc", "-std=gnu11", "-O2", "-static", "-o", program, source], check=True)
    return f"{private.DATA}/floor"


def _verb(name: str, *arguments: str) -> list[str]:
    return [str(RUNTIMES[name]), "--root", f"{ROOTS}/{name}", *arguments]


def _timed(lab: Fleet, commands: Mapping[str, list[str]], runs: int) -> list[measure.Series]:
    driver = str(Path(__file__).with_name("timed.py"))
    argv = ["env", f"LD_LIBRARY_PATH={private.TOOLS}", str(private.BIN / "python"), driver, str(runs), "3"]
    outcome = subprocess.run(
        lab.host_command("h1", argv), input=json.dumps(commands), capture_output=True, text=True, check=False
    )
    if outcome.returncode != 0:
        raise RuntimeError(f"timed.py: {outcome.stderr[-500:]}")
    taken = json.loads(outcome.stdout)
    return [
        measure.Series(name, tuple(wall for wall, _ in figures), tuple(cpu for _, cpu in figures))
        for name, figures in taken.items()
    ]


@contextlib.contextmanager
def _sleepers(lab: Fleet, floor: str) -> Iterator[int]:
    """A container of each runtime that sleeps, and one of the floor, whose process number on the host is given."""
    library = f"LD_LIBRARY_PATH={private.TOOLS}"
    for name in RUNTIMES:
        argv = _verb(name, "run", "--detach", "--bundle", f"{private.DATA}/sleeper", "sleeper")
        lab.run("h1", "env", library, "sh", "-c", 'exec "$@" </dev/null >/dev/null 2>&1', "sh", *argv)
    script = f"{floor} run {BUNDLE}/rootfs bench-floor-sleeper /bin/sleep 1000 </dev/null >/dev/null 2>&1 & echo $!"
    outer = lab.run("h1", "sh", "-c", script).stdout.strip()
    children = f"/proc/{outer}/task/{outer}/children"
    children = f'until read -r child <{children} || [ -n "$child" ]; do sleep 0.1; done; echo $child'
    inner = lab.run("h1", "sh", "-c", children).stdout.strip()
    try:
        yield int(inner)
    finally:
        lab.run("h1", "kill", "-9", inner, check=False)
        for name in RUNTIMES:
            lab.run("h1", "env", library, *_verb(name, "delete", "--force", "sleeper"), check=False)


def main() -> None:
    with private.host() as lab:
        _bundle(lab)
        floor = _floor(lab)
        # Runtimes keep their records in a tmpfs, as /run is on a host: no disk is measured.
        lab.run("h1", "sh", "-c", f"mkdir -p {ROOTS} && mount -t tmpfs tmpfs {ROOTS}")
        for name, binary in RUNTIMES.items():
            version = lab.run("h1", "env", f"LD_LIBRARY_PATH={private.TOOLS}", str(binary), "--version")
            print(f"{name}: {version.stdout.splitlines()[0]}")
        commands = {name: _verb(name, "run", "--bundle", BUNDLE, "b{n}") for name in RUNTIMES}
        commands[FLOOR] = [floor, "run", f"{BUNDLE}/rootfs", "bench-floor-{n}", "/bin/true"]
        measure.report("run of /bin/true, a container", _timed(lab, commands, runs=41))
        with _sleepers(lab, floor) as pid:
            commands = {name: _verb(name, "exec", "sleeper", "/bin/true") for name in RUNTIMES}
            commands[FLOOR] = [floor, "exec", str(pid), "bench-floor-sleeper", "/bin/true"]
            measure.report("exec of /bin/true, into a running container", _timed(lab, commands, runs=41))


if __name__ == "__main__":
    main()
