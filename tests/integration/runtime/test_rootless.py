"""An ordinary user, with nothing but a user namespace, has containers of his own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import CGROUPS, PROGRAM, REPOSITORY, Bundle, wait_until

USER = 23456
MONITOR = PROGRAM.parent / "wherry-monitor"
TOOLS = REPOSITORY / ".tools" / "root" / "usr" / "bin"


class Person:
    """A user without privileges: the runtime is copied to where he may read it, and the bundle is his."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.bundle = Bundle(place / "bundle", "")
        self.program = place / "wherry-runtime"
        shutil.copy(PROGRAM, self.program)
        (place / "run").mkdir()
        own = [{"containerID": 0, "hostID": USER, "size": 1}]
        config = self.bundle.config
        config["mounts"] = [one for one in config["mounts"] if one["destination"] != "/sys"]
        config["mounts"].append({"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]})
        config["linux"]["namespaces"] = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
        config["linux"].update(uidMappings=own, gidMappings=own)
        del config["linux"]["cgroupsPath"]
        for path in (place, *place.rglob("*")):
            os.chown(path, USER, USER, follow_symlinks=False)

    def command(self, *argv: str) -> list[str]:
        """The command line for a program, as him."""
        return [
            str(shutil.which("setpriv")),
            f"--reuid={USER}",
            f"--regid={USER}",
            "--clear-groups",
            "--no-new-privs",
            *argv,
        ]

    def __call__(self, *arguments: str, check: bool = True, **keywords: Any) -> subprocess.CompletedProcess[str]:
        """Runs a verb of the runtime as him."""
        environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(self.place / "run")}
        keywords.setdefault("stdin", subprocess.DEVNULL)
        if "stdout" not in keywords:
            keywords["capture_output"] = True
        done = subprocess.run(
            self.command(str(self.program), *arguments), cwd=self.bundle.path, text=True, timeout=30,
            env={**environment, **keywords.pop("env", {})}, **keywords,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{arguments}: {done.returncode}: {done.stderr}"
        return done

    def run(self, script: str, *, check: bool = True, **keywords: Any) -> subprocess.CompletedProcess[str]:
        """Runs a container of his in the foreground."""
        self.bundle.shell(script)
        self.bundle.write()
        return self("run", "once", check=check, **keywords)


@pytest.fixture
def person() -> Iterator[Person]:
    """The user; nothing of his containers may remain."""
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    # Not below pytest's own directory, which lets nobody else in.
    with tempfile.TemporaryDirectory(prefix="wless", dir="/var/tmp") as directory:
        Path(directory).chmod(0o755)
        one = Person(Path(directory) / "home")
        yield one
        for name in one("list", "--quiet").stdout.split():
            one("delete", "--force", name)
        remaining = [path.name for path in one.place.glob("run/wherry/runtime/*") if path.name != ".seccomp"]
        assert remaining == []


def test_a_container_of_an_ordinary_user(person: Person) -> None:
    done = person.run(
        "id -u; cat /proc/self/uid_map /proc/self/setgroups; hostname; touch /tmp/made; "
        "echo x >/dev/null && echo null; ls -d /dev/pts/ptmx; grep CapEff /proc/self/status"
    )
    seen = done.stdout.split()
    assert seen[:5] == ["0", "0", str(USER), "1", "deny"]
    assert seen[5:8] == ["inside", "null", "/dev/pts/ptmx"]
    assert int(seen[-1], 16) == sum(1 << bit for bit in (0, 5, 6, 7, 27, 13))
    assert (person.bundle.rootfs / "tmp" / "made").stat().st_uid == USER


def test_root_of_his_user_namespace_has_containers_too(person: Person) -> None:
    """As podman does it: the namespace is the caller's, groups cannot be dropped in it, and the container has none."""
    person.bundle.linux["namespaces"] = [one for one in person.bundle.linux["namespaces"] if one["type"] != "user"]
    for name in ("uidMappings", "gidMappings"):
        del person.bundle.linux[name]
    person.bundle.shell("id -u; cat /proc/self/uid_map /proc/self/setgroups")
    person.bundle.write()
    own = ("unshare", "--user", "--map-root-user", "--mount")
    root = ("--root", str(person.place / "run" / "own"))
    done = subprocess.run(
        person.command(*own, str(person.program), *root, "run", "once"), cwd=person.bundle.path,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (["0", "0", str(USER), "1", "deny"], "")


def test_what_he_may_not_read_stays_unread(person: Person) -> None:
    secret = person.place / "secret"
    secret.write_text("of root")
    secret.chmod(0o600)
    person.bundle.mount("/tmp/secret", str(secret))
    done = person.run("cat /tmp/secret; id -u", check=False)
    assert "of root" not in done.stdout
    assert "ermission denied" in done.stderr


def test_binds_of_his_own_are_mounted_as_asked(person: Person) -> None:
    own = person.place / "own"
    own.mkdir()
    (own / "file").write_text("mine")
    os.chown(own, USER, USER)
    person.bundle.mount("/tmp/own", str(own), "ro")
    done = person.run("cat /tmp/own/file; touch /tmp/own/new || echo read-only")
    assert done.stdout == "mineread-only\n"


def test_life_of_his_container(person: Person) -> None:
    person.bundle.shell("sleep 1000")
    person.bundle.write()
    person("run", "--detach", "kept", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    state = json.loads(person("state", "kept").stdout)
    assert state["status"] == "running"
    assert Path(f"/proc/{state['pid']}").stat().st_uid == USER
    assert person("exec", "kept", "id", "-u").stdout == "0\n"
    assert person("exec", "--tty", "kept", "tty").stdout.strip() == "/dev/pts/0"
    refused = person("exec", "--additional-gids", "7", "kept", "true", check=False)
    assert "additionalGids" in refused.stderr
    person("kill", "--all", "kept", "KILL")
    wait_until(lambda: json.loads(person("state", "kept").stdout)["status"] == "stopped", "it does not stop")
    person("delete", "kept")


def test_a_terminal_of_his(person: Person) -> None:
    person.bundle.process["terminal"] = True
    done = person.run("tty")
    assert done.stdout.strip() == "/dev/pts/0"


def test_hooks_run_as_him(person: Person) -> None:
    out = person.place / "hook"
    person.bundle.config["hooks"] = {
        "createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", f"/usr/bin/id -u >{out}"]}]
    }
    person.run("true")
    assert out.read_text().strip() == str(USER)


def test_limits_without_a_delegated_group_are_refused(person: Person) -> None:
    person.bundle.linux["resources"] = {"pids": {"limit": 10}}
    assert "no limits without control groups" in person.run("true", check=False).stderr
    person.bundle.linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    person.run("true")
    person.bundle.linux["cgroupsPath"] = "/somewhere"
    assert "Permission denied" in person.run("true", check=False).stderr


def test_a_group_that_may_not_be_made_is_an_error_when_told_not_to_be_rootless(person: Person) -> None:
    person.bundle.shell("true")
    person.bundle.write()
    done = person("--rootless", "false", "run", "once", check=False)
    assert done.returncode == 1
    assert "Permission denied" in done.stderr
    assert "--rootless: maybe" in person("--rootless", "maybe", "list", check=False).stderr


def test_without_a_place_of_his_own_the_root_must_be_named(person: Person) -> None:
    done = person("list", check=False, env={"XDG_RUNTIME_DIR": ""})
    assert "--root or XDG_RUNTIME_DIR" in done.stderr
    assert person("--root", str(person.place / "other"), "list", "--quiet").stdout == ""


def test_more_than_his_own_id_needs_the_programs_for_that(person: Person) -> None:
    two = [*person.bundle.linux["uidMappings"], {"containerID": 1, "hostID": 300000, "size": 5}]
    person.bundle.linux["uidMappings"] = two
    done = person.run("true", check=False, env={"PATH": "/nonexistent"})
    assert "newuidmap" in done.stderr


def test_the_programs_for_mappings_are_used(person: Person, tmp_path: Path) -> None:
    if not (TOOLS / "newuidmap").exists():
        pytest.skip("newuidmap is not in .tools (scripts/test fetches it)")
    # A user database of his own, in a mount namespace of his own.
    upper, work = tmp_path / "upper", tmp_path / "work"
    upper.mkdir()
    work.mkdir()
    for name, line in {
        "passwd": "person:x:{0}:{0}::/:/bin/sh",
        "subuid": "person:300000:10",
        "subgid": "person:300000:10",
    }.items():
        (upper / name).write_text(line.format(USER) + "\n")
    mappings = [{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": 300000, "size": 10}]
    person.bundle.linux.update(uidMappings=mappings, gidMappings=mappings)
    person.bundle.process["user"] = {"uid": 3, "gid": 4, "additionalGids": [5]}
    person.bundle.shell("id; cat /proc/self/setgroups")
    person.bundle.write()
    database = f"mount -t overlay -o lowerdir=/etc,upperdir={upper},workdir={work} overlay /etc; "
    command = [one for one in person.command(str(person.program), "run", "once") if one != "--no-new-privs"]
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{database}exec "$@"', "sh", *command], cwd=person.bundle.path, text=True,
        capture_output=True, timeout=30, stdin=subprocess.DEVNULL,
        env={"PATH": f"{TOOLS}:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(person.place / "run")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "uid=3 gid=4 groups=5" in done.stdout
    assert "allow" in done.stdout


def test_a_delegated_group_is_used(person: Person) -> None:
    parent = CGROUPS / "pids" / f"wherry-rootless-{os.getpid()}"
    if not (CGROUPS / "pids").exists():
        pytest.skip("no v1 hierarchy of pids")
    made = []
    try:
        for hierarchy in CGROUPS.iterdir():
            directory = hierarchy / parent.name
            directory.mkdir()
            made.append(directory)
            for path in (directory, *directory.iterdir()):
                os.chown(path, USER, USER)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (directory / name).exists():
                    (directory / name).write_text((directory.parent / name).read_text())
        person.bundle.linux["cgroupsPath"] = f"/{parent.name}/his"
        person.bundle.linux["resources"] = {"pids": {"limit": 12}}
        seen = person.run(f"cat /proc/self/cgroup; cat {CGROUPS}/pids/{parent.name}/his/pids.max || true").stdout
        assert f":pids:/{parent.name}/his" in seen
    finally:
        for directory in made:
            directory.rmdir()


def test_a_configuration_to_start_from(person: Person) -> None:
    person("spec", "--rootless")
    written = json.loads((person.bundle.path / "config.json").read_text())
    assert written["linux"]["uidMappings"] == [{"containerID": 0, "hostID": USER, "size": 1}]
    assert "resources" not in written["linux"]
    written["process"]["terminal"] = False
    (person.bundle.path / "config.json").write_text(json.dumps(written))
    assert person("run", "once", stdin=None, input="id -u; exit 3\n", check=False).returncode == 3


def test_the_monitor_serves_him(person: Person) -> None:
    monitor = person.place / "wherry-monitor"
    shutil.copy(MONITOR, monitor)
    person.bundle.shell("echo logged; exit 4")
    person.bundle.write()
    state, log = person.place / "state", person.place / "log"
    state.mkdir()
    os.chown(state, USER, USER)
    root = person.place / "run" / "wherry" / "runtime"
    command = person.command(
        str(monitor), "--id", "watched", "--bundle", str(person.bundle.path), "--runtime", str(person.program),
        "--runtime-root", str(root), "--state-dir", str(state), "--log-driver", "json-file", "--log-path", str(log),
        "--ready-fd", "3",
    )  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", 'exec 3>&1; exec "$@"', "sh", *command], capture_output=True, text=True, timeout=30,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert json.loads(done.stdout)["ok"] is True, done.stdout
    assert json.loads((state / "state.json").read_text())["status"] == "created"
    pid = json.loads((state / "state.json").read_text())["monitor_pid"]
    assert Path(f"/proc/{pid}").stat().st_uid == USER
    person("start", "watched")
    wait_until(lambda: json.loads((state / "state.json").read_text())["status"] == "exited", "it does not end")
    assert json.loads((state / "state.json").read_text())["exit_code"] == 4
    assert "logged" in log.read_text()
