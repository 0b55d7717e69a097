"""The ``wherry`` command against a real agent."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.support.private_agent import PrivateAgent


def wherry(
    agent: PrivateAgent, *arguments: str, check: bool = True, input: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    return agent.run(sys.executable, "-m", "wherry.cli.main", "-H", agent.host, *arguments, check=check, input=input)


def test_version_and_info_tell_of_the_agent(agent: PrivateAgent) -> None:
    assert b"1.24 to 1.51" in wherry(agent, "version").stdout
    assert str(agent.data_root).encode() in wherry(agent, "info").stdout


def test_agent_that_is_down_is_told_with_where_and_how() -> None:
    with PrivateAgent() as agent:
        agent.stop()
        done = wherry(agent, "ps", check=False)
        agent.start()
    assert done.returncode == 1
    message = done.stderr.decode()
    assert agent.host in message and "Start it" in message and "Traceback" not in message


def test_networks_and_volumes_are_listed(agent: PrivateAgent) -> None:
    agent.docker("volume", "create", "listed-volume")
    try:
        assert b"listed-volume" in wherry(agent, "volume", "ls").stdout
        assert b"bridge" in wherry(agent, "network", "ls").stdout
    finally:
        agent.docker("volume", "rm", "listed-volume")


def test_plan_changes_nothing_apply_does_and_apply_again_does_not(agent: PrivateAgent, tmp_path: Path) -> None:
    file = tmp_path / "host.yml"
    file.write_text("- {kind: volume, name: declared, state: present, labels: {tier: front}}\n")
    try:
        planned = wherry(agent, "plan", "-f", str(file)).stdout.decode()
        assert "volume declared: create" in planned and "1 of 1 would change" in planned
        assert "declared" not in agent.out("volume", "ls", "-q")
        assert "1 of 1 would change" in wherry(agent, "apply", "--check", "-f", str(file)).stdout.decode()
        assert "declared" not in agent.out("volume", "ls", "-q")
        assert "1 of 1 changed" in wherry(agent, "apply", "-f", str(file)).stdout.decode()
        assert "declared" in agent.out("volume", "ls", "-q")
        assert "0 of 1 changed" in wherry(agent, "apply", "-f", str(file)).stdout.decode()
    finally:
        agent.docker("volume", "rm", "-f", "declared")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kind: volume", "holds no resources"),
        ("- {kind: boat, name: x}", "kind"),
        ("[", "cannot be read"),
    ],
)
def test_bad_file_is_refused_with_one_sentence(agent: PrivateAgent, content: str, words: str) -> None:
    done = wherry(agent, "apply", "-f", "-", check=False, input=content.encode())
    assert done.returncode == 1
    assert words in done.stderr.decode() and "Traceback" not in done.stderr.decode()


def test_wrong_command_names_the_right_ones(agent: PrivateAgent) -> None:
    done = wherry(agent, "nix", check=False)
    assert done.returncode == 2 and b"apply" in done.stderr
