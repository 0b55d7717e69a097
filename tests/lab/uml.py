"""Scripts as root under a kernel with pure cgroup v2: User Mode Linux (Debian's user-mode-linux) over this machine's files.

The machine's root file system is there, read-only; /tmp, /run and /root are empty and end with the kernel. It takes about
four seconds and no privilege over the machine: UML is a process. It has one CPU, and of cgroup v2 the controllers cpu,
io, memory and pids.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "linux.uml"
SHARED = "/run/lab"
"""Where directories of the machine are found inside."""

# The first process of the kernel. The console carries the kernel's messages too, so the script's output goes to a file.
_INIT = """#!/bin/sh
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t devtmpfs dev /dev 2>/dev/null
for place in /run /tmp /root; do mount -t tmpfs tmpfs $place; done
ip link set lo up
mkdir -p {shared}
{mounts}
cd /tmp
sh {job}/script >{job}/output 2>&1 </dev/null
echo $? >{job}/status
poweroff -f
"""


class UmlError(Exception):
    """The kernel did not come up, or did not end in time."""


@dataclass(frozen=True)
class Finished:
    """What a script did: its exit status, and its output and errors as one text."""

    status: int
    output: str


def unavailable() -> str | None:
    """Why no script can be run here; None when one can."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed (package user-mode-linux)"
    return None if os.geteuid() == 0 else "needs root, to own the files that the kernel inside sees"


def run(script: str, directories: Mapping[str, Path] | None = None, *, seconds: float = 120, memory_mb: int = 512) -> Finished:
    """Runs a shell script; each of ``directories`` is /run/lab/NAME inside, and what is written there stays."""
    # Not below /tmp: that is another one inside.
    with tempfile.TemporaryDirectory(prefix="wherry-uml-", dir="/var/tmp") as name:
        place = Path(name)
        job = f"{SHARED}/.job"
        shared = {".job": place, **(directories or {})}
        init = place / "init"
        init.write_text(_INIT.format(shared=SHARED, job=job, mounts="\n".join(_mount(*one) for one in shared.items())))
        init.chmod(0o755)
        (place / "script").write_text(script)
        console = _boot(place, init, seconds, memory_mb)
        if not (place / "status").exists():
            raise UmlError(f"the script did not end:\n{console[-2000:]}")
        return Finished(int((place / "status").read_text()), (place / "output").read_text(errors="replace"))


def _mount(name: str, path: Path) -> str:
    inside = shlex.quote(f"{SHARED}/{name}")
    return f"mkdir -p {inside} && mount -t hostfs -o {shlex.quote(str(path.resolve()))} hostfs {inside}"


def _boot(place: Path, init: Path, seconds: float, memory_mb: int) -> str:
    command = [
        PROGRAM, f"mem={memory_mb}M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "con0=null,fd:1", "con=null",
        "ssl=null", f"uml_dir={place}/", "umid=kernel", "quiet",
    ]  # fmt: skip
    # A session of its own: the kernel is several processes, and all of them end with it.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as kernel:
        try:
            output, _ = kernel.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise UmlError(f"the kernel did not end within {seconds:.0f} seconds") from error
        finally:
            if kernel.poll() is None:
                os.killpg(kernel.pid, signal.SIGKILL)
    return output.decode(errors="replace")
