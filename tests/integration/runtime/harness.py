"""A bundle made from the machine's busybox, and wherry-runtime's command line with a root directory of its own."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM = Path(os.environ.get("WHERRY_RUNTIME", REPOSITORY / "native" / "build" / "wherry-runtime"))
BUSYBOX = Path("/usr/bin/busybox")
CGROUPS = Path("/sys/fs/cgroup")
SECONDS = 20.0

DEFAULT_CAPABILITIES = ["CAP_CHOWN", "CAP_KILL", "CAP_SETGID", "CAP_SETUID", "CAP_MKNOD", "CAP_NET_RAW"]

CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), DEFAULT_CAPABILITIES),
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
    "hostname": "inside",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755", "size=65536k"]},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": name} for name in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/acpi", "/proc/timer_list", "/sys/firmware"],
        "readonlyPaths": ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq"],
    },
}


class Bundle:
    """A directory with a root file system and the configuration ``config``, written when a container is made of it."""

    def __init__(self, path: Path, cgroup: str) -> None:
        self.path = path
        self.rootfs = path / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin" / "busybox")
        for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
            if applet != "busybox":
                (self.rootfs / "bin" / applet).symlink_to("busybox")
        for name in ("proc", "sys", "dev", "tmp", "etc", "root"):
            (self.rootfs / name).mkdir()
        self.config = copy.deepcopy(CONFIG)
        self.config["linux"]["cgroupsPath"] = cgroup

    @property
    def process(self) -> dict[str, Any]:
        """The process object of the configuration."""
        value: dict[str, Any] = self.config["process"]
        return value

    @property
    def linux(self) -> dict[str, Any]:
        """The linux object of the configuration."""
        value: dict[str, Any] = self.config["linux"]
        return value

    def mount(self, destination: str, source: str, *options: str, kind: str = "bind") -> None:
        """Adds a mount."""
        words = ["bind", *options] if kind == "bind" else list(options)
        self.config["mounts"].append({"destination": destination, "type": kind, "source": source, "options": words})

    def namespace(self, kind: str, path: str | None = None) -> None:
        """Adds a namespace, or replaces it by one that is joined."""
        rest = [one for one in self.linux["namespaces"] if one["type"] != kind]
        self.linux["namespaces"] = [*rest, {"type": kind, "path": path} if path else {"type": kind}]

    def user_namespace(self, start: int = 100000) -> None:
        """Gives the container a user namespace whose IDs begin at ``start``, and the root file system to its root."""
        self.namespace("user")
        self.linux["uidMappings"] = [{"containerID": 0, "hostID": start, "size": 65536}]
        self.linux["gidMappings"] = [{"containerID": 0, "hostID": start, "size": 65536}]
        for directory, _, files in os.walk(self.rootfs):
            for name in [directory, *(f"{directory}/{file}" for file in files)]:
                os.chown(name, start, start, follow_symlinks=False)

    def without_namespace(self, kind: str) -> None:
        """Takes a namespace away: the container shares the runtime's."""
        self.linux["namespaces"] = [one for one in self.linux["namespaces"] if one["type"] != kind]

    def allow(self, *capabilities: str) -> None:
        """Gives the process exactly these capabilities."""
        for name in ("bounding", "effective", "permitted"):
            self.process["capabilities"][name] = list(capabilities)

    def shell(self, script: str) -> None:
        """Makes a shell script the container's program."""
        self.process["args"] = ["sh", "-c", script]

    def write(self) -> None:
        """Writes config.json."""
        (self.path / "config.json").write_text(json.dumps(self.config))


class Runtime:
    """wherry-runtime with a root of its own; what it leaves running is killed by ``clean``."""

    def __init__(self, root: Path, bundle: Bundle) -> None:
        self.root = root
        self.bundle = bundle
        self.log = root.parent / "log.json"
        self.prefix: list[str] = []

    def command(self, *arguments: str) -> list[str]:
        """The command line for a verb."""
        return [
            *self.prefix,
            str(PROGRAM),
            "--root",
            str(self.root),
            "--log",
            str(self.log),
            "--log-format",
            "json",
            *arguments,
        ]

    def __call__(self, *arguments: str, check: bool = True, **keywords: Any) -> subprocess.CompletedProcess[str]:
        """Runs a verb to its end."""
        keywords.setdefault("stdin", subprocess.DEVNULL)
        if keywords.get("stdout") is None and keywords.get("stderr") is None:
            keywords["capture_output"] = True
        done = subprocess.run(self.command(*arguments), text=True, timeout=SECONDS, **keywords)
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr}"
        return done

    def run(
        self, script: str | None = None, *, check: bool = True, **keywords: Any
    ) -> subprocess.CompletedProcess[str]:
        """Runs a container in the foreground."""
        if script is not None:
            self.bundle.shell(script)
        self.bundle.write()
        return self("run", "--bundle", str(self.bundle.path), "once", check=check, **keywords)

    def run_beside(self, before: str, after: str = "") -> subprocess.CompletedProcess[str]:
        """Runs the container in a mount namespace of the test's own, between two shell scripts on that host."""
        self.bundle.write()
        command = " ".join(self.command("run", "-b", str(self.bundle.path), "once"))
        script = f"set -e; mount --make-rprivate /; {before}\n{command}\n{after}"
        return subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=SECONDS)

    def output(self, script: str, **keywords: Any) -> str:
        """What a shell script prints in a container."""
        return self.run(script, **keywords).stdout.strip()

    def create(self, name: str = "kept", *options: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Creates a container; its output goes to the file ``output`` beside the root."""
        self.bundle.write()
        with (self.root.parent / "output").open("w") as output, (self.root.parent / "errors").open("w+") as errors:
            done = subprocess.run(
                self.command("create", "--bundle", str(self.bundle.path), *options, name),
                stdin=subprocess.DEVNULL, stdout=output, stderr=errors, timeout=SECONDS, text=True,
            )  # fmt: skip
            errors.seek(0)
            done.stderr = errors.read()
        assert not check or done.returncode == 0, done.stderr
        return done

    def start(self, script: str = "sleep 1000", name: str = "kept", *options: str) -> int:
        """Creates and starts a container; its process number."""
        self.bundle.shell(script)
        self.create(name, *options)
        self("start", name)
        pid: int = self.state(name)["pid"]
        return pid

    def text(self) -> str:
        """What the created container has printed."""
        return (self.root.parent / "output").read_text()

    def state(self, name: str = "kept") -> dict[str, Any]:
        """The state document."""
        document: dict[str, Any] = json.loads(self("state", name).stdout)
        return document

    def clean(self) -> None:
        """Deletes what is left."""
        for name in self("list", "--quiet").stdout.split():
            self("delete", "--force", name)


def namespace_of(pid: int | str, kind: str) -> str:
    """Which namespace a process is in."""
    return str(Path(f"/proc/{pid}/ns/{kind}").readlink())


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Waits until something has come about."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def cgroup_directories(path: str) -> list[Path]:
    """The directories of one group in all hierarchies."""
    return [one for one in (hierarchy / path.lstrip("/") for hierarchy in CGROUPS.iterdir()) if one.exists()]


def whole_disk(path: Path) -> dict[str, int]:
    """Major and minor of the disk that holds a path, for blockIO; skips the test where there is none."""
    device = path.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve()
    if not place.exists():
        pytest.skip(f"{path} is on no block device")
    number = ((place.parent if (place / "partition").exists() else place) / "dev").read_text()
    major, minor = map(int, number.split(":"))
    return {"major": major, "minor": minor}
