"""What a caller hands over to the runtime and is handed: descriptors, sockets, sub-groups, names of files."""

from __future__ import annotations

import array
import os
import pty
import select
import socket
import struct
import subprocess
import termios
from fcntl import ioctl
from pathlib import Path

import pytest

from tests.integration.runtime.harness import CGROUPS, Bundle, Runtime, wait_until

SHOW_SOCKETS = "env | grep ^LISTEN | sort; for n in 3 4 5; do [ -e /proc/self/fd/$n ] && echo open $n; done; true"


def _run_with(runtime: Runtime, variables: dict[str, str], descriptors: int) -> str:
    """Runs the container in a shell that opens so many descriptors from 3 on; its own number is $$."""
    opened = "".join(f"exec {number}</dev/null; " for number in range(3, 3 + descriptors))
    settings = "".join(f"export {name}={value}; " for name, value in variables.items())
    command = runtime.command("run", "--bundle", str(runtime.bundle.path), "once")
    done = subprocess.run(
        ["sh", "-c", f'{opened}{settings}exec "$@"', "sh", *command], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("pid", [{}, {"LISTEN_PID": "$$"}])
def test_listening_sockets_are_passed_on(runtime: Runtime, bundle: Bundle, pid: dict[str, str]) -> None:
    bundle.shell(SHOW_SOCKETS)
    bundle.write()
    seen = _run_with(runtime, {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "one:two", **pid}, 3)
    assert seen.split("\n")[:5] == ["LISTEN_FDNAMES=one:two", "LISTEN_FDS=2", "LISTEN_PID=1", "open 3", "open 4"]


def test_listening_sockets_of_another_process_are_not(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell(SHOW_SOCKETS)
    bundle.write()
    assert "LISTEN" not in _run_with(runtime, {"LISTEN_FDS": "2", "LISTEN_PID": "1"}, 2)


def test_a_preserved_descriptor_that_is_not_there_is_told(runtime: Runtime, bundle: Bundle) -> None:
    bundle.write()
    done = runtime("run", "--preserve-fds", "2", "-b", str(bundle.path), "once", check=False)
    assert done.returncode == 1
    assert "preserved-fd 0 (of 2)" in done.stderr


def _receive_pidfd(listener: socket.socket) -> tuple[str, int]:
    connection, _ = listener.accept()
    text, control, *_ = connection.recvmsg(100, socket.CMSG_SPACE(4))
    connection.close()
    return text.decode(), array.array("i", control[0][2])[0]


def _pid_of(pidfd: int) -> int:
    for line in Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError(f"{pidfd} is no pidfd")


def test_a_pidfd_is_sent_to_its_socket(runtime: Runtime, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        runtime.create("kept", "--pidfd-socket", str(tmp_path / "s"))
        name, pidfd = _receive_pidfd(listener)
        assert (name, _pid_of(pidfd)) == ("standard", runtime.state()["pid"])
        os.close(pidfd)
        runtime("start", "kept")
        runtime("delete", "--force", "kept")
        runtime.start()
        options = ("--detach", "--pid-file", str(tmp_path / "pid"), "--pidfd-socket", str(tmp_path / "s"))
        runtime("exec", *options, "kept", "sleep", "1000", stdout=subprocess.DEVNULL)
        name, pidfd = _receive_pidfd(listener)
        assert (name, _pid_of(pidfd)) == ("setns", int((tmp_path / "pid").read_text()))
        os.close(pidfd)


def test_the_last_of_two_variables_of_one_name_counts(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["env"] = ["A=1", "PATH=/bin", "B=2", "A=3", "A_=4"]
    assert sorted(runtime.output("env | grep ^[AB]").split()) == ["A=3", "A_=4", "B=2"]
    runtime.start()
    assert runtime("exec", "--env", "A=5", "kept", "sh", "-c", "echo $A").stdout == "5\n"


def test_a_terminal_has_its_size_from_the_first_moment_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.shell("stty size; sleep 0.2")
    bundle.write()
    master, slave = pty.openpty()
    ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 44, 0, 0))
    command = runtime.command("run", "-b", str(bundle.path), "once")
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = b""
    while b"\n" not in seen and select.select([master], [], [], 10)[0]:
        seen += os.read(master, 1000)
    assert seen.split(b"\r")[0] == b"33 44"
    assert process.wait(10) == 0
    os.close(master)


def test_exec_can_go_to_a_group_below_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    runtime.start()
    below = CGROUPS / "pids" / bundle.linux["cgroupsPath"].lstrip("/") / "below"
    if not below.parent.exists():
        pytest.skip("no v1 hierarchy of pids")
    below.mkdir()
    seen = runtime("exec", "--cgroup", "pids:/below", "kept", "cat", "/proc/self/cgroup").stdout.splitlines()
    assert [line.split(":")[1] for line in seen if line.endswith("/below")] == ["pids"]
    everywhere = runtime("exec", "--cgroup", "/", "kept", "cat", "/proc/self/cgroup").stdout
    assert "below" not in everywhere


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("..", "bad sub cgroup path"),
        ("pids:a/../../b", "bad sub cgroup path"),
        ("nosuch:/", "unknown controller nosuch"),
        ("nonexistent", "No such file or directory"),
    ],
)
def test_a_group_that_is_none_below_the_containers_is_refused(runtime: Runtime, group: str, words: str) -> None:
    runtime.start()
    done = runtime("exec", "--cgroup", group, "kept", "true", check=False)
    assert done.returncode == 255
    assert words in done.stderr


def test_exec_into_a_paused_container_waits_for_its_resume_where_that_is_wanted(runtime: Runtime) -> None:
    runtime.start()
    runtime("pause", "kept")
    refused = runtime("exec", "kept", "true", check=False)
    assert "cannot exec in a paused container" in refused.stderr
    command = runtime.command("exec", "--ignore-paused", "kept", "echo", "inside")
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.poll() is None
    runtime("resume", "kept")
    assert process.communicate(timeout=10)[0] == "inside\n"


@pytest.mark.parametrize(
    ("option", "field"), [("--process-label", "process.selinuxLabel"), ("--apparmor", "process.apparmorProfile")]
)
def test_labels_that_cannot_be_given_are_refused_by_name(runtime: Runtime, option: str, field: str) -> None:
    runtime.start()
    assert field in runtime("exec", option, "label", "kept", "true", check=False).stderr


def test_a_log_that_cannot_be_written_is_told_before_anything_is_begun(runtime: Runtime, tmp_path: Path) -> None:
    runtime.bundle.write()
    runtime.log = tmp_path / "missing" / "log"
    done = runtime("create", "--bundle", str(runtime.bundle.path), "kept", check=False)
    runtime.log = tmp_path / "log.json"
    assert done.returncode == 1
    assert "--log: open" in done.stderr
    assert runtime("list", "--quiet").stdout == ""


def test_no_subreaper_is_taken(runtime: Runtime, bundle: Bundle) -> None:
    bundle.write()
    runtime("run", "--no-subreaper", "-b", str(bundle.path), "once")


def test_a_created_container_can_be_paused(runtime: Runtime) -> None:
    runtime.create()
    runtime("pause", "kept")
    assert runtime.state()["status"] == "paused"
    assert "cannot start a paused container" in runtime("start", "kept", check=False).stderr
    runtime("resume", "kept")
    assert runtime.state()["status"] == "created"
    runtime("start", "kept")


def test_a_container_without_a_process_is_created_and_never_started(runtime: Runtime, bundle: Bundle) -> None:
    process = bundle.config.pop("process")
    runtime.create()
    assert runtime.state()["status"] == "created"
    done = runtime("start", "kept", check=False)
    assert done.returncode == 1
    assert "has no process" in done.stderr
    assert runtime.state()["status"] == "created"
    assert "process: must be set" in runtime.run(check=False).stderr
    runtime("kill", "kept", "KILL")
    wait_until(lambda: runtime.state()["status"] == "stopped", "it does not stop")
    runtime("delete", "kept")
    bundle.config["process"] = process


def test_a_failing_hook_says_nothing_in_the_containers_name(runtime: Runtime, bundle: Bundle) -> None:
    hook = {"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}
    bundle.config["hooks"] = {"createRuntime": [hook]}
    lines = runtime.create(check=False).stderr.splitlines()
    assert lines == ["wherry-runtime: createRuntime hook /bin/sh: exit status 3"]


def test_a_joined_user_namespace_may_come_with_mappings(runtime: Runtime, bundle: Bundle) -> None:
    mappings = [{"containerID": 0, "hostID": 0, "size": 1000}]
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = mappings
    pid = runtime.start()
    bundle.namespace("user", f"/proc/{pid}/ns/user")
    bundle.linux["cgroupsPath"] += "-joined"
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}]
    assert runtime.output("cat /proc/self/uid_map").split() == ["0", "0", "1000"]
