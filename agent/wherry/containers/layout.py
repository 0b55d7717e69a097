"""Where one container keeps what: see docs/internals.md, "What an agent owns on disk and in the kernel"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherry.paths import Paths


@dataclass(frozen=True)
class ContainerLayout:
    """The paths of one container."""

    paths: Paths
    container_id: str

    @property
    def data(self) -> Path:
        """What stays while it is stopped."""
        return self.paths.containers / self.container_id

    @property
    def run(self) -> Path:
        """The bundle, and the monitor's state directory."""
        return self.paths.run_containers / self.container_id

    @property
    def log(self) -> Path:
        """The log in Docker's json-file form; rotated files have ``.1``, ``.2``, … behind it, and ``.gz``."""
        return self.data / f"{self.container_id}-json.log"

    @property
    def local_log(self) -> Path:
        """The log of the driver local, in a directory of its own, as Docker has it."""
        return self.data / "local-logs" / "container.log"

    @property
    def rootfs(self) -> Path:
        """Where the root file system is mounted while it runs."""
        return self.data / "rootfs"

    @property
    def unmapped(self) -> Path:
        """Where the root is mounted a second time while a volume is filled from it."""
        return self.data / "unmapped"

    @property
    def parts(self) -> Path:
        """Where parts of volumes are mounted by themselves while it runs."""
        return self.data / "parts"

    @property
    def images(self) -> Path:
        """Where images that are mounts are mounted while it runs, each with what was written to it."""
        return self.data / "images"

    @property
    def upper(self) -> Path:
        """What the container wrote."""
        return self.data / "upper"

    @property
    def work(self) -> Path:
        """overlayfs's scratch directory."""
        return self.data / "work"

    @property
    def hosts(self) -> Path:
        """/etc/hosts."""
        return self.data / "hosts"

    @property
    def hostname(self) -> Path:
        """/etc/hostname."""
        return self.data / "hostname"

    @property
    def resolv_conf(self) -> Path:
        """/etc/resolv.conf."""
        return self.data / "resolv.conf"

    @property
    def shm(self) -> Path:
        """The tmpfs that is /dev/shm when other containers may share it."""
        return self.data / "shm"

    @property
    def userns(self) -> Path:
        """Its user namespace while it runs, if it is remapped."""
        return self.paths.userns / self.container_id

    @property
    def config(self) -> Path:
        """config.json."""
        return self.run / "config.json"

    @property
    def monitor_socket(self) -> Path:
        """Where the monitor listens."""
        return self.run / "monitor.sock"

    @property
    def monitor_record(self) -> Path:
        """The monitor's own record."""
        return self.run / "state.json"

    def exec_directory(self, exec_id: str) -> Path:
        """The state directory of an exec session's monitor."""
        return self.run / "exec" / exec_id
