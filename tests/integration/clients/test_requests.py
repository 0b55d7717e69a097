"""What clients of Docker's own tests ask, and the words and codes that they get."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

import docker
import pytest

from tests.integration.containers.conftest import eventually
from tests.integration.support.private_agent import PrivateAgent

JSON_BODIES = (
    "/containers/create", "/containers/nobody/update", "/containers/nobody/exec", "/exec/nobody/start",
    "/networks/create", "/networks/bridge/connect", "/networks/bridge/disconnect", "/volumes/create",
)  # fmt: skip


def post(agent: PrivateAgent, path: str, body: str) -> tuple[int, str]:
    """Status and message of a request with a body of JSON, well formed or not."""
    connection = http.client.HTTPConnection("agent")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(agent.socket))
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    message = json.loads(answer.read())["message"]
    connection.close()
    return answer.status, message


@pytest.mark.parametrize("path", JSON_BODIES)
def test_what_is_no_json_is_told_before_all_else(agent: PrivateAgent, path: str) -> None:
    begin = "invalid JSON: "
    key = f"{begin}invalid character 'i' looking for beginning of object key string"
    assert post(agent, path, "{invalid json") == (400, key)
    assert post(agent, path, "") == (400, f"{begin}got EOF while reading request body")
    assert post(agent, path, '{"a": ]}') == (400, f"{begin}invalid character ']' looking for beginning of value")
    assert post(agent, path, '{"a": 1') == (400, f"{begin}unexpected EOF")


def test_lists_are_found_with_a_slash_at_the_end(agent: PrivateAgent) -> None:
    listed = agent.run("curl", "-s", "--unix-socket", str(agent.socket), "http://x/networks/").stdout
    assert {"bridge", "host", "none"} <= {network["Name"] for network in json.loads(listed)}


def test_a_container_is_found_by_the_name_of_a_link(agent: PrivateAgent, busybox: str) -> None:
    made = agent.out("run", "--detach", "--name", "linked-db", busybox, "sleep", "1000")
    try:
        agent.docker("run", "--detach", "--name", "linked-app", "--link", "linked-db:mysql", busybox, "sleep", "1000")
        agent.docker("rename", "linked-app", "linked-new")
        assert agent.out("inspect", "--format", "{{.Id}}", "linked-new/mysql") == made
        assert agent.docker("inspect", "linked-new/other", check=False).returncode == 1
    finally:
        agent.docker("rm", "--force", "linked-app", "linked-new", "linked-db", check=False)


def test_volumes_from_nobody_are_a_wrong_request(agent: PrivateAgent, busybox: str) -> None:
    wanted = json.dumps({"Image": busybox, "HostConfig": {"VolumesFrom": ["nobody"]}})
    assert post(agent, "/containers/create", wanted) == (400, "No such container: nobody")


def test_a_file_is_no_directory_to_copy_from_or_to(api: docker.DockerClient, agent: PrivateAgent, busybox: str) -> None:
    made = api.containers.create(busybox, "true")
    try:
        with pytest.raises(docker.errors.APIError, match="not a directory") as refused:
            made.get_archive("/etc/passwd/")
        assert refused.value.status_code == 400
        with pytest.raises(docker.errors.APIError, match="not a directory"):
            made.put_archive("/etc/passwd/", b"")
        with pytest.raises(docker.errors.NotFound):
            made.get_archive("/nothing/")
    finally:
        made.remove()


@pytest.mark.parametrize(
    ("version", "limit", "shown"), [("1.51", 0, 0), ("1.51", -2, 0), ("1.40", 32, 32), ("1.39", 32, 16)]
)
def test_limits_of_processes_are_lifted_by_an_update(
    agent: PrivateAgent, busybox: str, version: str, limit: int, shown: int
) -> None:
    name = agent.out("run", "--detach", "--pids-limit", "16", busybox, "sleep", "1000")
    try:
        body = json.dumps({"PidsLimit": limit})
        connection = http.client.HTTPConnection("agent")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(agent.socket))
        connection.request("POST", f"/v{version}/containers/{name}/update", body, {"Content-Type": "application/json"})
        assert connection.getresponse().status == 200
        connection.close()
        assert agent.out("inspect", "--format", "{{.HostConfig.PidsLimit}}", name) == str(shown)
        script = "cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"
        held = agent.out("exec", name, "sh", "-c", f"{{ {script}; }} 2>/dev/null")
        assert held == (str(shown) if shown else "max")
    finally:
        agent.docker("rm", "--force", name)


def test_hosts_in_the_hosts_network_are_the_hosts(agent: PrivateAgent, busybox: str, tmp_path: Path) -> None:
    shown = agent.out("run", "--rm", "--network", "host", "--add-host", "more:10.1.2.3", busybox, "cat", "/etc/hosts")
    assert shown.splitlines() == [*Path("/etc/hosts").read_text().splitlines(), "10.1.2.3\tmore"]


def test_a_kill_between_two_runs_ends_the_restarts(agent: PrivateAgent, busybox: str) -> None:
    name = agent.out("run", "--detach", "--restart", "always", busybox, "false")
    try:
        shown = ("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", name)
        eventually(lambda: agent.out(*shown).startswith("restarting") and int(agent.out(*shown).split()[1]) > 3)
        agent.docker("kill", name)
        eventually(lambda: agent.out(*shown).startswith("exited"))
    finally:
        agent.docker("rm", "--force", name)


def test_a_platform_that_nobody_knows_is_refused_before_the_pull(agent: PrivateAgent) -> None:
    done = agent.docker("pull", "--platform", "foobar", "busybox", check=False)
    assert b'"foobar": unknown operating system or architecture' in done.stderr


def test_changes_of_a_commit_name_the_containers_variables(agent: PrivateAgent, busybox: str) -> None:
    made = agent.out("create", "--env", "PATH=/bin", busybox, "true")
    image = agent.out("commit", "--change", "ENV PATH=/usr/bin:$PATH", made)
    try:
        assert agent.out("inspect", "--format", "{{json .Config.Env}}", image) == '["PATH=/usr/bin:/bin"]'
    finally:
        agent.docker("rm", made)
        agent.docker("rmi", image)


def test_events_until_a_time_are_those_that_have_been(agent: PrivateAgent, busybox: str) -> None:
    name = agent.out("create", busybox, "true")
    agent.docker("rm", name)
    until = agent.out("info", "--format", "{{.SystemTime}}")
    shown = agent.out("events", "--until", until, "--filter", f"container={name}", "--format", "{{.Action}}")
    assert shown.split() == ["create", "destroy"]


def test_a_list_names_an_image_by_id_when_its_name_went_to_another(agent: PrivateAgent, busybox: str) -> None:
    agent.docker("tag", busybox, "moving:1")
    made = agent.out("create", "moving:1", "true")
    other = agent.out("commit", made, "moving:1")
    try:
        shown = agent.out("ps", "--all", "--no-trunc", "--filter", f"id={made}", "--format", "{{.Image}}")
        assert shown == agent.out("inspect", "--format", "{{.Image}}", made)
    finally:
        agent.docker("rm", made)
        agent.docker("rmi", "moving:1", other, check=False)


def test_a_network_is_joined_by_way_of_another_container(agent: PrivateAgent, busybox: str) -> None:
    first = agent.out("run", "--detach", busybox, "sleep", "1000")
    second = agent.out("run", "--detach", "--network", f"container:{first}", busybox, "sleep", "1000")
    try:
        shown = agent.out("run", "--rm", "--network", f"container:{second}", busybox, "cat", "/etc/hosts")
        assert shown == agent.out("exec", first, "cat", "/etc/hosts")
    finally:
        agent.docker("rm", "--force", second, first)


def test_further_processes_answer_for_what_becomes_of_their_container(agent: PrivateAgent, busybox: str) -> None:
    name = agent.out("run", "--detach", busybox, "sleep", "1000")
    client = docker.APIClient(base_url=agent.host, timeout=60)
    try:
        with pytest.raises(docker.errors.APIError, match="executable file not found") as refused:
            client.exec_start(client.exec_create(name, "invalid"), detach=True)
        assert refused.value.status_code == 400
        waiting = client.exec_create(name, "true")["Id"]
        client.kill(name)
        with pytest.raises(docker.errors.NotFound, match="No such exec instance"):
            client.exec_start(waiting)
        client.remove_container(name)
        with pytest.raises(docker.errors.NotFound, match="No such exec instance"):
            client.exec_inspect(waiting)
    finally:
        client.close()
        agent.docker("rm", "--force", name, check=False)


def test_an_empty_home_is_the_users(agent: PrivateAgent, busybox: str) -> None:
    assert agent.out("run", "--rm", "--env", "HOME=", busybox, "sh", "-c", "echo $HOME") == "/root"


def test_capabilities_may_be_one_word(agent: PrivateAgent, busybox: str) -> None:
    client = docker.APIClient(base_url=agent.host, timeout=60)
    made = client.create_container(busybox, "true", host_config={"CapAdd": "NET_ADMIN", "CapDrop": "MKNOD"})["Id"]
    shown = client.inspect_container(made)["HostConfig"]
    client.remove_container(made)
    client.close()
    assert [shown["CapAdd"], shown["CapDrop"]] == [["NET_ADMIN"], ["MKNOD"]]


def test_detach_keys_that_are_none_are_refused(agent: PrivateAgent, busybox: str) -> None:
    name = agent.out("run", "--detach", "--interactive", "--tty", busybox, "cat")
    try:
        target = f"/containers/{name}/attach?stream=1&stdin=1&detachKeys=ctrl-A%2Ca"
        assert post(agent, target, "{}") == (400, "Invalid detach keys (ctrl-A,a) provided")
    finally:
        agent.docker("rm", "--force", name)


def test_options_are_always_answered(agent: PrivateAgent) -> None:
    words = ("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "OPTIONS")
    assert agent.run(*words, "--unix-socket", str(agent.socket), "http://x/anything").stdout == b"200"


def test_a_restart_is_no_end_for_a_container_that_removes_itself(agent: PrivateAgent, busybox: str) -> None:
    name = agent.out("run", "--detach", "--rm", "--stop-signal", "KILL", busybox, "sleep", "1000")
    before = agent.out("inspect", "--format", "{{.State.StartedAt}}", name)
    agent.docker("restart", name)
    assert agent.out("inspect", "--format", "{{.State.Running}}", name) == "true"
    assert agent.out("inspect", "--format", "{{.State.StartedAt}}", name) > before
    agent.docker("stop", name)
    eventually(lambda: agent.docker("inspect", name, check=False).returncode == 1)


def test_a_list_is_filtered_by_the_id_of_a_network(agent: PrivateAgent, busybox: str) -> None:
    made = agent.out("create", busybox, "true")
    network = agent.out("network", "inspect", "--format", "{{.Id}}", "bridge")
    try:
        for value in ("bridge", network, network[:12]):
            listed = agent.out("ps", "--all", "--quiet", "--no-trunc", "--filter", f"network={value}")
            assert made in listed.split()
        assert made not in agent.out("ps", "--all", "--quiet", "--no-trunc", "--filter", "network=host").split()
    finally:
        agent.docker("rm", made)
