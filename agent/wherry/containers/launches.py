"""Monitors that an agent which died had only just started: what they make must not come after the sweep."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

POLL_SECONDS = 0.02


def wait(state_directory: Path, seconds: float) -> None:
    """Waits while there is a monitor that has not yet written its record; blocks."""
    deadline = time.monotonic() + seconds
    record = state_directory / "state.json"
    while not record.exists() and _has_monitor(state_directory) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)


def _has_monitor(state_directory: Path) -> bool:
    """Whether a process has the state directory among its arguments, as monitors do."""
    wanted = os.fsencode(state_directory)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        # Processes come and go while they are looked at.
        with contextlib.suppress(OSError):
            if wanted in process.read_bytes().split(b"\0"):
                return True
    return False
