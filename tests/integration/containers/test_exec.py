"""docker exec: streams, users, codes, terminals, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator

import docker as docker_py
import pytest

from tests.integration.containers.conftest import ask, eventually
from tests.integration.support.private_agent import PrivateAgent


@pytest.fixture
def running(agent: PrivateAgent, busybox: str, name: str) -> Iterator[str]:
    """A container that waits."""
    agent.docker("run", "--detach", "--name", name, "--env", "A=1", "--user", "app", busybox, "sleep", "1000")
    yield name


def test_streams_and_exit_code(agent: PrivateAgent, running: str) -> None:
    done = agent.docker("exec", running, "sh", "-c", "echo out; echo err >&2; exit 42", check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 42)


def test_input_is_carried_to_its_end(agent: PrivateAgent, running: str) -> None:
    data = bytes(range(256)) * 2000
    assert agent.docker("exec", "-i", running, "cat", input=data).stdout == data


def test_short_commands_never_lose_output(agent: PrivateAgent, running: str) -> None:
    assert [agent.out("exec", running, "echo", str(number)) for number in range(15)] == [str(n) for n in range(15)]


def test_docker_py_gets_the_output_of_short_commands(api: docker_py.DockerClient, running: str) -> None:
    container = api.containers.get(running)
    assert [container.exec_run(["echo", str(number)]).output for number in range(15)] == [
        b"%d\n" % n for n in range(15)
    ]


def test_user_directory_and_environment(agent: PrivateAgent, running: str) -> None:
    script = "echo $(id -u) $(id -G) $A $B $(pwd)"
    assert agent.out("exec", running, "sh", "-c", script) == "1000 1000 2000 1 /"
    changed = agent.out("exec", "-u", "root", "-e", "B=2", "-w", "/tmp", running, "sh", "-c", script)
    assert changed == "0 0 1 2 /tmp"


@pytest.mark.parametrize(("command", "code"), [("no-such-program", 127), ("/etc/passwd", 126)])
def test_what_cannot_be_run_has_its_code(agent: PrivateAgent, running: str, command: str, code: int) -> None:
    done = agent.docker("exec", running, command, check=False)
    assert done.returncode == code
    assert b"OCI runtime exec failed" in done.stdout


def test_terminal(agent: PrivateAgent, running: str) -> None:
    assert b"/dev/pts/" in agent.docker("exec", "-t", running, "tty").stdout


def test_detached_process_runs_and_is_inspected(api: docker_py.DockerClient, running: str) -> None:
    created = api.api.exec_create(running, ["sh", "-c", "sleep 0.3; exit 9"])
    assert api.api.exec_inspect(created["Id"])["Running"] is False
    api.api.exec_start(created["Id"], detach=True)
    shown = api.api.exec_inspect(created["Id"])
    assert (shown["Running"], shown["ExitCode"]) == (True, None)
    assert created["Id"] in api.containers.get(running).attrs["ExecIDs"]
    eventually(lambda: api.api.exec_inspect(created["Id"])["ExitCode"] == 9)
    with pytest.raises(docker_py.errors.APIError, match="has already run"):
        api.api.exec_start(created["Id"])


def test_exec_is_as_confined_as_the_container(agent: PrivateAgent, running: str) -> None:
    script = "grep -E 'Cap(Inh|Bnd)|Seccomp:' /proc/self/status; ls /proc/self/fd | wc -l"
    shown = agent.out("exec", "-u", "0", running, "sh", "-c", script).split()
    assert shown[1::2][:3] == ["0" * 16, "00000000a80425fb", "2"]


def test_exec_needs_a_running_container(agent: PrivateAgent, running: str) -> None:
    agent.docker("pause", running)
    assert b"is paused" in agent.docker("exec", running, "true", check=False).stderr
    agent.docker("unpause", running)
    agent.docker("stop", "--time", "0", running)
    assert b"is not running" in agent.docker("exec", running, "true", check=False).stderr


def test_the_start_request_says_how_the_output_is_sent(api: docker_py.DockerClient, busybox: str, name: str) -> None:
    api.containers.run(busybox, ["sleep", "60"], detach=True, name=name)
    session = api.api.exec_create(name, ["printf", "on a terminal"], tty=True)
    # docker-py takes the output apart unless it asks for a terminal here too.
    assert api.api.exec_start(session["Id"]) == b"on a terminal"


def test_keys_are_known_in_any_case(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "60")
    status, answer = ask(
        agent, "POST", f"/containers/{name}/exec", {"cmd": ["true"], "detachKeys": "ctrl-x", "tty": True}
    )
    assert status == 201
    session = ask(agent, "GET", f"/exec/{answer['Id']}/json")[1]
    assert (session["DetachKeys"], session["ProcessConfig"]["tty"]) == ("ctrl-x", True)
    status, answer = ask(agent, "POST", "/containers/create", {"image": busybox, "hostconfig": {"memory": 1}})
    assert (status, "emory" in answer["message"]) == (400, True)
