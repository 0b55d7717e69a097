"""Volumes that are named or asked for with ill intent, and users of the host who look for them."""

from __future__ import annotations

import docker as docker_py
import pytest

from tests.integration.support.private_agent import PrivateAgent


@pytest.mark.parametrize("name", ["../../etc", "..", ".hidden", "a/b", "-rf", "a\nb", "ä" * 3, "x", "a" * 300])
def test_a_name_that_is_none_is_refused_and_makes_nothing(
    agent: PrivateAgent, api: docker_py.DockerClient, name: str
) -> None:
    before = sorted(entry.name for entry in (agent.data_root / "volumes").iterdir())
    with pytest.raises(docker_py.errors.APIError) as refused:
        api.volumes.create(name)
    assert refused.value.status_code == 400
    assert "volume name" in str(refused.value)
    assert sorted(entry.name for entry in (agent.data_root / "volumes").iterdir()) == before


@pytest.mark.parametrize("source", ["../../etc", "a/b", ".."])
def test_a_container_is_not_made_with_a_source_that_climbs(
    agent: PrivateAgent, busybox: str, api: docker_py.DockerClient, source: str
) -> None:
    with pytest.raises(docker_py.errors.APIError) as refused:
        api.containers.create(busybox, "true", volumes=[f"{source}:/data"])
    assert refused.value.status_code == 400


def test_users_of_the_host_reach_no_volume(agent: PrivateAgent, busybox: str) -> None:
    nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    agent.docker("volume", "create", "private")
    try:
        agent.docker("run", "--rm", "-v", "private:/data", busybox, "cp", "/bin/busybox", "/data/program")
        agent.docker("run", "--rm", "-v", "private:/data", busybox, "chmod", "4755", "/data/program")
        program = agent.data_root / "volumes" / "private" / "_data" / "program"
        assert program.stat().st_mode & 0o7777 == 0o4755
        for place in (program, program.parent, agent.data_root / "volumes"):
            tried = agent.run(*nobody, "stat", str(place), check=False)
            assert b"Permission denied" in tried.stderr
        # By a shell, which has given up its capabilities by then.
        executed = agent.run(*nobody, "sh", "-c", f"exec {program} true", check=False)
        assert executed.returncode != 0
        assert b"ermission denied" in executed.stderr
    finally:
        agent.docker("volume", "rm", "private")
