"""wherryd as a process: options, signals, locks, readiness, clients that are real."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.support.private_agent import PrivateAgent
from tests.integration.support.schema import check_definition, check_response


def wherryd(*arguments: str, timeout: float = 20, **environment: str) -> subprocess.CompletedProcess[str]:
    repository = Path(__file__).resolve().parents[3]
    return subprocess.run(
        [sys.executable, "-m", "wherry.cli.daemon", *arguments],
        env={**os.environ, "PYTHONPATH": str(repository / "agent"), **environment},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def get(agent: PrivateAgent, path: str, *options: str) -> tuple[int, str]:
    done = agent.run(
        "curl", "-s", "-w", "\n%{http_code}", *options, "--unix-socket", str(agent.socket), f"http://localhost{path}"
    )
    body, _, status = done.stdout.decode().rpartition("\n")
    return int(status), body


def wait_for_log(agent: PrivateAgent, text: str) -> None:
    deadline = time.monotonic() + 5
    while text not in agent.log_text():
        assert time.monotonic() < deadline, agent.log_text()
        time.sleep(0.02)


def test_validate_accepts_a_good_configuration(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"debug": true, "storage-driver": "overlay2"}')
    done = wherryd("--validate", "--config-file", str(tmp_path / "daemon.json"))
    assert (done.returncode, done.stderr) == (0, "configuration OK\n")


def test_validate_names_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "daemon.json").write_text('{"debgu": true}')
    done = wherryd("--validate", "--config-file", str(tmp_path / "daemon.json"))
    assert done.returncode == 1
    assert "the following directives don't match any configuration option: debgu" in done.stderr


def test_option_of_dockerd_that_is_not_ours_is_refused_by_name() -> None:
    done = wherryd("--validate", "--iptables=false")
    assert done.returncode == 1
    assert "iptables" in done.stderr and "nftables" in done.stderr


def test_unprotected_tcp_is_refused_and_nothing_listens(tmp_path: Path) -> None:
    done = wherryd("--data-root", str(tmp_path / "d"), "--exec-root", str(tmp_path / "r"), "-H", "tcp://127.0.0.1:0")
    assert done.returncode == 1
    assert "tlsverify" in done.stderr
    assert not (tmp_path / "d").exists()


def test_docker_clients_see_the_agent(agent: PrivateAgent) -> None:
    assert agent.out("version", "--format", "{{.Server.Version}}") == "0.1.0"
    assert agent.out("info", "--format", "{{.Driver}} {{.CgroupDriver}} {{.OSType}}") == "overlay2 cgroupfs linux"
    client = agent.client()
    assert client.ping()
    assert client.version()["ApiVersion"] == "1.51"
    client.close()


def test_info_tells_the_truth_about_the_host(agent: PrivateAgent) -> None:
    info = json.loads(get(agent, "/info")[1])
    assert info["NCPU"] == len(os.sched_getaffinity(0))
    assert info["KernelVersion"] == os.uname().release
    assert info["DockerRootDir"] == str(agent.data_root)
    assert abs(info["MemTotal"] - os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) == 0
    assert info["PidsLimit"] is (Path("/sys/fs/cgroup/pids").is_dir() or "pids" in _controllers())


def _controllers() -> str:
    path = Path("/sys/fs/cgroup/cgroup.controllers")
    return path.read_text() if path.exists() else ""


@pytest.mark.parametrize("path", ["/version", "/info"])
def test_documents_are_as_specified(agent: PrivateAgent, path: str) -> None:
    status, body = get(agent, path)
    check_response("GET", path, status, json.loads(body))


@pytest.mark.parametrize(
    "path", ["/swarm", "/nodes", "/services", "/tasks", "/secrets", "/configs", "/nodes/x", "/services/x"]
)
def test_questions_about_a_swarm_are_answered_as_by_a_host_without_one(agent: PrivateAgent, path: str) -> None:
    status, body = get(agent, path)
    assert status == 503 and json.loads(body)["message"].startswith("This node is not a swarm manager.")


@pytest.mark.parametrize("path", ["/session", "/grpc", "/build", "/swarm/init"])
def test_what_is_not_offered_is_refused_by_name(agent: PrivateAgent, path: str) -> None:
    status, body = get(agent, path, "-X", "POST")
    assert status == 501 and json.loads(body)["message"].startswith("not supported: ")
    check_definition("ErrorResponse", json.loads(body))


def test_plugins_are_an_empty_list(agent: PrivateAgent) -> None:
    assert agent.out("plugin", "ls", "-q") == ""


def test_events_are_streamed_replayed_and_filtered(own_agent: PrivateAgent) -> None:
    listening = subprocess.Popen(
        own_agent.enter(["docker", "events", "--filter", "type=daemon", "--format", "{{.Type}} {{.Action}}"]),
        stdout=subprocess.PIPE, env=own_agent.environment(),
    )  # fmt: skip
    assert listening.stdout is not None
    deadline = time.monotonic() + 5
    while json.loads(get(own_agent, "/info")[1])["NEventsListener"] == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(own_agent.pid, signal.SIGHUP)
    assert listening.stdout.readline() == b"daemon reload\n"
    listening.kill()
    listening.wait()
    own_agent.restart(crash=True)
    # Docker's client makes whole seconds of durations: the time until when is given as it is.
    now = f"{time.time():.9f}"
    past = own_agent.out(
        "events", "--since", "1h", "--until", now, "--filter", "event=reload", "--format", "{{.Action}}"
    )
    assert past == "reload"


def test_sighup_reloads_what_can_change_and_names_the_rest(own_agent: PrivateAgent) -> None:
    (own_agent.place / "wherryd.yml").write_text("labels: [rack=7]\nmtu: 1400\n")
    os.kill(own_agent.pid, signal.SIGHUP)
    wait_for_log(own_agent, "only with a restart of wherryd: mtu")
    assert json.loads(get(own_agent, "/info")[1])["Labels"] == ["rack=7"]
    (own_agent.place / "wherryd.yml").write_text("labels: rack\n")
    os.kill(own_agent.pid, signal.SIGHUP)
    wait_for_log(own_agent, "configuration not reloaded")
    assert json.loads(get(own_agent, "/info")[1])["Labels"] == ["rack=7"]


def test_second_agent_on_the_same_data_root_is_refused(own_agent: PrivateAgent) -> None:
    second = own_agent.run(
        sys.executable, "-m", "wherry.cli.daemon", "--data-root", str(own_agent.data_root),
        "--exec-root", str(own_agent.place / "other"), check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert f"another wherryd (pid {own_agent.pid}) uses data root" in second.stderr.decode()
    assert own_agent.out("version", "--format", "{{.Server.Version}}")


def test_pid_file_is_there_while_the_agent_is(own_agent: PrivateAgent) -> None:
    pidfile = own_agent.exec_root / "wherryd.pid"
    assert int(pidfile.read_text()) == own_agent.pid
    assert own_agent.stop() == 0
    assert not pidfile.exists() and not own_agent.socket.exists()
    own_agent.start()


def test_agent_starts_again_after_a_kill(own_agent: PrivateAgent) -> None:
    identity = own_agent.out("info", "--format", "{{.ID}}")
    own_agent.restart(crash=True)
    assert own_agent.out("info", "--format", "{{.ID}}") == identity


def test_service_manager_is_told_when_the_agent_is_ready(tmp_path: Path) -> None:
    agent = PrivateAgent()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        agent.extra_environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        with agent:
            assert manager.recv(100) == b"READY=1"
            agent.stop()
            assert manager.recv(100) == b"STOPPING=1"


def test_socket_is_closed_to_others(agent: PrivateAgent) -> None:
    found = agent.socket.stat()
    assert found.st_mode & 0o777 == 0o660 and found.st_uid == 0
    assert agent.data_root.stat().st_mode & 0o777 == 0o710
    for entry in agent.data_root.iterdir():
        assert entry.stat().st_mode & 0o007 == 0 or entry.name == "lock", entry


def test_members_of_the_group_reach_the_api_and_nobody_else_does() -> None:
    curl = ("curl", "-sf", "http://localhost/_ping", "--unix-socket")
    with PrivateAgent({"group": "daemon"}) as agent:
        for group, reached in (("daemon", True), ("nogroup", False)):
            user = ("setpriv", "--reuid=nobody", f"--regid={group}", "--clear-groups")
            done = agent.run(*user, *curl, str(agent.socket), check=False)
            assert (done.returncode == 0) is reached, group
        listed = agent.run(
            "setpriv", "--reuid=nobody", "--regid=daemon", "--clear-groups", "ls", str(agent.exec_root), check=False
        )
        assert listed.returncode != 0


def test_other_users_see_nothing_below_the_data_root(agent: PrivateAgent) -> None:
    for path in (
        agent.data_root,
        agent.data_root / "layers",
        agent.data_root / "state.db",
        agent.exec_root / "containers",
    ):
        done = agent.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "ls", str(path), check=False)
        assert done.returncode != 0, path


def test_purge_leaves_nothing_and_is_refused_while_the_agent_runs(own_agent: PrivateAgent) -> None:
    purge = [sys.executable, "-m", "wherry.cli.daemon", *own_agent.options(), "--purge"]
    refused = own_agent.run(*purge, check=False)
    assert refused.returncode == 1 and b"another wherryd" in refused.stderr
    own_agent.stop()
    own_agent.run(*purge)
    assert not own_agent.data_root.exists() and not own_agent.exec_root.exists()
    links = own_agent.run("ip", "-o", "link").stdout.decode()
    assert own_agent.instance not in links
    assert own_agent.instance not in own_agent.run("nft", "list", "tables").stdout.decode()
    own_agent.start()


def test_purge_takes_running_containers_with_it(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker("network", "create", "--subnet", "10.77.0.0/24", "purged")
    own_agent.docker("volume", "create", "purged")
    own_agent.docker(
        "run",
        "-d",
        "--restart",
        "always",
        "--network",
        "purged",
        "-v",
        "purged:/data",
        "-p",
        "8099:80",
        own_busybox,
        "sleep",
        "999",
    )
    own_agent.stop()
    own_agent.run(sys.executable, "-m", "wherry.cli.daemon", *own_agent.options(), "--purge")
    assert not own_agent.data_root.exists() and not own_agent.exec_root.exists()
    assert own_agent.run("ip", "-br", "link").stdout.decode().split()[0] == "lo"
    assert own_agent.run("nft", "list", "ruleset").stdout == b""
    assert str(own_agent.place) not in own_agent.run("cat", "/proc/self/mountinfo").stdout.decode()
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{own_agent.instance}"))
    own_agent.start()
