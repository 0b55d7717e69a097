"""What a container gets of whoever starts it: nothing but what it was given."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.monitor.harness import Watched
from tests.integration.runtime.harness import Bundle, Runtime, wait_until
from tests.integration.security.conftest import Probe
from tests.integration.support.private_agent import PrivateAgent

SECRET = "WHERRY_TEST_SECRET"


# -- environment and descriptors


def test_nothing_of_the_agents_environment_or_files_reaches_a_container(rootfs_archive: Path) -> None:
    agent = PrivateAgent()
    agent.extra_environment = {SECRET: "token", "LD_PRELOAD": "", "DOCKER_AUTH_CONFIG": "{}"}
    with agent:
        agent.docker("import", str(rootfs_archive), "plain")
        name = "plain-one"
        script = "tr '\\0' '\\n' < /proc/1/environ; ls /proc/self/fd; ls /proc/1/fd; sleep 1000"
        agent.docker("run", "--detach", "--name", name, "--env", "MINE=1", "plain", "sh", "-c", script)
        wait_until(lambda: len(agent.out("logs", name).split()) >= 9, "no output")
        words = agent.out("logs", name).split()
        inside = agent.out("exec", name, "sh", "-c", "env; ls /proc/self/fd").split()
        agent.docker("rm", "--force", name)
        agent.docker("rmi", "plain")
    for found in (words, inside):
        assert {word.partition("=")[0] for word in found if "=" in word} <= {
            "PATH", "HOSTNAME", "HOME", "MINE", "PWD", "SHLVL", "TERM", "OLDPWD",
        }  # fmt: skip
        assert SECRET not in " ".join(found)
    # 3: the directory that ls reads; 10: the shell's own, of a script.
    assert {word for word in words if word.isdecimal()} <= {"0", "1", "2", "3", "10"}
    assert [word for word in inside if word.isdecimal()] == ["0", "1", "2", "3"]  # 3: the directory that ls reads


def test_an_environment_of_the_caller_is_not_the_containers(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["env"]
    bundle.write()
    done = subprocess.run(
        runtime.command("run", "-b", str(bundle.path), "once"), env={**os.environ, SECRET: "token"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert {line.partition("=")[0] for line in done.stdout.split()} == {"HOME", "PATH"}


# -- signals and terminals


def test_signals_to_the_callers_group_do_not_reach_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    bundle.write()
    command = runtime.command("run", "-d", "-b", str(bundle.path), "kept")
    starter = subprocess.Popen(
        ["sh", "-c", 'trap "" TERM; "$@"; sleep 1000', "sh", *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: runtime("state", "kept", check=False).returncode == 0, "no container")
    wait_until(lambda: runtime.state()["status"] == "running", "it does not run")
    pid = runtime.state()["pid"]
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    assert int(fields[2]) == int(fields[3]) == pid  # group and session
    assert int(fields[4]) == 0  # no controlling terminal
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    assert runtime.state()["status"] == "running"
    done = runtime("exec", "kept", "sh", "-c", "cut -d' ' -f1,5,6,7 /proc/self/stat; echo $$").stdout.split()
    shell = done[-1]
    assert done[1:4] == [shell, shell, "0"]


@pytest.mark.skipif(not Path("/proc/sys/dev/tty/legacy_tiocsti").exists(), reason="the kernel has taken TIOCSTI out")
@pytest.mark.parametrize("verb", ["run", "exec"])
def test_nothing_is_typed_into_the_callers_terminal(
    runtime: Runtime, bundle: Bundle, probe: Probe, verb: str, tmp_path: Path
) -> None:
    """With the terminal handed through as standard input, as a careless caller does; in a session that has it as
    its controlling terminal, and where a program of the caller's own could type."""
    shutil.copy(probe("terminal"), bundle.rootfs / "terminal")
    if verb == "exec":
        runtime.start()
        command = runtime.command("exec", "kept", "/terminal")
    else:
        bundle.process["args"] = ["/terminal"]
        bundle.write()
        command = runtime.command("run", "-b", str(bundle.path), "once")
    output = tmp_path / "typed"
    own = tmp_path / "own"

    pid, master = pty.fork()
    if pid == 0:
        script = '"$0" > "$1" < /dev/tty; shift; out=$1; shift; exec "$@" > "$out"'
        os.execvp("sh", ["sh", "-c", script, str(probe("terminal")), str(own), str(output), *command])
    wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, "it does not end")
    os.close(master)
    assert "typed" in own.read_text()  # the caller could
    assert output.read_text() == ""


# -- CVE-2020-15257


def test_no_abstract_socket_is_in_reach_of_a_container_on_the_hosts_network(agent: PrivateAgent, busybox: str) -> None:
    name = "on-host"
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1000")
    try:
        sockets = agent.out("run", "--rm", "--network", "host", busybox, "cat", "/proc/net/unix").splitlines()[1:]
    finally:
        agent.docker("rm", "--force", name)
    paths = [line.split()[7] for line in sockets if len(line.split()) > 7]
    assert any(path.endswith("wherry.sock") for path in paths)  # it is the host's list
    assert [path for path in paths if path.startswith("@")] == []


def test_control_sockets_are_files_that_only_root_reaches(agent: PrivateAgent, busybox: str) -> None:
    name = "controlled"
    container = agent.out("run", "--detach", "--name", name, busybox, "sleep", "1000")
    try:
        monitor = f"{agent.exec_root}/containers/{container}/monitor.sock"
        shown = agent.run("stat", "-c", "%a %u %F", monitor, str(agent.socket)).stdout.decode().splitlines()
        assert shown[0] == "600 0 socket"
        assert shown[1].split()[0] in {"600", "660"}
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        assert agent.run(*nobody, "stat", monitor, check=False).returncode == 1
        asked = ("curl", "-s", "--max-time", "3", "--unix-socket", str(agent.socket), "http://agent/_ping")
        assert agent.run(*nobody, *asked, check=False).returncode == 7  # "failed to connect"
        assert agent.run(*asked).stdout == b"OK"
    finally:
        agent.docker("rm", "--force", name)


async def test_a_monitor_asks_who_calls_even_when_its_socket_is_open_to_all(watched: Watched) -> None:
    client = await watched.spawn("sleep 100")
    await client.start()
    path = watched.options.state_dir / "monitor.sock"
    path.chmod(0o666)
    for directory in path.parents:
        if directory.stat().st_uid == 0 and not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
    script = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
directory = os.open(sys.argv[1], os.O_PATH | os.O_DIRECTORY)
one = socket.socket(socket.AF_UNIX); one.settimeout(5)
one.connect(f"/proc/self/fd/{directory}/monitor.sock")
try:
    one.sendall(bytes([7, 0, 0, 0, 0, 0, 0, 0]))  # SUBSCRIBE
    print(len(one.recv(4096)))
except OSError:
    print(0)
"""
    asked = [sys.executable, "-c", script, str(path.parent)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stdout == "0\n", done.stderr
    # Root is answered.
    as_root = script.replace("os.setgroups([]); os.setgid(65534); os.setuid(65534)", "")
    done = subprocess.run([sys.executable, "-c", as_root, str(path.parent)], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 8
