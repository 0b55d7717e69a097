"""wherryd beside dockerd: `docker run --rm IMAGE true` with the same client, and what each keeps in memory."""

from __future__ import annotations

from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet


def _memory(lab: Fleet, socket: str) -> None:
    place = f"{private.DATA}/bench"
    agent = private.pid_of(lab, f"{place}/run/wherryd.pid")
    print(f"\nwherryd idle: {measure.proportional_set_size(agent) / 1024**2:.1f} MiB PSS")
    for number in range(5):
        lab.run("h1", "docker", "-H", socket, "run", "-d", "--name", f"m{number}", "bench", "sleep", "1000")
    monitors = [
        int(status.parent.name)
        for status in Path("/proc").glob("[0-9]*/cmdline")
        if b"wherry-monitor" in status.read_bytes() and place.encode() in status.read_bytes()
    ]
    figures = sorted(measure.proportional_set_size(pid) for pid in monitors)
    print(f"wherry-monitor, median of {len(figures)}: {figures[len(figures) // 2] / 1024:.0f} KiB PSS")


def _peer_memory(lab: Fleet) -> None:
    dockerd = private.pid_of(lab, f"{private.DATA}/dockerd/dockerd.pid")
    containerd = private.pid_of(lab, f"{private.DATA}/dockerd/run/containerd/containerd.pid")
    total = measure.proportional_set_size(dockerd) + measure.proportional_set_size(containerd)
    print(f"dockerd and containerd idle: {total / 1024**2:.1f} MiB PSS")


def main() -> None:
    with private.host() as lab:
        rootfs = private.busybox_rootfs(lab.directory)
        sockets = {"wherryd": private.start_wherryd(lab), "dockerd": private.start_dockerd(lab)}
        for socket in sockets.values():
            private.import_image(lab, socket, rootfs)
        for network in ("none", "bridge"):
            contenders = {}
            for name, socket in sockets.items():
                argv = ["docker", "-H", socket, "run", "--rm", "--network", network, "bench", "true"]
                contenders[name] = measure.command(*lab.host_command("h1", argv))
            measure.report(f"docker run --rm --network {network} IMAGE true", measure.in_turn(contenders, runs=11))
        _memory(lab, sockets["wherryd"])
        _peer_memory(lab)


if __name__ == "__main__":
    main()
