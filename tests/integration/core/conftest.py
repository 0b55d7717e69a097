"""Runs pieces of Python against the C core in mount, network and host name namespaces of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

Confined = Callable[..., str]


@pytest.fixture
def confined() -> Confined:
    """``confined(script, *arguments)`` returns what the script prints; a script that fails fails the test."""

    def run(script: str, *arguments: object) -> str:
        finished = subprocess.run(
            [
                "unshare",
                "--mount",
                "--net",
                "--uts",
                sys.executable,
                "-c",
                textwrap.dedent(script),
                *map(str, arguments),
            ],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert finished.returncode == 0, finished.stderr
        return finished.stdout.strip()

    return run
