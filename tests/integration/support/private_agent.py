"""A real wherryd in a place of its own: private mount and network namespaces, own directories, own cgroup name.

The machine's network, mounts and cgroup roots are never touched. ``down`` removes all that the agent made and fails
when something is left over, so that every test that uses an agent is a leak test as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import docker
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
READY_SECONDS = 20.0
SETTLE_SECONDS = 2.0
DOCKER = shutil.which("docker") or "docker"


class PrivateAgent:
    """One wherryd and the namespaces that it lives in. Use as a context manager, or call ``up`` and ``down``."""

    def __init__(self, settings: Mapping[str, object] | None = None, *, network_of: PrivateAgent | None = None) -> None:
        self._network_of = network_of  # another agent, in whose network namespace this one lives
        # Short: monitors have unix sockets below it, whose paths hold 107 bytes at most (unix(7)).
        self.place = Path(tempfile.mkdtemp(prefix="wt-", dir="/var/tmp"))
        self.data_root = self.place / "data"
        self.exec_root = self.place / "run"
        self.socket = self.exec_root / "wherry.sock"
        self.log = self.place / "log"
        self.settings = dict(settings or {})
        self.extra_environment: dict[str, str] = {}
        self._holder: subprocess.Popen[bytes] | None = None
        self._agent: subprocess.Popen[bytes] | None = None

    # -- life cycle

    def __enter__(self) -> PrivateAgent:
        try:
            self.up()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """Makes the namespaces and starts the agent."""
        script = "mount -t tmpfs -o mode=755 tmpfs /run && ip link set lo up && echo ready && exec sleep infinity"
        command = ["unshare", "--mount", "--net", "--propagation", "private", "sh", "-ec", script]
        if self._network_of is not None and self._network_of._holder is not None:
            command.remove("--net")
            command = ["nsenter", "--target", str(self._network_of._holder.pid), "--net", *command]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == b"ready\n", "the namespaces could not be made"
        self.place.chmod(0o711)
        (self.place / "wherryd.yml").write_text(yaml.safe_dump(self.settings))
        self.start()

    def start(self) -> None:
        """Starts wherryd and waits until it answers."""
        with self.log.open("ab") as log:
            self._agent = subprocess.Popen(
                self.enter([sys.executable, "-m", "wherry.cli.daemon", *self.options(), "--debug"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment(), start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + READY_SECONDS
        while not self._answers():
            if self._agent.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"wherryd did not start:\n{self.log_text()}")
            time.sleep(0.02)

    def options(self) -> list[str]:
        """wherryd's options for this place."""
        return [
            "--data-root", str(self.data_root), "--exec-root", str(self.exec_root),
            "--config-file", str(self.place / "wherryd.yml"),
        ]  # fmt: skip

    def stop(self) -> int:
        """Ends wherryd in order (SIGTERM); containers run on. Returns its exit status."""
        assert self._agent is not None
        self._agent.terminate()
        return self._agent.wait(READY_SECONDS)

    def kill(self) -> None:
        """Kills wherryd as a crash would; containers run on."""
        assert self._agent is not None
        self._agent.kill()
        self._agent.wait()

    def restart(self, *, crash: bool = False) -> None:
        """Stops or kills wherryd and starts it again."""
        if crash:
            self.kill()
        else:
            self.stop()
        self.start()

    def down(self) -> None:
        """Removes containers, the agent and its namespaces; fails when anything but the directory is left."""
        left: list[str] = []
        try:
            if self._agent is not None:
                if self._agent.poll() is not None:
                    self.start()
                self._remove_containers()
                left = self._left_in_the_end()
                assert self.stop() == 0, f"wherryd did not end in order:\n{self.log_text()}"
            left += self._kill_processes()
        finally:
            left += self._end()
        assert not left, f"left over after all containers were removed: {left}"

    def _end(self) -> list[str]:
        """Takes everything down by force; says which control groups were left."""
        for process in (self._agent, self._holder):
            if process is not None and process.poll() is None:
                process.kill()
                process.wait()
        self._kill_processes()
        left = self._remove_cgroups()
        shutil.rmtree(self.place, ignore_errors=True)
        return left

    # -- what tests do with it

    @property
    def pid(self) -> int:
        """The pid of wherryd."""
        assert self._agent is not None
        return self._agent.pid

    @property
    def holder_pid(self) -> int:
        """The pid of a process that lives in the agent's namespaces and does nothing."""
        assert self._holder is not None
        return self._holder.pid

    @property
    def host(self) -> str:
        """Its address for clients."""
        return f"unix://{self.socket}"

    @property
    def instance(self) -> str:
        """The name that it carries in the kernel."""
        from wherry.ids import instance_of

        return instance_of(self.data_root)

    def enter(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` inside the agent's namespaces."""
        assert self._holder is not None
        return ["nsenter", "--target", str(self._holder.pid), "--mount", "--net", "--wd=/", *argv]

    def run(
        self, *argv: str, check: bool = True, input: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a program inside the agent's namespaces, as on its host."""
        done = subprocess.run(
            self.enter(argv), input=input, capture_output=True, timeout=timeout, env=self.environment(), check=False
        )
        assert not check or done.returncode == 0, (
            f"{argv} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}"
        )
        return done

    def docker(
        self, *arguments: str, check: bool = True, input: bytes | None = None, timeout: float = 60
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs Docker's own command line against the agent."""
        return self.run(DOCKER, *arguments, check=check, input=input, timeout=timeout)

    def out(self, *arguments: str, timeout: float = 60) -> str:
        """The same, and what it printed, stripped."""
        return self.docker(*arguments, timeout=timeout).stdout.decode().strip()

    def client(self) -> docker.DockerClient:
        """docker-py, speaking to the agent."""
        return docker.DockerClient(base_url=self.host, timeout=60)

    def log_text(self) -> str:
        """What wherryd has logged."""
        return self.log.read_text() if self.log.exists() else ""

    def environment(self) -> dict[str, str]:
        """The environment of everything that is run here: nobody's proxies, contexts or configuration."""
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": str(REPOSITORY / "agent"),
            "HOME": str(self.place),
            "DOCKER_HOST": self.host,
            "DOCKER_CONFIG": str(self.place / ".docker"),
            "LC_ALL": "C.UTF-8",
            **self.extra_environment,
        }

    # -- the end

    def _answers(self) -> bool:
        done = subprocess.run(
            ["curl", "-sf", "--max-time", "2", "--unix-socket", str(self.socket), "http://localhost/_ping"],
            capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0

    def _remove_containers(self) -> None:
        listed = self.docker("ps", "-aq", "--no-trunc", check=False)
        for container in listed.stdout.decode().split():
            self.docker("rm", "-f", "-v", container, check=False)

    def _left_in_the_end(self) -> list[str]:
        """What is left after the moment that the kernel takes to let go of links, for which no client waits."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while (left := self._left_inside()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def _left_inside(self) -> list[str]:
        """What containers that are gone have left of themselves: mounts, network cables, directories."""
        mounts = self.run("cat", "/proc/self/mountinfo").stdout.decode().splitlines()
        left = [f"mount {line.split()[4]}" for line in mounts if str(self.place) in line.split()[4]]
        cables = self.run("ip", "-o", "link", "show", "type", "veth").stdout.decode().splitlines()
        left += [f"link {line.split()[1]}" for line in cables]
        left += [f"loop device {device}" for device in self.loop_devices()]
        run = [self.exec_root / name for name in ("containers", "netns", "userns")]
        for directory in (self.data_root / "containers", *run):
            left += [str(entry) for entry in directory.iterdir()]
        return left

    def loop_devices(self) -> list[str]:
        """Loop devices that show a file of this place; the machine has others, which are nobody's affair here."""
        found = []
        for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
            with contextlib.suppress(OSError):  # given back at this moment
                if entry.read_text().startswith(f"{self.place}/"):
                    found.append(entry.parent.parent.name)
        return found

    def _kill_processes(self) -> list[str]:
        """Kills what runs with this place in its command line or cgroup; says what that was."""
        left = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal() or int(entry.name) in self._own_pids():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                groups = (entry / "cgroup").read_text()
                if str(self.place) in command or f"/{self.instance}/" in groups:
                    left.append(f"process {entry.name}: {command[:200]}")
                    os.kill(int(entry.name), signal.SIGKILL)
        return left

    def _own_pids(self) -> set[int]:
        own = {os.getpid(), os.getppid()}
        own.update(process.pid for process in (self._holder, self._agent) if process is not None)
        return own

    def _remove_cgroups(self) -> list[str]:
        """Removes groups that carry the instance's name; says which had containers' groups in them."""
        left = []
        for parent in [Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()]:
            root = parent / self.instance
            if not root.is_dir():
                continue
            groups = sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True)
            left += [f"cgroup {path}" for path in groups]
            for path in [*groups, root]:
                with contextlib.suppress(OSError):
                    path.rmdir()
        return left
