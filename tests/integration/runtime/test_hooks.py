"""Hooks: all six, where and when they run, what they read, and what their failure does."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of, wait_until

KINDS = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]


def _hook(script: str, **fields: Any) -> dict[str, Any]:
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"], **fields}


def _record(tmp_path: Path, kind: str) -> dict[str, Any]:
    """A hook that keeps what it reads, and its namespaces. startContainer runs with the container's files."""
    place = "" if kind == "startContainer" else tmp_path
    return _hook(f"cat > {place}/{kind}.state; readlink /proc/self/ns/uts > {place}/{kind}.uts")


def test_every_hook_runs_in_its_place_and_reads_the_state(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["annotations"] = {"key": "value"}
    bundle.config["hooks"] = {kind: [_record(tmp_path, kind)] for kind in KINDS}
    bundle.shell("readlink /proc/self/ns/uts; sleep 1000")
    runtime.create()
    made = {path.stem for path in tmp_path.glob("*.state")}
    assert made == {"prestart", "createRuntime", "createContainer"}
    assert not (bundle.rootfs / "startContainer.state").exists()
    pid = runtime.state()["pid"]
    runtime("start", "kept")
    wait_until(runtime.text, "the program does not run")
    assert (tmp_path / "poststart.state").exists()
    runtime("delete", "--force", "kept")

    own, inside = namespace_of("self", "uts"), runtime.text().strip()
    for kind in KINDS:
        place = bundle.rootfs if kind == "startContainer" else tmp_path
        state = json.loads((place / f"{kind}.state").read_text())
        assert state["id"] == "kept"
        assert state["bundle"] == str(bundle.path)
        assert state["annotations"] == {"key": "value"}
        assert state["pid"] == (0 if kind == "poststop" else pid)
        where = (place / f"{kind}.uts").read_text().strip()
        assert where == (inside if kind in {"createContainer", "startContainer"} else own), kind


@pytest.mark.parametrize(("kind", "status"), [
    ("prestart", "creating"), ("createRuntime", "creating"), ("createContainer", "creating"),
    ("startContainer", "created"), ("poststart", "running"), ("poststop", "stopped"),
])  # fmt: skip
def test_the_state_names_the_status_of_its_time(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, status: str
) -> None:
    bundle.config["hooks"] = {kind: [_record(tmp_path, kind)]}
    runtime.run("true")
    place = bundle.rootfs if kind == "startContainer" else tmp_path
    assert json.loads((place / f"{kind}.state").read_text())["status"] == status


def test_create_runtime_hooks_see_the_containers_network_namespace(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    script = f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net > {tmp_path}/net"
    bundle.config["hooks"] = {"createRuntime": [_hook(script)]}
    assert runtime.output("readlink /proc/self/ns/net") == (tmp_path / "net").read_text().strip()


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "createContainer"])
def test_a_hook_that_fails_undoes_the_creation(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    bundle.config["hooks"] = {kind: [_hook("exit 3")]}
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert f"{kind} hook /bin/sh: exit status 3" in done.stderr
    assert not (runtime.root / "kept").exists()


def test_a_start_hook_that_fails_ends_the_container(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {"startContainer": [_hook("exit 3")], "poststop": [_hook(f"touch {tmp_path}/stopped")]}
    bundle.shell("echo ran")
    runtime.create()
    done = runtime("start", "kept", check=False)
    assert done.returncode == 1
    assert "startContainer hook /bin/sh: exit status 3" in done.stderr
    assert "does not exist" in runtime("state", "kept", check=False).stderr
    assert (tmp_path / "stopped").exists()
    assert "ran" not in runtime.text()


def test_a_container_that_is_killed_in_its_start_hook_is_told_by_start(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"startContainer": [_hook("touch /begun; exec sleep 1000")]}
    runtime.create()
    start = subprocess.Popen(runtime.command("start", "kept"), stderr=subprocess.PIPE, text=True)
    wait_until((bundle.rootfs / "begun").exists, "the hook does not run")
    runtime("kill", "kept", "KILL")
    _, errors = start.communicate(timeout=20)
    assert start.returncode == 1
    assert "ended while it was being started" in errors


def test_hooks_run_one_after_the_other_in_the_order_of_the_specification(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    log.touch()
    bundle.mount("/log", str(log))
    bundle.config["hooks"] = {
        kind: [_hook(f"echo {kind}{i} >> {'/log' if kind == 'startContainer' else log}") for i in (1, 2)]
        for kind in reversed(KINDS)
    }
    runtime.run("echo program >> /log; sleep 0.2")
    words = log.read_text().split()
    assert words[:8] == [f"{kind}{i}" for kind in KINDS[:4] for i in (1, 2)]
    assert sorted(words[8:11]) == ["poststart1", "poststart2", "program"]
    assert words[11:] == ["poststop1", "poststop2"]


def test_poststart_hooks_find_the_program_running(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    script = f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); tr '\\0' ' ' < /proc/$pid/cmdline > {tmp_path}/found"
    bundle.config["hooks"] = {"startContainer": [_hook("sleep 0.3")], "poststart": [_hook(script)]}
    bundle.process["args"] = ["sleep", "1000"]
    runtime.create()
    runtime("start", "kept")
    assert (tmp_path / "found").read_text() == "sleep 1000 "


def test_poststop_hooks_run_when_nothing_is_left_of_the_container(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    words = " ".join(f"'{word}'" for word in runtime.command("state", "kept"))
    bundle.config["hooks"] = {"poststop": [_hook(f"{words} > {tmp_path}/out 2> {tmp_path}/errors; true")]}
    runtime.start()
    runtime("delete", "--force", "kept")
    assert "container kept does not exist" in (tmp_path / "errors").read_text()


def test_a_hook_that_takes_too_long_is_killed(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [_hook("exec sleep 1000", timeout=1)]}
    begin = time.monotonic()
    done = runtime.create(check=False)
    assert "killed after 1 seconds" in done.stderr
    assert time.monotonic() - begin < 5


def test_the_time_of_a_hook_runs_while_it_does_not_read_its_input(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"long": "x" * 200000}
    bundle.config["hooks"] = {"createRuntime": [_hook("exec sleep 1000", timeout=1)]}
    assert "killed after 1 seconds" in runtime.create(check=False).stderr


def test_what_a_hook_has_started_ends_with_its_time(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    script = f"sleep 1000 & echo $! > {tmp_path}/pid; wait"
    bundle.config["hooks"] = {"createRuntime": [_hook(script, timeout=1)]}
    assert "killed after 1 seconds" in runtime.create(check=False).stderr
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes(),
               "it runs on")  # fmt: skip


def test_a_hook_that_does_not_read_its_input_is_no_failure(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"long": "x" * 200000}
    bundle.config["hooks"] = {"createRuntime": [_hook("exec <&-; exit 0")]}
    runtime.run("true")


@pytest.mark.parametrize("kind", ["prestart", "createRuntime"])
def test_a_hook_that_enters_the_mount_namespace_finds_the_root_where_the_host_has_it(
    runtime: Runtime, bundle: Bundle, kind: str
) -> None:  # as hooks that add libraries and devices do
    (bundle.path / "added").write_text("added by a hook\n")
    (bundle.rootfs / "etc" / "target").touch()
    pid = r"""pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/')"""
    enter = f"nsenter --mount --target $pid mount --bind {bundle.path}/added {bundle.rootfs}/etc/target"
    bundle.config["hooks"] = {kind: [_hook(f"{pid}; {enter}")]}
    assert runtime.output("cat /etc/target; ls / | grep -c var/tmp || true").splitlines() == ["added by a hook", "0"]
    assert (bundle.rootfs / "etc" / "target").read_text() == "", "it shows on the host"


def test_a_root_that_a_user_namespace_may_not_go_to_is_none_the_less_a_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.user_namespace()
    bundle.path.chmod(0o700)
    bundle.config["hooks"] = {"createRuntime": [_hook("true")]}
    assert runtime.output("id -u; ls -d /bin/busybox").split() == ["0", "/bin/busybox"]


def test_hooks_run_in_the_bundle_and_those_of_the_container_in_its_root(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    bundle.process["cwd"] = "/tmp"
    hooks = {kind: [_hook(f"pwd > {'/seen' if kind == 'startContainer' else tmp_path}/{kind}.cwd")] for kind in KINDS}
    bundle.mount("/seen", str(tmp_path), "rw")
    bundle.config["hooks"] = hooks
    runtime.run("true", cwd="/")
    seen = {kind: (tmp_path / f"{kind}.cwd").read_text().strip() for kind in KINDS}
    inside = {"createContainer": str(bundle.rootfs), "startContainer": "/tmp"}
    assert seen == {kind: inside.get(kind, str(bundle.path)) for kind in KINDS}


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_start_hooks_are_under_the_containers_filter(runtime: Runtime, bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    denied = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EXFULL}
    # What Docker's default filter says of clone3, because a filter cannot see its flags.
    absent = {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied, absent]}
    bundle.config["hooks"] = {"startContainer": [_hook("mkdir /tmp/made 2>/tmp/said; true")]}
    assert "Exchange full" in runtime.output("cat /tmp/said")
    assert not (bundle.rootfs / "tmp" / "made").exists()


@pytest.mark.parametrize(
    ("kind", "named", "expected"),
    [
        ("createRuntime", ["NAMED=1"], {"NAMED": "1"}),
        ("createRuntime", [], {}),
        ("createRuntime", None, {"CALLER": "1"}),  # as runc and crun have it
        ("poststop", None, {"CALLER": "1"}),
        ("createContainer", None, {}),  # in the container's namespaces: its processes could read it
    ],
)
def test_a_hook_has_the_environment_that_is_named_and_no_descriptors(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, named: list[str] | None, expected: dict[str, str]
) -> None:
    program = "import json, os; print(json.dumps([dict(os.environ), sorted(map(int, os.listdir('/proc/self/fd')))]))"
    hook: dict[str, Any] = _hook(f'exec {sys.executable} -c "{program}" > {tmp_path}/seen')
    hook["env"] = named  # null is absent
    bundle.config["hooks"] = {kind: [hook]}
    runtime.run("true", env={"CALLER": "1"})
    environment, descriptors = json.loads((tmp_path / "seen").read_text())
    assert {name: value for name, value in environment.items() if name in ("NAMED", "CALLER")} == expected
    assert descriptors == [0, 1, 2, 3]


def test_poststop_hooks_run_when_a_hook_fails_the_creation(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {"createRuntime": [_hook("exit 3")], "poststop": [_hook(f"touch {tmp_path}/stopped")]}
    runtime.create(check=False)
    assert (tmp_path / "stopped").exists()


def test_a_poststop_hook_that_fails_does_not_keep_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"poststop": [_hook("exit 3")]}
    runtime.run("true")
    assert "poststop hook /bin/sh: exit status 3" in runtime.log.read_text()


@pytest.mark.parametrize("hook", [{"path": "relative"}, {}, {"path": "/x", "timeout": 0}])
def test_a_malformed_hook_is_refused_by_name(runtime: Runtime, bundle: Bundle, hook: dict[str, Any]) -> None:
    bundle.config["hooks"] = {"prestart": [hook]}
    assert "hooks.prestart[0]" in runtime.create(check=False).stderr


@pytest.mark.parametrize("version", ["1.0.2", "1.2.0"])
def test_a_poststart_hook_that_fails_was_a_warning_until_version_1_2_0(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, version: str
) -> None:
    bundle.config["ociVersion"] = version
    bundle.config["hooks"] = {"poststart": [_hook("exit 3"), _hook(f"touch {tmp_path}/second")]}
    runtime.start()
    assert runtime.state()["status"] == "running"
    assert (tmp_path / "second").exists()
    assert "poststart hook /bin/sh: exit status 3" in runtime.log.read_text()


@pytest.mark.parametrize("version", ["1.2.1", "1.3.0"])
def test_a_poststart_hook_that_fails_ends_the_container_since_version_1_2_1(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, version: str
) -> None:
    bundle.config["ociVersion"] = version
    bundle.config["hooks"] = {
        "poststart": [_hook("exit 3"), _hook(f"touch {tmp_path}/second")],
        "poststop": [_hook(f"echo >> {tmp_path}/stopped")],
    }
    bundle.shell("sleep 1000")
    runtime.create()
    done = runtime("start", "kept", check=False)
    assert done.returncode == 1
    assert "poststart hook /bin/sh: exit status 3" in done.stderr
    assert "does not exist" in runtime("state", "kept", check=False).stderr
    done = runtime.run(check=False)
    assert done.returncode == 1
    assert "poststart hook /bin/sh: exit status 3" in done.stderr
    assert not (tmp_path / "second").exists()
    assert (tmp_path / "stopped").read_text() == "\n\n"


@pytest.mark.parametrize("kind", ["createContainer", "startContainer"])
def test_poststop_hooks_follow_the_failure_of_any_hook(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    bundle.config["hooks"] = {kind: [_hook("exit 3")], "poststop": [_hook(f"touch {tmp_path}/stopped")]}
    done = runtime.run("true", check=False)
    assert f"{kind} hook /bin/sh: exit status 3" in done.stderr
    assert (tmp_path / "stopped").exists()


def test_a_configuration_that_cannot_be_had_runs_no_hook(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.config["hooks"] = {kind: [_hook(f"touch {tmp_path}/{kind}.ran")] for kind in KINDS}
    bundle.linux["cgroupsPath"] = "/../x"
    assert runtime.create(check=False).returncode == 1
    assert list(tmp_path.glob("*.ran")) == []
