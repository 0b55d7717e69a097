"""Programs that call OCI runtimes, on a host made of namespaces, with wherry-runtime as the runtime that they call."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.integration.runtime.harness import BUSYBOX, PROGRAM
from tests.lab.fleet import Fleet

REPOSITORY = Path(__file__).resolve().parents[3]
TOOLS = REPOSITORY / ".tools" / "bin"
LIBRARIES = sorted((REPOSITORY / ".tools" / "root" / "usr" / "lib").glob("*-linux-gnu"))
SECONDS = 30.0

Done = subprocess.CompletedProcess[str]


class Host:
    """One namespace host: its data directory as it sees it, a root file system there, and programs of ``.tools``."""

    def __init__(self, lab: Fleet) -> None:
        self.lab = lab
        self.inside = Path(lab.data_path)
        self.outside = lab.directory / "h1" / "data"
        self.runtime = self.inside / PROGRAM.name
        shutil.copy(PROGRAM, self.outside / PROGRAM.name)
        _make_rootfs(self.outside / "rootfs")
        # Where programs find them that conmon starts with an environment of its own.
        for library in LIBRARIES:
            self("cp", "--archive", "--no-clobber", f"{library}/.", f"/usr/lib/{library.name}")
        subprocess.run(["tar", "-C", self.outside / "rootfs", "-cf", self.outside / "rootfs.tar", "."], check=True)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` there."""
        path = f"{TOOLS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        environment = [f"PATH={path}", "HOME=/root", "LC_ALL=C.UTF-8"]
        return self.lab.host_command("h1", ["env", *environment, *argv])

    def __call__(self, *argv: str, check: bool = True, input: str | None = None) -> Done:
        """Runs a program to its end."""
        done = subprocess.run(
            self.command(argv), input=input, stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{argv}: {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def terminal(self, *argv: str, check: bool = True) -> Done:
        """The same on a terminal of its own, 40 columns wide."""
        words = " ".join("'" + word.replace("'", "'\\''") + "'" for word in argv)
        script = f"stty cols 40 rows 12; exec {words}"
        return self("script", "-qec", f'sh -c "{script}"', "/dev/null", check=check)

    def daemon(self, log: str, *argv: str, ready: Sequence[str]) -> None:
        """Starts a program that stays, and waits until ``ready`` succeeds."""
        with (self.outside / log).open("w") as output:
            subprocess.Popen(self.command(["setsid", *argv]), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + SECONDS
        while self(*ready, check=False).returncode != 0:
            assert time.monotonic() < deadline, (self.outside / log).read_text()
            time.sleep(0.05)


def _make_rootfs(rootfs: Path) -> None:
    for name in ("bin", "proc", "sys", "dev", "tmp", "etc", "root"):
        (rootfs / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, rootfs / "bin" / "busybox")
    for applet in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
        if applet != "busybox":
            (rootfs / "bin" / applet).symlink_to("busybox")
    (rootfs / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (rootfs / "etc" / "group").write_text("root:x:0:\n")
