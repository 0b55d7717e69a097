"""The real docker-compose 1.29 brings up, changes and takes down a project."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.containers.conftest import eventually
from tests.integration.support.private_agent import REPOSITORY, PrivateAgent

TOOLS = REPOSITORY / ".tools"
PROGRAM = TOOLS / "bin" / "docker-compose"
ENVIRONMENT = f"PYTHONPATH={TOOLS}/root/usr/lib/python3/dist-packages"

PROJECT = """
services:
  db:
    image: {image}
    init: true
    command: sh -c "sleep 0.5; touch /data/ready; exec sleep 1000"
    healthcheck:
      test: test -e /data/ready
      interval: 250ms
      retries: 100
    volumes: ["data:/data"]
    networks:
      back:
        aliases: [database]
  web:
    image: {image}
    init: true
    command: sh -c "echo serving $$COLOUR; echo hello > /www; exec httpd -f -p 80 -h /"
    environment:
      COLOUR: "{colour}"
    ports: ["80"]
    volumes: ["/anonymous"]
    depends_on:
      db:
        condition: service_healthy
    networks: [back, front]
  worker:
    image: {image}
    init: true
    command: sleep 1000
    networks: [front]
volumes:
  data:
networks:
  back:
    internal: true
  front:
"""

Compose = Callable[..., str]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, busybox: str) -> Path:
    """The project's file."""
    path = tmp_path_factory.mktemp("compose") / "docker-compose.yml"
    path.write_text(PROJECT.format(image=busybox, colour="blue"))
    return path


@pytest.fixture(scope="module")
def compose(agent: PrivateAgent, file: Path) -> Iterator[Compose]:
    """docker-compose, for a project that is up."""
    if not os.path.lexists(PROGRAM):
        pytest.skip("docker-compose is not in .tools (scripts/test fetches it)")
    if agent.run("env", ENVIRONMENT, str(PROGRAM), "version", check=False).returncode != 0:
        pytest.skip("docker-compose of .tools does not run with this machine's Python")

    def call(*words: str) -> str:
        return agent.run(*command(file, *words), timeout=120).stdout.decode().strip()

    call("up", "--detach")
    yield call
    call("down", "--volumes", "--timeout", "1")


def command(file: Path, *words: str) -> list[str]:
    return ["env", ENVIRONMENT, str(PROGRAM), "--file", str(file), "--project-name", "tour", "--ansi", "never", *words]


def inspect(agent: PrivateAgent, name: str, what: str) -> str:
    return agent.out("inspect", "--format", what, name)


def test_up_waits_for_the_health_of_what_is_depended_on(agent: PrivateAgent, compose: Compose) -> None:
    checked = json.loads(inspect(agent, "tour_db_1", "{{json .State.Health}}"))
    assert checked["Status"] == "healthy"
    began = [entry["Start"] for entry in checked["Log"] if entry["ExitCode"] == 0]
    assert inspect(agent, "tour_web_1", "{{.Created}}") > min(began) or len(checked["Log"]) == 5
    states = {line.split()[0]: " ".join(line.split()) for line in compose("ps").splitlines()[2:]}
    assert "Up (healthy)" in states["tour_db_1"]
    assert "Up" in states["tour_web_1"]
    assert "80/tcp" in states["tour_web_1"]


def test_networks_names_and_ports(agent: PrivateAgent, compose: Compose) -> None:
    assert "1 packets received" in compose("exec", "-T", "web", "ping", "-c", "1", "database")
    assert "bad address" in compose("exec", "-T", "worker", "sh", "-c", "ping -c 1 database 2>&1 || true")
    address, port = compose("port", "web", "80").split(":")
    assert address == "0.0.0.0"
    assert agent.run("curl", "-s", f"http://127.0.0.1:{port}/www").stdout == b"hello\n"
    assert agent.out("network", "inspect", "--format", "{{.Internal}}", "tour_back") == "true"


def test_logs_exec_and_run(compose: Compose) -> None:
    assert "web_1     | serving blue" in compose("logs", "--no-color", "web")
    assert compose("exec", "-T", "--user", "1000", "--env", "A=b", "web", "sh", "-c", "id -u; echo $A") == "1000\nb"
    assert compose("run", "--rm", "--no-deps", "-T", "web", "sh", "-c", "echo once $COLOUR") == "once blue"


def test_scale_restart_stop_and_start(agent: PrivateAgent, compose: Compose) -> None:
    compose("up", "--detach", "--scale", "worker=3", "--no-recreate", "worker")
    workers = compose("ps", "--quiet", "worker").split()
    assert len(workers) == 3
    before = inspect(agent, "tour_worker_2", "{{.State.StartedAt}}")
    compose("restart", "--timeout", "1", "worker")
    assert inspect(agent, "tour_worker_2", "{{.State.StartedAt}}") > before
    compose("stop", "--timeout", "1", "worker")
    assert {inspect(agent, worker, "{{.State.Status}}") for worker in workers} == {"exited"}
    compose("start", "worker")
    assert {inspect(agent, worker, "{{.State.Status}}") for worker in workers} == {"running"}


def test_events_are_told_as_they_come(agent: PrivateAgent, compose: Compose, file: Path) -> None:
    words = agent.enter(["env", "PYTHONUNBUFFERED=1", *command(file, "events", "--json", "db")])
    listener = subprocess.Popen(words, stdout=subprocess.PIPE, env=agent.environment())
    assert listener.stdout is not None
    try:
        # Until it listens, and then once more: an event of this project's is the sign.
        os.set_blocking(listener.stdout.fileno(), False)
        seen = b""

        def told() -> bool:
            nonlocal seen
            compose("exec", "-T", "db", "true")
            seen += listener.stdout.read() or b"" if listener.stdout else b""
            return b"\n" in seen

        eventually(told, "an event")
        event = json.loads(seen.splitlines()[0])
        assert (event["type"], event["service"], event["attributes"]["name"]) == ("container", "db", "tour_db_1")
    finally:
        listener.kill()
        listener.wait()


def test_only_what_changed_is_made_anew_and_keeps_its_volumes(
    agent: PrivateAgent, compose: Compose, file: Path, busybox: str
) -> None:
    def ids() -> dict[str, str]:
        return {name: inspect(agent, name, "{{.Id}}") for name in ("tour_db_1", "tour_web_1", "tour_worker_1")}

    compose("exec", "-T", "web", "touch", "/anonymous/kept")
    before = ids()
    file.write_text(PROJECT.format(image=busybox, colour="green"))
    compose("up", "--detach", "--timeout", "1")
    after = ids()
    assert {name for name in before if before[name] != after[name]} == {"tour_web_1"}
    assert "serving green" in compose("logs", "--no-color", "web")
    assert compose("exec", "-T", "web", "ls", "/anonymous") == "kept"


def test_down_leaves_nothing(agent: PrivateAgent, compose: Compose) -> None:
    compose("down", "--volumes", "--timeout", "1")
    listed = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
    for words in listed:
        assert agent.out(*words, "--quiet", "--filter", "label=com.docker.compose.project=tour") == ""
