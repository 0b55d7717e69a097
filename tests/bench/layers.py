"""Unpacking layers beside umoci, dockerd's pull, and pigz with tar; packing them beside tar with pigz.

The page cache is warm for all: what is compared is the work, not the disk.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet
from wherry import native

SMALL = ("lib/python3.11", "include/linux", "include/x86_64-linux-gnu", "share/perl", "share/perl5")  # below /usr
LARGE_MIB = 200
RUNS = 5  # the whole takes two minutes on a quiet machine of two cores
REGISTRY = "127.0.0.1:5000"

OURS = """
import os, sys
from wherry import native
os.mkdir(sys.argv[2])
native.unpack_layer(os.open(sys.argv[1], os.O_RDONLY), sys.argv[2])
"""


def _shell(script: str, *arguments: str | Path) -> measure.Action:
    return measure.command("sh", "-euc", script, "sh", *map(str, arguments))


def _small_layer(place: Path) -> Path:
    """A gzip layer of many small files, level 6 as docker and buildkit write it."""
    there = [name for name in SMALL if Path("/usr", name).is_dir()]
    script = 'tar -c --sort=name --owner=0 --group=0 --numeric-owner -C /usr "$@" | gzip -6 >"$0"'
    layer = place / "small.tar.gz"
    subprocess.run(["sh", "-euc", script, layer, *there], check=True)
    return layer


def _large_layer(place: Path) -> Path:
    """A gzip layer of one file, a third of which cannot be compressed."""
    (place / "large").mkdir()
    script = (
        'for i in 1 2 3; do zcat "$1"; head -c "$2" /dev/urandom; done | head -c "$3" >"$4/large/file"; '
        'tar -c -C "$4" large | gzip -6 >"$5"'
    )
    layer = place / "large.tar.gz"
    size = LARGE_MIB * 2**20
    subprocess.run(
        ["sh", "-euc", script, "sh", place / "small.tar.gz", str(size // 9), str(size), place, layer], check=True
    )
    return layer


def _layout(place: Path, layer: Path) -> str:
    """An OCI layout with an image of that layer alone."""
    layout, plain = place / "layout", place / "plain.tar"
    with plain.open("wb") as file:
        subprocess.run(["gzip", "-dc", layer], stdout=file, check=True)
    for command in (
        ["umoci", "init", "--layout", layout],
        ["umoci", "new", "--image", f"{layout}:small"],
        ["umoci", "raw", "add-layer", "--image", f"{layout}:small", plain],
    ):
        subprocess.run(command, check=True, capture_output=True)
    plain.unlink()
    return f"{layout}:small"


def _unpack(title: str, place: Path, layer: Path, peers: dict[str, measure.Action]) -> None:
    target = place / "target"

    def clean() -> None:
        if target.exists():
            native.remove_tree(target)

    ours = measure.command(sys.executable, "-c", OURS, str(layer), str(target))
    series = measure.in_turn({"wherry": ours, **peers}, RUNS, warm_up=1, before=clean, cpu=True)
    clean()
    measure.report(title, series)


def _pack(place: Path) -> None:
    script = "import sys; from wherry import native; native.pack_layer(sys.argv[1], 1, native.PackSettings('gzip'))"
    source = "/usr/lib/python3.11"
    contenders = {
        "wherry": _shell(f'exec {sys.executable} -c "{script}" "$1" >"$2"', source, place / "packed"),
        "tar | pigz": _shell('tar -c -C "$1" . | pigz -6 >"$2"', source, place / "packed"),
        "tar | gzip": _shell('tar -c -C "$1" . | gzip -6 >"$2"', source, place / "packed"),
    }
    measure.report(f"pack {source} with gzip", measure.in_turn(contenders, RUNS, warm_up=1, cpu=True))


def _clients(lab: Fleet, socket: str, *argv: str) -> Sequence[str]:
    return lab.host_command("h1", ["docker", "-H", socket, *argv])


def _pull(place: Path, layer: Path) -> None:
    """The same image from the same registry on a host of its own: pulled by dockerd, and by wherryd."""
    image = f"{REGISTRY}/small:latest"
    with private.host() as lab:
        data = lab.directory / "h1" / "data"
        shutil.copytree(place / "layout", data / "layout")
        storage = f"storage: {{filesystem: {{rootdirectory: {private.DATA}/registry}}}}"
        (data / "registry.yml").write_text(f"version: 0.1\n{storage}\nhttp: {{addr: '{REGISTRY}'}}\n")
        registry = [str(private.TOOLS / "docker-registry"), "serve", f"{private.DATA}/registry.yml"]
        ready = ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{private.DATA}/layout:small", f"docker://{image}"]
        private.start(lab, f"{private.DATA}/registry.log", registry, ready, seconds=60)
        sockets = {"wherryd": private.start_wherryd(lab), "dockerd": private.start_dockerd(lab)}

        def clean() -> None:
            for socket in sockets.values():
                subprocess.run(_clients(lab, socket, "rmi", "-f", image), capture_output=True, check=False)

        contenders = {name: measure.command(*_clients(lab, socket, "pull", image)) for name, socket in sockets.items()}
        series = measure.in_turn(contenders, RUNS, warm_up=1, before=clean)
        measure.report(f"docker pull of an image of many small files, {layer.stat().st_size >> 20} MiB", series)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wbench", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        small = _small_layer(place)
        summary = subprocess.run(["tar", "-tzf", small], capture_output=True, check=True).stdout
        print(f"small files: {summary.count(os.linesep.encode())} members, {small.stat().st_size >> 20} MiB of gzip")
        peers = {
            "umoci unpack": measure.command("umoci", "unpack", "--image", _layout(place, small), str(place / "target")),
            "pigz -dc | tar x": _shell('mkdir "$2"; pigz -dc "$1" | tar -x -p -C "$2"', small, place / "target"),
        }
        _unpack("unpack a layer of many small files", place, small, peers)
        large = _large_layer(place)
        peers = {"pigz -dc | tar x": _shell('mkdir "$2"; pigz -dc "$1" | tar -x -p -C "$2"', large, place / "target")}
        _unpack(f"unpack a layer of one file of {LARGE_MIB} MiB", place, large, peers)
        _pack(place)
        _pull(place, small)


if __name__ == "__main__":
    main()
