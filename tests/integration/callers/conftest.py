"""Fixtures: a host for podman, containerd and dockerd, and each of them there when its program is at hand."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.callers.harness import TOOLS, Done, Host
from tests.integration.runtime.harness import PROGRAM
from tests.lab.fleet import fleet


def _need(host: Host, *programs: str) -> None:
    for program in programs:
        if not (TOOLS / program).exists():
            pytest.skip(f"{program} is not in .tools (scripts/test fetches it)")
        # Unpacked without its dependencies: a library of a later Debian may be missing.
        if host(program, "-v" if program.startswith("containerd-shim") else "--version", check=False).returncode != 0:
            pytest.skip(f"{program} of .tools does not run on this machine")


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    """The host that the callers share."""
    if os.geteuid() != 0:
        pytest.skip("namespace hosts need root")
    if not PROGRAM.exists():
        pytest.skip("wherry-runtime is not built")
    with tempfile.TemporaryDirectory(prefix="wcall", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        with fleet(Path(directory) / "fleet", 1) as lab:
            yield Host(lab)


Caller = Callable[..., Done]


@pytest.fixture(scope="session")
def podman(host: Host) -> Caller:
    """podman with wherry-runtime and a storage of its own; no network."""
    _need(host, "podman", "conmon")
    place = host.inside / "podman"
    # The limits that podman asks for by itself are beyond what this machine's root may raise them to.
    (host.outside / "containers.conf").write_text(
        '[containers]\ndefault_ulimits = ["nofile=512:512", "nproc=512:512"]\n'
    )
    words = [
        "env", f"CONTAINERS_CONF={host.inside}/containers.conf", "podman", "--root", f"{place}/root",
        "--runroot", "/run/podman/run", "--tmpdir", "/run/podman/tmp", "--storage-driver", "vfs",
        "--cgroup-manager", "cgroupfs", "--events-backend", "file", "--conmon", str(TOOLS / "conmon"),
        "--runtime", str(host.runtime),
    ]  # fmt: skip

    def call(*arguments: str, terminal: bool = False, **keywords: object) -> Done:
        return (host.terminal if terminal else host)(*words, *arguments, **keywords)  # type: ignore[arg-type]

    return call


@pytest.fixture(scope="session")
def ctr(host: Host) -> Caller:
    """containerd's own client, with a containerd."""
    _need(host, "containerd", "ctr", "containerd-shim-runc-v2")
    socket = "/run/containerd/test.sock"
    (host.outside / "containerd.toml").write_text(
        f'version = 2\nroot = "{host.inside}/containerd"\nstate = "/run/containerd/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\n  address = "{socket}"\n'
    )
    words = ["ctr", "--address", socket]
    configuration = f"{host.inside}/containerd.toml"
    host.daemon("containerd.log", "containerd", "--config", configuration, ready=[*words, "version"])

    def call(*arguments: str, terminal: bool = False, **keywords: object) -> Done:
        return (host.terminal if terminal else host)(*words, *arguments, **keywords)  # type: ignore[arg-type]

    return call


@pytest.fixture(scope="session")
def docker(host: Host) -> Caller:
    """Docker's client, with a dockerd whose default runtime is wherry-runtime and whose image ``busybox`` is one."""
    _need(host, "dockerd", "containerd", "containerd-shim-runc-v2")
    place = host.inside / "docker"
    socket = "unix:///run/docker-test.sock"
    words = ["docker", "--host", socket]
    host.daemon(
        "dockerd.log", "dockerd", "--data-root", f"{place}/data", "--exec-root", "/run/docker-test", "--host", socket,
        "--pidfile", "/run/docker-test.pid", "--bip", "172.31.0.1/24", "--storage-driver", "vfs",
        "--add-runtime", f"wherry={host.runtime}", "--default-runtime", "wherry", ready=[*words, "version"],
    )  # fmt: skip
    host(*words, "import", "--change", "ENV PATH=/bin", f"{host.inside}/rootfs.tar", "busybox")

    def call(*arguments: str, terminal: bool = False, **keywords: object) -> Done:
        return (host.terminal if terminal else host)(*words, *arguments, **keywords)  # type: ignore[arg-type]

    return call
