"""Settings of the create body that need an agent with a configuration of its own: runtimes and their arguments."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.private_agent import PrivateAgent
from wherry import native

CALLS = "calls"


@pytest.fixture(scope="module")
def configured(rootfs_archive: Path) -> Iterator[PrivateAgent]:
    """An agent that knows a runtime which notes how it is called, and another by containerd's name for it."""
    own = str(native.program("wherry-runtime"))
    agent = PrivateAgent()
    recorder = agent.place / "recorder"
    recorder.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {agent.place}/{CALLS}\nshift 2\nexec {own} "$@"\n')
    recorder.chmod(0o755)
    agent.settings.update(
        {
            "runtimes": {
                "recorder": {"path": str(recorder), "runtimeArgs": ["--mark", "with space"]},
                "shim": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": own}},
                "absent": {"path": "/no/such/runtime"},
            }
        }
    )
    with agent:
        agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), "busybox")
        yield agent


def inspect(agent: PrivateAgent, name: str) -> Any:
    return json.loads(agent.out("inspect", name))[0]


def test_a_runtime_gets_its_own_arguments_before_all_others(configured: PrivateAgent) -> None:
    configured.docker("run", "-d", "--runtime", "recorder", "--name", "noted", "busybox", "sleep", "60")
    configured.docker("exec", "noted", "true")
    configured.docker("pause", "noted")
    configured.docker("unpause", "noted")
    assert inspect(configured, "noted")["HostConfig"]["Runtime"] == "recorder"
    configured.docker("rm", "-f", "noted")
    calls = (configured.place / CALLS).read_text().splitlines()
    assert all(call.startswith("--mark with space --root ") for call in calls)
    for verb in ("create", "start", "exec", "pause", "resume", "kill", "delete"):
        assert any(f" {verb} " in call for call in calls), verb
    shown = json.loads(configured.out("info", "--format", "{{json .Runtimes}}"))
    assert shown["recorder"]["runtimeArgs"] == ["--mark", "with space"]


def test_a_runtime_may_be_named_as_containerds_shim_names_it(configured: PrivateAgent) -> None:
    assert configured.out("run", "--rm", "--runtime", "shim", "busybox", "echo", "hello") == "hello"


def test_a_runtime_that_is_not_there_is_an_error_of_the_start(configured: PrivateAgent) -> None:
    done = configured.docker("run", "--rm", "--runtime", "absent", "busybox", "true", check=False)
    assert done.returncode in (125, 127)
    assert b"/no/such/runtime" in done.stderr
    done = configured.docker("run", "--rm", "--runtime", "nobody-knows", "busybox", "true", check=False)
    assert b"unknown or invalid runtime name: nobody-knows" in done.stderr


def test_link_local_addresses_are_given_beside_the_networks_own(configured: PrivateAgent) -> None:
    configured.docker("network", "create", "l")
    configured.docker("run", "-d", "--name", "near", "--network", "l", "--link-local-ip", "169.254.8.8",
                      "--link-local-ip", "fe80::8", "busybox", "sleep", "60")  # fmt: skip
    endpoint = inspect(configured, "near")["NetworkSettings"]["Networks"]["l"]
    assert endpoint["IPAMConfig"] == {"LinkLocalIPs": ["169.254.8.8", "fe80::8"]}
    shown = configured.out("exec", "near", "ip", "address", "show", "eth0")
    assert "169.254.8.8/16" in shown
    assert "fe80::8/64" in shown
    pinged = configured.docker("run", "--rm", "--network", "l", "--link-local-ip", "169.254.8.9", "busybox",
                               "ping", "-c1", "-w5", "169.254.8.8")  # fmt: skip
    assert b"1 packets received" in pinged.stdout
    configured.docker("rm", "-f", "near")
    for wrong in ("192.0.2.1", "x"):
        done = configured.docker("create", "--network", "l", "--link-local-ip", wrong, "busybox", check=False)
        assert done.returncode != 0
        assert b"link-local" in done.stderr
    configured.docker("network", "rm", "l")
