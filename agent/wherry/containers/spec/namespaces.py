"""``linux.namespaces`` of config.json."""

from __future__ import annotations

from wherry.containers.spec.inputs import JoinedNamespaces

HOST = "host"


def build_namespaces(joined: JoinedNamespaces) -> list[dict[str, str]]:
    """Own, joined by path or, when it is the host's, not listed. The mount namespace is always the container's own."""
    wanted = {
        "pid": joined.pid,
        "network": joined.network,
        "ipc": joined.ipc,
        "uts": joined.uts,
        "cgroup": joined.cgroup,
    }
    namespaces = [{"type": "mount"}]
    if joined.user:
        namespaces.append({"type": "user", "path": joined.user})
    for kind, place in wanted.items():
        if place == HOST:
            continue
        namespaces.append({"type": kind, "path": place} if place else {"type": kind})
    return namespaces
