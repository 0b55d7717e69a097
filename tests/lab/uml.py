"""Scripts as root under a kernel with pure cgroup v2: User Mode Linux (package user-mode-linux) over its host's files.

The machine's root file system is there, read-only; /tmp, /run and /root are empty and end with the kernel. It takes
two to four seconds and no privilege over the machine: UML is a process. It has one CPU, and the controllers cpu, io,
memory and pids.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import signal
import struct
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
{variables}
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
{first}
"""

_SCRIPT = """sh {job}/script >{job}/output 2>&1 </dev/null
echo $? >{job}/status
poweroff -f"""

# systemd as the first process, with units of the lab's own alone: a message bus, and the script as a service. No
# generators: all of them would run at every reload, for seconds.
_SYSTEMD_PROGRAM = Path("/usr/lib/systemd/systemd")
_SYSTEMD = """units=/run/systemd/system
mount -t tmpfs tmpfs /usr/lib/systemd/system-generators
mkdir -p $units /run/systemd/system.conf.d
printf '[Manager]\\nDefaultEnvironment=PATH=%s HOME=/root "GLIBC_TUNABLES=%s"\\n' "$PATH" "$GLIBC_TUNABLES" \\
    >/run/systemd/system.conf.d/lab.conf
cat >$units/lab.target <<END
[Unit]
Requires=lab.service dbus.socket
END
cat >$units/dbus.socket <<END
[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/dbus/system_bus_socket
END
cat >$units/dbus.service <<END
[Unit]
DefaultDependencies=no
Requires=dbus.socket
[Service]
ExecStart=dbus-daemon --config-file=/run/dbus.conf --address=systemd: --nofork --nopidfile
END
cat >/run/dbus.conf <<END
<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/></policy></busconfig>
END
cat >$units/lab.service <<END
[Unit]
DefaultDependencies=no
After=dbus.socket
[Service]
Type=oneshot
WorkingDirectory=/tmp
ExecStart=sh -c 'sh {job}/script >{job}/output 2>&1 </dev/null; echo \\$? >{job}/status'
ExecStopPost=systemctl --force --force poweroff
END
exec {systemd} --unit=lab.target --log-target=console --log-level=warning"""


_PTRACE, _GETREGSET, _XSTATE = 101, 0x4204, 0x202
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _EINVAL = 0x7FFF0000, 0x00050000 | 22

# A system call filter: ptrace(PTRACE_GETREGSET, …, NT_X86_XSTATE) fails with EINVAL, everything else goes through.
_NO_XSTATE = (
    (_LOAD, 0, 0, 0),
    (_EQUAL, 0, 5, _PTRACE),
    (_LOAD, 0, 0, 16),
    (_EQUAL, 0, 3, _GETREGSET),
    (_LOAD, 0, 0, 32),
    (_EQUAL, 0, 1, _XSTATE),
    (_RETURN, 0, 0, _EINVAL),
    (_RETURN, 0, 0, _ALLOW),
)


class UmlError(Exception):
    """The kernel did not come up, or did not end in time."""


@dataclass(frozen=True)
class Finished:
    """What a script did: its exit status, and its output and errors as one text."""

    status: int
    output: str


def unavailable(*, systemd: bool = False) -> str | None:
    """Why no script can be run here, or none under systemd; None when one can."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed (package user-mode-linux)"
    if systemd and (not _SYSTEMD_PROGRAM.exists() or shutil.which("dbus-daemon") is None):
        return "systemd or dbus-daemon is not installed"
    return None if os.geteuid() == 0 else "needs root, to own the files that the kernel inside sees"


def environment() -> dict[str, str]:
    """What programs inside need in their environment; scripts have it, containers have to be given it.

    Where only the old registers are saved (see _hide_large_registers) the upper halves of vectors get lost: the C
    library is told to leave them alone.
    """
    features = "-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load"
    return {"GLIBC_TUNABLES": f"glibc.cpu.hwcaps={features}"} if _has_large_registers() else {}


def run(
    script: str,
    directories: Mapping[str, Path] | None = None,
    *,
    seconds: float = 120,
    memory_mb: int = 512,
    systemd: bool = False,
) -> Finished:
    """Runs a shell script; each of ``directories`` is /run/lab/NAME inside, and what is written there stays.

    With ``systemd`` it is a service of systemd's, which is the first process and has a system bus.
    """
    # Not below /tmp: that is another one inside.
    with tempfile.TemporaryDirectory(prefix="wherry-uml-", dir="/var/tmp") as name:
        place = Path(name)
        job = f"{SHARED}/.job"
        shared = {".job": place, **(directories or {})}
        init = place / "init"
        mounts = "\n".join(_mount(*one) for one in shared.items())
        variables = "\n".join(f"export {variable}={value}" for variable, value in environment().items())
        first = (_SYSTEMD if systemd else _SCRIPT).format(job=job, systemd=_SYSTEMD_PROGRAM)
        init.write_text(_INIT.format(variables=variables, shared=SHARED, mounts=mounts, first=first))
        init.chmod(0o755)
        (place / "script").write_text(script)
        try:
            console = _boot(place, init, seconds, memory_mb)
        except UmlError as error:
            printed = (place / "output").read_text(errors="replace") if (place / "output").exists() else ""
            raise UmlError(f"{error}; the script's last words:\n{printed[-2000:]}") from error
        if not (place / "status").exists():
            raise UmlError(f"the script did not end:\n{console[-2000:]}")
        return Finished(int((place / "status").read_text()), (place / "output").read_text(errors="replace"))


def _mount(name: str, path: Path) -> str:
    inside = shlex.quote(f"{SHARED}/{name}")
    return f"mkdir -p {inside} && mount -t hostfs -o {shlex.quote(str(path.resolve()))} hostfs {inside}"


def _has_large_registers() -> bool:
    """Whether the processor's register state is larger than User Mode Linux 6.1 has room for (AMX: 8 KiB of tiles)."""
    return " amx_tile " in Path("/proc/cpuinfo").read_text()


def _hide_large_registers() -> None:
    """Makes the kernel to be started save registers the old way: it asks once, and believes the answer."""
    program = b"".join(struct.pack("HBBI", *one) for one in _NO_XSTATE)
    instructions = ctypes.create_string_buffer(program, len(program))
    argument = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", len(_NO_XSTATE), ctypes.addressof(instructions)))
    libc = ctypes.CDLL(None, use_errno=True)
    for number, value in ((_PR_SET_NO_NEW_PRIVS, 1), (_PR_SET_SECCOMP, _FILTER)):
        second = ctypes.addressof(argument) if number == _PR_SET_SECCOMP else 0
        if libc.prctl(number, ctypes.c_ulong(value), ctypes.c_ulong(second), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def _boot(place: Path, init: Path, seconds: float, memory_mb: int) -> str:
    command = [
        PROGRAM, f"mem={memory_mb}M", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}", "con0=null,fd:1",
        "con=null", "ssl=null", f"uml_dir={place}/", "umid=kernel", "quiet",
    ]  # fmt: skip
    # A session of its own: the kernel is several processes, and all of them end with it.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        preexec_fn=_hide_large_registers if _has_large_registers() else None,  # noqa: PLW1509 (no threads in the lab)
    ) as kernel:  # fmt: skip
        try:
            output, _ = kernel.communicate(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            raise UmlError(f"the kernel did not end within {seconds:.0f} seconds") from error
        finally:
            if kernel.poll() is None:
                os.killpg(kernel.pid, signal.SIGKILL)
    return output.decode(errors="replace")
