"""Whether processes are frozen, asked of the kernel: what an agent that died had just done, no record can tell."""

from __future__ import annotations

from pathlib import Path

V1_ROOT = Path("/sys/fs/cgroup/freezer")
V2_ROOTS = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))


def is_frozen(pid: int) -> bool:
    """Whether the control group of a process, or one above it, is frozen. False too for a process that is gone.

    Source: cgroups(7); v1 ``freezer.state``, v2 ``cgroup.events``.
    """
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "freezer" in controllers.split(",") and _text(V1_ROOT / path.lstrip("/") / "freezer.state") == "FROZEN":
            return True
        if not controllers:
            events = [_text(root / path.lstrip("/") / "cgroup.events") for root in V2_ROOTS]
            if any("frozen 1" in text.splitlines() for text in events):
                return True
    return False


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
