"""Namespace hosts for the tests that bootstrap and provision them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.lab.fleet import Fleet

REPOSITORY = Path(__file__).resolve().parents[3]
BIN = REPOSITORY / ".venv" / "bin"


@pytest.fixture(autouse=True, scope="session")
def _needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("namespace hosts need root")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A directory on the machine's real disk, with a path short enough for unix sockets."""
    directory = Path(tempfile.mkdtemp(prefix="wlab", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="module")
def rootfs(place: Path) -> Path:
    """A root file system archive made of the machine's static busybox."""
    archive = place / "rootfs.tar"
    subprocess.run([REPOSITORY / "scripts" / "busybox-rootfs", archive], check=True)
    return archive


def fetch_command(url: str) -> list[str]:
    """A command that prints the page at ``url``; Debian's static busybox is no client of its own host's resolver."""
    return [
        "/usr/bin/python3",
        "-c",
        f"import urllib.request as r; print(r.urlopen({url!r}, timeout=5).read().decode())",
    ]


class Run:
    """The outcome of one ansible-playbook: its output, and the recap's figures by host."""

    def __init__(self, process: subprocess.CompletedProcess[str]) -> None:
        self.output = process.stdout + process.stderr
        self.returncode = process.returncode
        self.recap: dict[str, dict[str, int]] = {}
        recap = process.stdout.partition("PLAY RECAP")[2].splitlines()[1:]
        for line in recap:
            host, colon, figures = line.partition(":")
            if colon and "=" in figures:
                pairs = (figure.split("=") for figure in figures.split())
                self.recap[host.strip()] = {key: int(value) for key, value in pairs}

    def total(self, figure: str) -> int:
        assert self.recap, self.output
        return sum(figures[figure] for figures in self.recap.values())


def run_controller(fleet: Fleet, command: Sequence[str | Path], timeout: float = 600) -> Run:
    """Runs ``command`` as the fleet's controller, from the repository, with the repository's tools first in PATH."""
    environment = {
        **os.environ,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_NOCOLOR": "1",
    }
    line = fleet.controller_command([str(word) for word in command])
    return Run(
        subprocess.run(
            line, cwd=REPOSITORY, env=environment, text=True, capture_output=True, timeout=timeout,
            stdin=subprocess.DEVNULL, check=False,
        )
    )  # fmt: skip
