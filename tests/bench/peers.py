"""The engines that are measured side by side on one host, and which processes each keeps."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet

LIBRARIES = "/usr/lib"


@dataclass(frozen=True)
class Engine:
    """A running engine: where its Docker API is, and the programs by whose names its processes are known.

    ``daemons`` are there once, ``keepers`` once for each running container.
    """

    name: str
    socket: str
    daemons: tuple[str, ...]
    keepers: tuple[str, ...]

    def cli(self, *arguments: str) -> list[str]:
        """The docker command line against it."""
        return [shutil.which("docker") or "docker", "-H", f"unix://{self.socket}", *arguments]

    def memory(self, lab: Fleet) -> tuple[int, int, int]:
        """PSS in bytes of its daemons and of its keepers on the host together, and how many keepers there are."""
        daemons = keepers = count = 0
        host = private.pid_namespace(lab)
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if (entry / "ns" / "pid").readlink() != host:
                    continue
                words = (entry / "cmdline").read_bytes().split(b"\0")
                names = {Path(word.decode(errors="replace")).name for word in words[:2]}
                if names & set(self.daemons):
                    daemons += measure.proportional_set_size(int(entry.name))
                elif names & set(self.keepers):
                    keepers += measure.proportional_set_size(int(entry.name))
                    count += 1
        return daemons, keepers, count


def start_all(lab: Fleet, rootfs: Path) -> Mapping[str, Engine]:
    """wherryd, dockerd and podman's service on the host, each with the image ``bench``; podman where it can run."""
    engines = [
        Engine("wherryd", _path(private.start_wherryd(lab)), ("wherryd",), ("wherry-monitor",)),
        Engine("dockerd", _path(private.start_dockerd(lab)), ("dockerd", "containerd"), ("containerd-shim-runc-v2",)),
    ]
    podman = start_podman(lab)
    if podman:
        engines.append(Engine("podman", podman, ("podman",), ("conmon",)))
    for engine in engines:
        private.import_image(lab, f"unix://{engine.socket}", rootfs)
    return {engine.name: engine for engine in engines}


def _path(host: str) -> str:
    return host.removeprefix("unix://")


def start_podman(lab: Fleet) -> str:
    """Starts Debian's podman as a service with crun, conmon and netavark; its socket, empty where it does not run."""
    place = f"{private.DATA}/podman"
    for library in sorted((private.REPOSITORY / ".tools" / "root" / "usr" / "lib").glob("*-linux-gnu")):
        # conmon gives crun an environment of its own, so that LD_LIBRARY_PATH does not reach it.
        lab.run("h1", "cp", "--archive", "--no-clobber", f"{library}/.", f"{LIBRARIES}/{library.name}")
    if lab.run("h1", str(private.TOOLS / "podman"), "--version", check=False).returncode != 0:
        print("podman does not run here and is left out")
        return ""
    # The limits that podman asks for by itself are beyond what a root without CAP_SYS_RESOURCE may raise them to.
    settings = (
        '[containers]\ndefault_ulimits = ["nofile=512:512", "nproc=512:512"]\n'
        f'[network]\nnetwork_backend = "netavark"\nnetwork_config_dir = "{place}/networks"\n'
        f'[engine]\nhelper_binaries_dir = ["{private.TOOLS}"]\n'
    )
    configuration = lab.directory / "h1" / "data" / "podman"
    configuration.mkdir()
    (configuration / "containers.conf").write_text(settings)
    (configuration / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    lab.run("h1", "sh", "-c", f"mkdir -p /etc/containers && cp {place}/policy.json /etc/containers/policy.json")
    socket = f"{place}/podman.sock"
    argv = [
        "env", f"CONTAINERS_CONF={place}/containers.conf", str(private.TOOLS / "podman"), "--root", f"{place}/root",
        "--runroot", "/run/podman-bench/run", "--tmpdir", "/run/podman-bench/tmp", "--storage-driver", "overlay",
        "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--conmon", str(private.TOOLS / "conmon"),
        "--runtime", str(private.TOOLS / "crun"), "system", "service", "--time", "0", f"unix://{socket}",
    ]  # fmt: skip
    private.start(lab, f"{place}/log", argv, ["docker", "-H", f"unix://{socket}", "version"])
    return socket
