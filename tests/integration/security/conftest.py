"""Fixtures: hostile programs, compiled here, in a bundle or in an image."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.integration.monitor.conftest import watched
from tests.integration.runtime.conftest import bundle, cgroup, cgroup_parent, runtime
from tests.integration.runtime.harness import Bundle

__all__ = ["bundle", "cgroup", "cgroup_parent", "runtime", "watched"]

PROBES = Path(__file__).parent / "probes"

Probe = Callable[[str], Path]


def grant(bundle: Bundle, capabilities: Iterable[str]) -> None:
    """Gives a bundle's process these capabilities, and the possibility to lose them only."""
    bundle.process["capabilities"] = {key: list(capabilities) for key in ("bounding", "effective", "permitted")}


@pytest.fixture(scope="session")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Probe:
    """``probe(name)`` is a static program made of ``probes/name.c``."""
    place = tmp_path_factory.mktemp("probes")
    place.chmod(0o755)

    def build(name: str) -> Path:
        program = place / name
        if not program.exists():
            compiler = shutil.which("cc") or "gcc"
            subprocess.run(
                [compiler, "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, PROBES / f"{name}.c"],
                check=True,
            )
        return program

    return build
