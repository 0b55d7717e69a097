"""A fleet of hosts made of namespaces on one machine, reachable by ssh, for Ansible and for networks.

Each host has its own network, mount, pid, uts, ipc and cgroup namespaces, its own ``/run``, ``/etc`` and data
directory, an sshd, and one cable to a common layer-2 segment (a bridge in a network namespace of its own, address
10.99.0.1, where the controller runs). Nothing of the machine's own network, mounts or cgroup roots is changed; what is
visible outside are the processes, the fleet's directory and the cgroups ``lab-<id>``, and ``down`` removes them all.

    python3 -m tests.lab.fleet --directory DIR up 3      prints the path of an inventory
    python3 -m tests.lab.fleet --directory DIR exec CMD  runs CMD as the controller
    python3 -m tests.lab.fleet --directory DIR enter h1 CMD
    python3 -m tests.lab.fleet --directory DIR down
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CONTROLLER = "10.99.0.1"
PREFIX = 16
HERE = Path(__file__).resolve().parent
READY_SECONDS = 20.0


class LabError(RuntimeError):
    """The lab could not be made; the message says which host and shows its log."""


@dataclass(frozen=True)
class Process:
    """A process that the fleet started: its pid and start time, so that a recycled pid is told apart."""

    pid: int
    start: int

    @classmethod
    def of(cls, pid: int) -> Process:
        return cls(pid, _start_time(pid) or 0)

    @property
    def alive(self) -> bool:
        return _start_time(self.pid) == self.start

    def kill(self) -> None:
        if self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat, or None when there is no such process (proc(5)); a zombie counts as gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def _wait(what: str, condition: Callable[[], bool], log: Path | None = None) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            tail = log.read_text() if log and log.exists() else ""
            raise LabError(f"{what} did not become ready in {READY_SECONDS:.0f} s: {tail}")
        time.sleep(0.01)


def _hierarchies() -> list[tuple[Path, str, str]]:
    """Mounted cgroup hierarchies: mount point, type and options, each mount point once."""
    seen: dict[str, tuple[Path, str, str]] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mountpoint, kind, options, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            seen.setdefault(mountpoint, (Path(mountpoint), kind, options))
    return list(seen.values())


class Fleet:
    """N hosts ``h1`` … ``hN`` in ``directory``; a second ``Fleet`` of the same directory finds the running one."""

    def __init__(self, directory: Path, data_path: str = "/var/lib/wherry", hide: Sequence[str] = ()) -> None:
        self.directory = directory
        self.data_path = data_path
        self.hide = tuple(hide)
        self._processes: dict[str, Process] = {}
        self._id = ""
        record = directory / "fleet.json"
        if record.exists():
            stored = json.loads(record.read_text())
            self._id = stored["id"]
            self._processes = {name: Process(**entry) for name, entry in stored["processes"].items()}

    @property
    def inventory(self) -> Path:
        return self.directory / "inventory.ini"

    @property
    def names(self) -> list[str]:
        return sorted((name[:-5] for name in self._processes if name.endswith("/init")), key=lambda n: int(n[1:]))

    @staticmethod
    def address(number: int) -> str:
        """The address of host ``h<number>``, counted from 10.99.0.11."""
        return f"10.99.{(number + 9) // 250}.{(number + 9) % 250 + 1}"

    # Making and ending

    def up(self, count: int) -> None:
        """Makes ``count`` hosts and waits until each runs sshd; LabError with the host's log otherwise."""
        if self._id:
            raise LabError(f"{self.directory} holds a fleet already")
        self.directory.mkdir(parents=True, exist_ok=True)
        self._id = f"lab-{os.getpid()}-{time.time_ns() % 10**8}"
        self._write_keys()
        self._write_files(count)
        self._make_cgroups(count)
        self._start_switch()
        for number in range(1, count + 1):
            self._start_host(number)
        self._plug(count)
        for number in range(1, count + 1):
            self._finish_host(number)
        self._write_inventory(count)

    def down(self) -> None:
        """Ends every process it started and removes its cgroups and its directory."""
        for name in sorted(self._processes):
            self._processes[name].kill()
        for mountpoint, _, _ in _hierarchies():
            self._remove_cgroup(mountpoint / self._id)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._processes = {}

    def _write_keys(self) -> None:
        for name in ("key", "hostkey"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(self.directory / name)]
            subprocess.run(command, check=True)
        shutil.copy(self.directory / "key.pub", self.directory / "authorized_keys")
        (self.directory / "authorized_keys").chmod(0o600)

    def _write_files(self, count: int) -> None:
        lines = ["127.0.0.1 localhost", f"{CONTROLLER} controller"]
        lines += [f"{self.address(number)} h{number}" for number in range(1, count + 1)]
        (self.directory / "hosts").write_text("\n".join(lines) + "\n")
        (self.directory / "sshd_config").write_text(
            f"HostKey {self.directory}/hostkey\nAuthorizedKeysFile {self.directory}/authorized_keys\n"
            "UsePAM no\nStrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nUseDNS no\n"
            "MaxStartups 200\nMaxSessions 100\nPidFile /run/sshd.pid\nLogLevel ERROR\nSubsystem sftp internal-sftp\n"
        )

    def _make_cgroups(self, count: int) -> None:
        for mountpoint, _, _ in _hierarchies():
            for directory in (mountpoint / self._id, *(mountpoint / self._id / f"h{n}" for n in range(1, count + 1))):
                directory.mkdir()
                for name in ("cpuset.cpus", "cpuset.mems"):
                    if (directory / name).exists():
                        (directory / name).write_text((directory.parent / name).read_text())

    def _remove_cgroup(self, directory: Path) -> None:
        deadline = time.monotonic() + 5
        while directory.is_dir():
            for path, _, _ in sorted(os.walk(directory, topdown=False), key=lambda entry: -len(entry[0])):
                with contextlib.suppress(OSError):
                    Path(path).rmdir()
            if time.monotonic() > deadline:
                print(f"left over: {directory}", file=sys.stderr)
                return
            time.sleep(0.02)

    def _record(self, name: str, pid: int) -> None:
        self._processes[name] = Process.of(pid)
        stored = {"id": self._id, "processes": {key: asdict(value) for key, value in self._processes.items()}}
        temporary = self.directory / "fleet.json.new"
        temporary.write_text(json.dumps(stored))
        temporary.rename(self.directory / "fleet.json")

    def _spawn(self, name: str, command: Sequence[str], log: Path) -> int:
        own = Path("/proc/self/ns/net").readlink()
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        self._record(name, process.pid)

        def entered() -> bool:
            if process.poll() is not None:
                raise LabError(f"{name} ended at once: {log.read_text()}")
            return Path(f"/proc/{process.pid}/ns/net").readlink() != own

        _wait(name, entered, log)
        return process.pid

    def _start_switch(self) -> None:
        self._spawn("switch", ["unshare", "-n", "sleep", "infinity"], self.directory / "switch.log")
        self._ip_batch(
            [
                "link set lo up",
                "link add br0 type bridge forward_delay 0",
                f"addr add {CONTROLLER}/{PREFIX} dev br0",
                "link set br0 up",
            ]
        )

    def _ip_batch(self, lines: list[str]) -> None:
        subprocess.run(self._in_switch(["ip", "-batch", "-"]), input="\n".join(lines), text=True, check=True)

    def _start_host(self, number: int) -> None:
        name = f"h{number}"
        here = self.directory / name
        (here / "root").mkdir(parents=True)
        (here / "data").mkdir()
        os.mkfifo(here / "plugged")
        lines = [f"cgroup {path} {kind} {options} 0" for path, kind, options in _hierarchies()]
        (here / "hierarchies").write_text("\n".join(lines) + "\n")
        arguments = [
            str(HERE / "host-init"), str(self.directory), name, f"{self.address(number)}/{PREFIX}", CONTROLLER,
            self.data_path, *self.hide,
        ]  # fmt: skip
        namespaces = "unshare -m -n -u -i -C -p --fork --kill-child"
        command = ["sh", "-ec", f'{self._join_cgroups(name)}exec {namespaces} "$@"', "host", *arguments]
        self._spawn(f"{name}/outer", command, here / "log")

    def _plug(self, count: int) -> None:
        lines = []
        for number in range(1, count + 1):
            pid = self._processes[f"h{number}/outer"].pid
            lines += [
                f"link add h{number} type veth peer name eth0 netns {pid}",
                f"link set h{number} master br0 up",
            ]
        self._ip_batch(lines)
        for number in range(1, count + 1):
            with (self.directory / f"h{number}" / "plugged").open("w") as fifo:
                fifo.write("plugged\n")

    def _finish_host(self, number: int) -> None:
        here = self.directory / f"h{number}"
        outer = self._processes[f"h{number}/outer"]

        def up() -> bool:
            if not outer.alive:
                raise LabError(f"h{number} ended: {(here / 'log').read_text()}")
            return (here / "up").exists()

        _wait(f"h{number}", up, here / "log")
        child = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()[0]
        self._record(f"h{number}/init", int(child))

    def _write_inventory(self, count: int) -> None:
        options = "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR"
        lines = [
            "[all:vars]",
            "ansible_user=root",
            f"ansible_ssh_private_key_file={self.directory}/key",
            "ansible_python_interpreter=/usr/bin/python3",
            f"ansible_ssh_common_args={options}",
            "[fleet]",
            *(f"h{number} ansible_host={self.address(number)}" for number in range(1, count + 1)),
        ]
        self.inventory.write_text("\n".join(lines) + "\n")

    # Running things

    def _in_switch(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "-t", str(self._processes["switch"].pid), "-n", "--", *command]

    def controller_command(self, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` as the controller: this file system, the switch's network."""
        return self._in_switch(command)

    def host_command(self, name: str, command: Sequence[str]) -> list[str]:
        """The command line that runs ``command`` inside host ``name``, in all its namespaces and its cgroups."""
        enter = f'exec nsenter -t {self._processes[f"{name}/init"].pid} -a -- "$@"'
        return ["sh", "-ec", self._join_cgroups(name) + enter, name, *command]

    def _join_cgroups(self, name: str) -> str:
        return "".join(f"echo 0 >{path / self._id / name}/cgroup.procs\n" for path, _, _ in _hierarchies())

    def run(
        self, name: str, *command: str, check: bool = True, timeout: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``command`` inside host ``name``; output is captured as text."""
        return subprocess.run(
            self.host_command(name, command), text=True, capture_output=True, check=check, timeout=timeout,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip


@contextlib.contextmanager
def fleet(directory: Path, count: int, hide: Sequence[str] = ()) -> Iterator[Fleet]:
    """``count`` hosts for the length of a with block."""
    made = Fleet(directory, hide=hide)
    try:
        made.up(count)
        yield made
    finally:
        made.down()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp/wherry-lab"))
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up")
    up.add_argument("count", type=int)
    up.add_argument("--hide", action="append", default=[])
    commands.add_parser("down")
    execute = commands.add_parser("exec")
    execute.add_argument("argv", nargs=argparse.REMAINDER)
    enter = commands.add_parser("enter")
    enter.add_argument("host")
    enter.add_argument("argv", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    made = Fleet(arguments.directory, hide=getattr(arguments, "hide", ()))
    if arguments.command == "up":
        made.up(arguments.count)
        print(made.inventory)
    elif arguments.command == "down":
        made.down()
    else:
        line = (
            made.controller_command(arguments.argv)
            if arguments.command == "exec"
            else made.host_command(arguments.host, arguments.argv)
        )
        os.execvp(line[0], line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
