"""Pull, push, save and load beside dockerd and podman, with one registry for all: ``scripts/bench images``.

The image has four layers, some 900 MB and 40,000 files, made of what the machine has: programs and libraries, a tree of
documentation, a Python library, and 64 MiB that cannot be compressed. Everybody's dirty pages are on the disk before
anybody's time is taken.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench import measure, private
from tests.lab.fleet import Fleet

RUNS = 3
REGISTRY, EMPTY = "127.0.0.1:5000", "127.0.0.1:5001"
IMAGE = f"{REGISTRY}/bench/large:1"
PUSHED = f"{EMPTY}/bench/large:1"
LAYERS: Sequence[tuple[str, Sequence[str], int, int]] = (  # name, what of /usr, MiB at most, files at most
    ("base", ("bin", "sbin", "lib/x86_64-linux-gnu", "lib/aarch64-linux-gnu"), 560, 6_000),
    ("documentation", ("share/doc", "share/man", "share/locale", "include", "share"), 170, 27_000),
    ("library", ("lib/python3.11", "lib/python3", "lib/python3.12", "lib/python3.13", "share/perl"), 95, 8_000),
)
RANDOM_MIB = 64
PODMAN_LIMITS = '[containers]\ndefault_ulimits = ["nofile=512:512", "nproc=512:512"]\n'


def _files(folders: Sequence[str], most_bytes: int, most_files: int) -> Iterator[str]:
    """Names below /usr, always in the same order, until one of the bounds is met."""
    taken, count = 0, 0
    seen = set()
    for folder in folders:
        for directory, names, files in os.walk(Path("/usr") / folder):
            names.sort()
            for name in sorted(files):
                path = f"{directory}/{name}"
                size = os.lstat(path).st_size
                if path in seen or not os.access(path, os.R_OK, follow_symlinks=False):
                    continue
                if taken + size > most_bytes:
                    continue
                if count == most_files:
                    return
                seen.add(path)
                taken, count = taken + size, count + 1
                yield os.path.relpath(path, "/usr")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Layout:
    """An OCI layout with the image in it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.blobs = place / "blobs/sha256"
        self.blobs.mkdir(parents=True)
        self.layers: list[dict[str, object]] = []
        self.diff_ids: list[str] = []
        self.plain_bytes = 0

    def add_layer(self, plain: Path) -> None:
        """Adds a tar as a gzip layer of level 6, as docker and buildkit write it; the tar is removed."""
        packed = plain.with_suffix(".gz")
        with packed.open("wb") as file:
            subprocess.run(["pigz", "-6", "-n", "-c", plain], stdout=file, check=True)
        self.plain_bytes += plain.stat().st_size
        self.diff_ids.append(f"sha256:{_sha256(plain)}")
        plain.unlink()
        media_type = "application/vnd.oci.image.layer.v1.tar+gzip"
        self.layers.append({"mediaType": media_type, **self._take(packed)})

    def _take(self, path: Path) -> dict[str, object]:
        digest, size = _sha256(path), path.stat().st_size
        path.rename(self.blobs / digest)
        return {"digest": f"sha256:{digest}", "size": size}

    def _document(self, body: dict[str, object]) -> dict[str, object]:
        path = self.place / "document"
        path.write_text(json.dumps(body))
        return self._take(path)

    def finish(self) -> None:
        """Writes configuration, manifest and index."""
        config = self._document(
            {
                "architecture": "arm64" if os.uname().machine == "aarch64" else "amd64",
                "os": "linux",
                "config": {"Cmd": ["/bin/true"]},
                "rootfs": {"type": "layers", "diff_ids": self.diff_ids},
            }
        )
        manifest_type = "application/vnd.oci.image.manifest.v1+json"
        manifest = self._document(
            {
                "schemaVersion": 2,
                "mediaType": manifest_type,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config},
                "layers": self.layers,
            }
        )
        name = {"org.opencontainers.image.ref.name": "large"}
        entry = {"mediaType": manifest_type, **manifest, "annotations": name}
        (self.place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (self.place / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


def make_layout(place: Path) -> Layout:
    """Makes the image; says what it came to."""
    layout = Layout(place)
    files = 0
    plain = place / "layer.tar"
    for _, folders, mib, most in LAYERS:
        names = list(_files(folders, mib << 20, most))
        files += len(names)
        tar = ["tar", "-c", "--owner=0", "--group=0", "--numeric-owner", "-C", "/usr", "--null", "-T", "-", "-f", plain]
        # What another program changes or removes meanwhile is a warning.
        subprocess.run(tar, input="\0".join(names).encode(), check=False, stderr=subprocess.DEVNULL)
        layout.add_layer(plain)
    (place / "random").write_bytes(os.urandom(RANDOM_MIB << 20))
    subprocess.run(["tar", "-c", "-C", place, "-f", plain, "random"], check=True)
    (place / "random").unlink()
    layout.add_layer(plain)
    layout.finish()
    packed = sum(path.stat().st_size for path in layout.blobs.iterdir())
    print(f"image: {files} files, {layout.plain_bytes / 1e6:.0f} MB, {packed / 1e6:.0f} MB compressed")
    return layout


class Contender:
    """One engine on the lab's host, by its own command line."""

    def __init__(self, lab: Fleet, name: str, words: Sequence[str], insecure: Sequence[str] = ()) -> None:
        self.name = name
        self._lab = lab
        self._words = tuple(words)
        self._insecure = tuple(insecure)

    def argv(self, verb: str, *arguments: str) -> list[str]:
        extra = self._insecure if verb in ("pull", "push") else ()
        return self._lab.host_command("h1", [*self._words, verb, *extra, *arguments])

    def action(self, verb: str, *arguments: str) -> measure.Action:
        return measure.command(*self.argv(verb, *arguments))

    def quietly(self, verb: str, *arguments: str) -> None:
        subprocess.run(self.argv(verb, *arguments), capture_output=True, check=False)


def _registry(lab: Fleet, name: str, address: str, ready: Sequence[str]) -> None:
    data = lab.directory / "h1" / "data"
    storage = f"storage: {{filesystem: {{rootdirectory: {private.DATA}/{name}}}}}"
    (data / f"{name}.yml").write_text(f"version: 0.1\nlog: {{level: error}}\n{storage}\nhttp: {{addr: '{address}'}}\n")
    argv = [str(private.TOOLS / "docker-registry"), "serve", f"{private.DATA}/{name}.yml"]
    private.start(lab, f"{private.DATA}/{name}.log", argv, ready, seconds=120)


def _podman(lab: Fleet) -> Contender:
    place = f"{private.DATA}/podman"
    data = lab.directory / "h1" / "data"
    (data / "containers.conf").write_text(PODMAN_LIMITS)
    (data / "policy.json").write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    lab.run("h1", "sh", "-c", f"mkdir -p /etc/containers {place}; cp {private.DATA}/policy.json /etc/containers/")
    words = [
        "env", f"CONTAINERS_CONF={private.DATA}/containers.conf", f"LD_LIBRARY_PATH={private.TOOLS}", f"TMPDIR={place}",
        str(private.TOOLS / "podman"), "--root", f"{place}/root", "--runroot", "/run/podman/run", "--tmpdir",
        "/run/podman/tmp", "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--events-backend", "file",
        "--conmon", str(private.TOOLS / "conmon"), "--runtime", str(private.TOOLS / "crun"),
    ]  # fmt: skip
    return Contender(lab, "podman", words, ("--tls-verify=false",))


def _pull(lab: Fleet, contenders: Sequence[Contender]) -> None:
    def clean() -> None:
        for contender in contenders:
            contender.quietly("rmi", "-f", IMAGE)
        os.sync()

    agent = private.pid_of(lab, private.WHERRYD_PIDFILE)
    Path(f"/proc/{agent}/clear_refs").write_text("5")  # the peak of resident memory counts from here (proc(5))
    actions = {one.name: one.action("pull", IMAGE) for one in contenders}
    measure.report("pull", measure.in_turn(actions, RUNS, warm_up=1, before=clean))
    status = Path(f"/proc/{agent}/status").read_text()
    peak = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    print(f"  wherryd's resident memory while pulling, at most: {int(peak) / 1024:.0f} MiB")
    for one in contenders:
        one.action("pull", IMAGE)()
    measure.report("pull again", measure.in_turn(actions, RUNS))


def _push(lab: Fleet, contenders: Sequence[Contender]) -> None:
    for one in contenders:
        one.quietly("tag", IMAGE, PUSHED)

    def clean() -> None:
        lab.run("h1", "sh", "-c", f"rm -rf {private.DATA}/empty/docker")
        os.sync()

    actions = {one.name: one.action("push", PUSHED) for one in contenders}
    measure.report("push to an empty registry", measure.in_turn(actions, RUNS, warm_up=1, before=clean))
    for one in contenders:
        one.quietly("rmi", PUSHED)


def _archives(lab: Fleet, contenders: Sequence[Contender]) -> None:
    place = {one.name: f"{private.DATA}/{one.name}.tar" for one in contenders}
    saves = {one.name: one.action("save", "-o", place[one.name], IMAGE) for one in contenders}

    def unsave() -> None:
        lab.run("h1", "sh", "-c", f"rm -f {' '.join(place.values())}")
        os.sync()

    measure.report("save", measure.in_turn(saves, RUNS, warm_up=1, before=unsave))
    for save in saves.values():
        save()

    def clean() -> None:
        for one in contenders:
            one.quietly("rmi", "-f", IMAGE)
        os.sync()

    loads = {one.name: one.action("load", "-i", place[one.name]) for one in contenders}
    measure.report("load", measure.in_turn(loads, RUNS, warm_up=1, before=clean))


def _floor(layout: Layout, place: Path) -> None:
    """What the machine needs for the least of it: unpacking side by side with nothing verified."""
    target = place / "floor"
    script = 'cd "$1"; for b in *; do [ $(stat -c %s $b) -gt 100000 ] && { mkdir -p "$2/$b"; tar -xzf $b -C "$2/$b" & }; done; wait'  # noqa: E501

    def clean() -> None:
        subprocess.run(["rm", "-rf", target], check=True)
        os.sync()

    action = measure.command("sh", "-c", script, "sh", str(layout.blobs), str(target))
    measure.report("tar -xz of the layers side by side", measure.in_turn({"tar": action}, RUNS, 0, clean))
    clean()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="wbench", dir="/var/tmp", ignore_cleanup_errors=True) as directory:
        layout = make_layout(Path(directory) / "layout")
        _floor(layout, Path(directory))
        with private.host() as lab:
            # Beside the data of the host, so that it can be linked and not copied.
            (lab.directory / "h1" / "data" / "layout").mkdir()
            subprocess.run(["cp", "-a", f"{layout.place}/.", lab.directory / "h1" / "data" / "layout"], check=True)
            copy = [
                "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", f"oci:{private.DATA}/layout:large",
                f"docker://{IMAGE}",
            ]  # fmt: skip
            _registry(lab, "registry", REGISTRY, copy)
            _registry(lab, "empty", EMPTY, ["curl", "-sf", f"http://{EMPTY}/v2/"])
            agent, peer = private.start_wherryd(lab), private.start_dockerd(lab)
            contenders = [
                Contender(lab, "wherryd", ["docker", "-H", agent]),
                Contender(lab, "dockerd", ["docker", "-H", peer]),
                _podman(lab),
            ]
            _pull(lab, contenders)
            _push(lab, contenders)
            _archives(lab, contenders)


if __name__ == "__main__":
    main()
