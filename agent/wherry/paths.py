"""Where the agent keeps what; docs/internals.md, "What an agent owns on disk and in the kernel"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wherry.errors import SystemFailure
from wherry.ids import instance_of

ROOT_MODE = 0o710
PRIVATE_MODE = 0o700


@dataclass(frozen=True)
class Paths:
    """Every path of one agent, and the name that it carries in the kernel."""

    data_root: Path
    exec_root: Path

    @property
    def instance(self) -> str:
        """Stands in the name of everything that this agent makes in the kernel."""
        return instance_of(self.data_root)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_root / "state.db"

    @property
    def database_reserve(self) -> Path:
        """Space that records can still be written to when the disk is full."""
        return self.data_root / "reserve"

    @property
    def lock(self) -> Path:
        """Held locked by the one agent that uses this data root."""
        return self.data_root / "lock"

    @property
    def images(self) -> Path:
        """The OCI image layout."""
        return self.data_root / "images"

    @property
    def layers(self) -> Path:
        """Unpacked layers by chain ID."""
        return self.data_root / "layers"

    @property
    def containers(self) -> Path:
        """What a container keeps while it is stopped."""
        return self.data_root / "containers"

    @property
    def volumes(self) -> Path:
        """Local volumes by name."""
        return self.data_root / "volumes"

    @property
    def temporary(self) -> Path:
        """Uploads and downloads in flight; emptied at start."""
        return self.data_root / "tmp"

    @property
    def run_containers(self) -> Path:
        """Bundles, monitor sockets and monitor records of running containers."""
        return self.exec_root / "containers"

    @property
    def runtime(self) -> Path:
        """``--root`` of the OCI runtime."""
        return self.exec_root / "runtime"

    @property
    def netns(self) -> Path:
        """Network namespaces of containers, kept by bind mounts."""
        return self.exec_root / "netns"

    @property
    def userns(self) -> Path:
        """User namespaces of remapped containers, kept by bind mounts."""
        return self.exec_root / "userns"

    @property
    def directories(self) -> tuple[Path, ...]:
        """Everything below the two roots that belongs to the agent alone."""
        kept = (self.images, self.layers, self.containers, self.volumes, self.temporary)
        return (*kept, self.run_containers, self.runtime, self.netns, self.userns)

    def create(self) -> None:
        """Makes all directories, with modes that keep other users of the host out."""
        try:
            for root in (self.data_root, self.exec_root):
                root.mkdir(mode=ROOT_MODE, parents=True, exist_ok=True)
                root.chmod(ROOT_MODE)
            for directory in self.directories:
                directory.mkdir(mode=PRIVATE_MODE, exist_ok=True)
        except OSError as error:
            raise SystemFailure(f"cannot make {error.filename}: {error.strerror}") from error
