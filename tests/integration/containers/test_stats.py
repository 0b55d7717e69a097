"""What stats tell, compared with the kernel's own figures and with what containers did."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest

from tests.integration.containers.conftest import ask, eventually
from tests.integration.support.private_agent import PrivateAgent

MIB = 1 << 20


def once(agent: PrivateAgent, name: str, query: str = "stream=0&one-shot=1") -> dict[str, Any]:
    status, body = ask(agent, "GET", f"/containers/{name}/stats?{query}")
    assert status == 200
    document: dict[str, Any] = body
    return document


def test_memory_and_processes_agree_with_what_runs(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "dd if=/dev/zero of=/dev/shm/held bs=1M count=20 2>/dev/null; sleep 1000 & wait"
    agent.docker(
        "run", "--detach", "--name", name, "--memory", "64m", "--pids-limit", "50", busybox, "sh", "-c", script
    )
    eventually(lambda: once(agent, name)["memory_stats"]["usage"] >= 20 * MIB)
    stats = once(agent, name)
    assert stats["memory_stats"]["limit"] == 64 * MIB
    assert 20 * MIB <= stats["memory_stats"]["usage"] < 40 * MIB
    eventually(lambda: once(agent, name)["pids_stats"] == {"current": 2, "limit": 50})
    assert (stats["name"], stats["os_type"]) == (f"/{name}", "linux")


def test_without_a_limit_the_machine_is_the_limit(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1000")
    total = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) * 1024
    assert once(agent, name)["memory_stats"]["limit"] == total


def test_processor_time_between_two_readings_is_that_of_the_work(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", "while :; do :; done")
    stats = once(agent, name, "stream=0")
    used = stats["cpu_stats"]["cpu_usage"]["total_usage"] - stats["precpu_stats"]["cpu_usage"]["total_usage"]
    system = stats["cpu_stats"]["system_cpu_usage"] - stats["precpu_stats"]["system_cpu_usage"]
    cpus = stats["cpu_stats"]["online_cpus"]
    assert 1e8 < used <= 1.1 * system
    assert 0.5e9 * cpus < system < 30e9 * cpus
    assert stats["preread"] < stats["read"]
    assert once(agent, name)["precpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_network_figures_are_those_of_its_interface(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "1000")
    before = once(agent, name)["networks"]["eth0"]
    gateway = agent.out("inspect", "--format", "{{.NetworkSettings.Gateway}}", name)
    agent.docker("exec", name, "ping", "-c", "3", "-i", "0.2", "-s", "1000", gateway)
    after = once(agent, name)["networks"]["eth0"]
    assert after["tx_bytes"] - before["tx_bytes"] >= 3000
    assert after["rx_packets"] - before["rx_packets"] >= 3


def test_stream_goes_on_every_second_until_the_client_leaves(
    api: docker_py.DockerClient, busybox: str, name: str
) -> None:
    container = api.containers.run(busybox, ["sleep", "1000"], detach=True, name=name)
    began = time.monotonic()
    stream = container.stats(stream=True, decode=True)
    first, second, third = itertools.islice(stream, 3)
    stream.close()
    assert 1.8 < time.monotonic() - began < 8
    assert first["read"] == second["preread"]
    assert second["read"] == third["preread"]


def test_docker_stats_shows_a_line(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--memory", "64m", busybox, "sleep", "1000")
    line = json.loads(agent.out("stats", "--no-stream", "--format", "{{json .}}", name))
    assert (line["Name"], line["PIDs"]) == (name, "1")
    assert line["MemUsage"].endswith(" / 64MiB")


def test_container_that_does_not_run_has_nothing_to_tell(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "true")
    stats = once(agent, name, "stream=0")
    assert (stats["name"], stats["pids_stats"], stats["memory_stats"]) == (f"/{name}", {}, {})
    assert stats["read"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize("stream", ["0", "1"])
def test_unknown_container_is_not_found(agent: PrivateAgent, stream: str) -> None:
    assert ask(agent, "GET", f"/containers/nobody/stats?stream={stream}")[0] == 404
