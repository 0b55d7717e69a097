"""A namespace host of its own for what is measured, so that peers and agent touch nothing of the machine."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.lab.fleet import Fleet, fleet

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / ".tools" / "bin"
BIN = REPOSITORY / ".venv" / "bin"
DATA = "/var/lib/wherry"
# What runs is kept in memory, as on any host; /run of the lab's hosts is a tmpfs.
WHERRYD_RUN = "/run/bench-wherryd"
WHERRYD_PIDFILE = f"{WHERRYD_RUN}/wherryd.pid"


@contextlib.contextmanager
def host() -> Iterator[Fleet]:
    """One lab host for the length of a with block, its data on the machine's disk."""
    with tempfile.TemporaryDirectory(prefix="wbench", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        with fleet(Path(directory) / "fleet", 1) as made:
            # crun refuses the hybrid layout; the v1 controllers carry all limits here.
            made.run("h1", "sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null || true")
            yield made


def start(lab: Fleet, log: str, argv: Sequence[str], ready: Sequence[str], seconds: float = 30) -> None:
    """Starts a daemon on the host and waits until ``ready`` exits with 0."""
    words = " ".join(f"'{word}'" for word in argv)
    path = f"PATH={TOOLS}:{BIN}:/usr/local/bin:/usr/bin:/usr/sbin:/bin:/sbin"
    lab.run("h1", "sh", "-c", f"{path} setsid {words} </dev/null >{log} 2>&1 &")
    deadline = time.monotonic() + seconds
    while lab.run("h1", *ready, check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{argv[0]} did not start: {lab.run('h1', 'tail', '-n', '20', log).stdout}")
        time.sleep(0.1)


def start_wherryd(lab: Fleet) -> str:
    """Starts an agent on the host; returns the docker CLI's -H argument for it."""
    place = f"{DATA}/bench"
    lab.run("h1", "sh", "-c", f"mkdir -p {place}; echo '{{}}' >{place}/wherryd.yml")
    socket = f"unix://{WHERRYD_RUN}/wherry.sock"
    argv = [
        str(BIN / "wherryd"), "--data-root", f"{place}/data", "--exec-root", WHERRYD_RUN,
        "--config-file", f"{place}/wherryd.yml", "--pidfile", WHERRYD_PIDFILE, "-H", socket,
    ]  # fmt: skip
    start(lab, f"{place}/wherryd.log", argv, ["docker", "-H", socket, "version"])
    return socket


def start_dockerd(lab: Fleet) -> str:
    """Starts Debian's dockerd (its containerd and runc beside it) on the host; returns the CLI's -H argument."""
    place = f"{DATA}/dockerd"
    socket = f"unix://{place}/docker.sock"
    lab.run("h1", "mkdir", "-p", place)
    argv = [
        str(TOOLS / "dockerd"), "--data-root", f"{place}/data", "--exec-root", "/run/bench-dockerd", "-H", socket,
        "--pidfile", f"{place}/dockerd.pid", "--bip", "172.31.0.1/24",
    ]  # fmt: skip
    start(lab, f"{place}/log", argv, ["docker", "-H", socket, "version"])
    return socket


def import_image(lab: Fleet, socket: str, rootfs: Path, name: str = "bench") -> None:
    """Imports the archive as an image with PATH=/bin."""
    script = f"docker -H {socket} import --change 'ENV PATH=/bin' - {name} <{rootfs}"
    lab.run("h1", "sh", "-c", script)


def pid_of(lab: Fleet, pidfile: str) -> int:
    """The pid, as seen from the machine, of a process on the host whose own pid stands in ``pidfile``."""
    inner = lab.run("h1", "cat", pidfile).stdout.strip()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            for line in status.read_text().splitlines():
                if line.startswith("NSpid:") and line.split()[1:][-1] == inner and len(line.split()) == 3:
                    same = (status.parent / "ns" / "pid").readlink() == pid_namespace(lab)
                    if same:
                        return int(status.parent.name)
    raise RuntimeError(f"{pidfile}: no such process on the host: {inner}")


def pid_namespace(lab: Fleet) -> Path:
    """What /proc/PID/ns/pid of the host's own processes points to."""
    record = json.loads((lab.directory / "fleet.json").read_text())["processes"]["h1/init"]
    return (Path("/proc") / str(record["pid"]) / "ns" / "pid").readlink()


def busybox_rootfs(directory: Path) -> Path:
    """A root file system archive of the machine's static busybox, where the host sees it."""
    archive = directory / "rootfs.tar"
    subprocess.run([REPOSITORY / "scripts" / "busybox-rootfs", archive], check=True)
    return archive
