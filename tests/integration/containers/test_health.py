"""Health checks as clients see them: states, streak, log, events, list and filter; across pauses and agents."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers.conftest import ask, eventually, state_of
from tests.integration.support.private_agent import PrivateAgent

SLEEP = ("sleep", "1000")
OFTEN = ("--health-interval", "200ms", "--health-timeout", "5s")
HEALTHY_IF_FILE = ("--health-cmd", "test -e /tmp/well || { echo ailing; exit 1; }")


def health_of(agent: PrivateAgent, name: str) -> dict[str, Any]:
    health: dict[str, Any] = state_of(agent, name)["Health"]
    return health


def status_of(agent: PrivateAgent, name: str) -> str:
    return str(health_of(agent, name)["Status"])


def actions_since(agent: PrivateAgent, name: str, since: str) -> list[str]:
    text = agent.out(
        "events",
        "--since",
        since,
        "--until",
        f"{time.time():.6f}",
        "--filter",
        f"container={name}",
        "--format",
        "{{.Action}}",
    )
    return text.splitlines()


def test_state_goes_from_starting_to_unhealthy_to_healthy_with_events(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    since = f"{time.time():.6f}"
    agent.docker("run", "--detach", "--name", name, *OFTEN, *HEALTHY_IF_FILE, "--health-retries", "2", busybox, *SLEEP)
    assert health_of(agent, name) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    assert "(health: starting)" in agent.out("ps", "--filter", f"name={name}", "--format", "{{.Status}}")
    eventually(lambda: status_of(agent, name) == "unhealthy")
    ill = health_of(agent, name)
    assert ill["FailingStreak"] >= 2
    assert {(one["ExitCode"], one["Output"]) for one in ill["Log"]} == {(1, "ailing\n")}
    assert all(one["Start"] < one["End"] for one in ill["Log"])
    assert agent.out("ps", "--filter", "health=unhealthy", "--format", "{{.Names}}") == name
    agent.docker("exec", name, "touch", "/tmp/well")
    eventually(lambda: status_of(agent, name) == "healthy")
    assert health_of(agent, name)["FailingStreak"] == 0
    assert agent.out("ps", "--filter", f"name={name}", "--format", "{{.Status}}").endswith("(healthy)")
    assert agent.out("ps", "--filter", "health=unhealthy", "--filter", f"name={name}", "--quiet") == ""
    told = [action for action in actions_since(agent, name, since) if action.startswith("health_status")]
    assert told == ["health_status: unhealthy", "health_status: healthy"]


def test_only_the_last_five_results_are_kept_and_their_output_is_cut(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker(
        "run", "--detach", "--name", name, "--health-interval", "50ms",
        "--health-cmd", "head -c 9000 /dev/zero | tr '\\0' x",
        busybox, *SLEEP,
    )  # fmt: skip
    eventually(lambda: len(health_of(agent, name)["Log"]) == 5)
    time.sleep(0.5)
    log = health_of(agent, name)["Log"]
    assert [one["Output"] for one in log] == ["x" * 4096 + "..."] * 5


def test_a_check_that_takes_too_long_is_killed_and_counts_as_a_failure(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker(
        "run", "--detach", "--name", name, "--health-interval", "100ms", "--health-timeout", "300ms",
        "--health-retries", "1", "--health-cmd", "echo slow; exec sleep 77", busybox, *SLEEP,
    )  # fmt: skip
    eventually(lambda: status_of(agent, name) == "unhealthy")
    result = health_of(agent, name)["Log"][0]
    assert result["ExitCode"] == -1
    assert result["Output"] == "Health check exceeded timeout (300ms): slow\n"
    eventually(lambda: agent.out("top", name, "-eo", "pid,args").count("sleep 77") <= 1)


def test_failures_in_the_start_period_do_not_count(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker(
        "run", "--detach", "--name", name, *HEALTHY_IF_FILE, "--health-interval", "1h", "--health-retries", "1",
        "--health-start-period", "1h", "--health-start-interval", "100ms", busybox, *SLEEP,
    )  # fmt: skip
    eventually(lambda: len(health_of(agent, name)["Log"]) >= 3)
    assert (status_of(agent, name), health_of(agent, name)["FailingStreak"]) == ("starting", 0)
    agent.docker("exec", name, "touch", "/tmp/well")
    eventually(lambda: status_of(agent, name) == "healthy")


def test_a_program_that_is_missing_is_a_failure_with_the_reason(agent: PrivateAgent, busybox: str, name: str) -> None:
    client = agent.client()
    check = {"test": ["CMD", "/nowhere"], "interval": 100_000_000, "retries": 1}
    client.containers.run(busybox, list(SLEEP), detach=True, name=name, healthcheck=check)
    eventually(lambda: status_of(agent, name) == "unhealthy")
    result = health_of(agent, name)["Log"][0]
    assert result["ExitCode"] == -1
    assert "no such file or directory" in result["Output"]


def test_nothing_is_checked_in_a_paused_container(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, *OFTEN, "--health-cmd", "true", busybox, *SLEEP)
    eventually(lambda: status_of(agent, name) == "healthy")
    agent.docker("pause", name)
    time.sleep(0.3)
    before = health_of(agent, name)
    time.sleep(0.6)
    assert health_of(agent, name) == before
    agent.docker("unpause", name)
    eventually(lambda: health_of(agent, name) != before)
    assert status_of(agent, name) == "healthy"


def test_a_new_run_begins_anew_and_a_stopped_container_is_not_healthy(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker("run", "--detach", "--name", name, *OFTEN, "--health-cmd", "true", busybox, *SLEEP)
    eventually(lambda: status_of(agent, name) == "healthy")
    agent.docker("kill", name)
    eventually(lambda: state_of(agent, name)["Status"] == "exited")
    assert status_of(agent, name) == "unhealthy"
    agent.docker("start", name)
    assert health_of(agent, name) == {"Status": "starting", "FailingStreak": 0, "Log": []}
    eventually(lambda: status_of(agent, name) == "healthy")


def test_check_can_be_switched_off(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--no-healthcheck", busybox, *SLEEP)
    assert "Health" not in state_of(agent, name)
    assert agent.out("ps", "--filter", "health=none", "--filter", f"name={name}", "--format", "{{.Names}}") == name
    assert agent.out("inspect", "--format", "{{json .Config.Healthcheck}}", name) == '{"Test":["NONE"]}'


@pytest.mark.parametrize(
    ("check", "said"),
    [
        ({"Test": ["CMD", "true"], "Interval": 999_999}, "Interval in Healthcheck cannot be less than 1ms"),
        ({"Test": ["CMD", "true"], "Retries": -1}, "Retries in Healthcheck cannot be negative"),
        ({"Test": ["CMD"]}, "Healthcheck.Test"),
        ({"Test": ["true"]}, "Healthcheck.Test"),
        ({"Test": "true"}, "Healthcheck.Test"),
        ({"Tset": ["CMD", "true"]}, "Healthcheck.Tset"),
    ],
)
def test_bad_check_is_refused_by_name(agent: PrivateAgent, busybox: str, check: dict[str, Any], said: str) -> None:
    status, answer = ask(agent, "POST", "/containers/create", {"Image": busybox, "Cmd": ["true"], "Healthcheck": check})
    assert status == 400
    assert said in answer["message"]


def test_image_declares_the_check_and_the_request_overrides_parts(
    agent: PrivateAgent, busybox: str, name: str, rootfs_archive: Path
) -> None:
    image = "declares-health:1"
    agent.docker(
        "import", "--change", "HEALTHCHECK --interval=200ms --retries=9 CMD echo fine", str(rootfs_archive), image
    )
    agent.docker("run", "--detach", "--name", name, "--health-retries", "4", image, *SLEEP)
    declared = json.loads(agent.out("inspect", "--format", "{{json .Config.Healthcheck}}", name))
    assert declared == {"Test": ["CMD-SHELL", "echo fine"], "Interval": 200_000_000, "Retries": 4}
    eventually(lambda: status_of(agent, name) == "healthy")
    assert health_of(agent, name)["Log"][0]["Output"] == "fine\n"


def test_health_survives_the_agents_death(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker(
        "run", "--detach", "--name", "ill", *OFTEN, *HEALTHY_IF_FILE, "--health-retries", "2", own_busybox, *SLEEP
    )
    eventually(lambda: status_of(own_agent, "ill") == "unhealthy")
    streak = health_of(own_agent, "ill")["FailingStreak"]
    own_agent.restart(crash=True)
    after = health_of(own_agent, "ill")
    assert after["Status"] == "unhealthy"
    assert after["FailingStreak"] >= streak
    own_agent.docker("exec", "ill", "touch", "/tmp/well")
    eventually(lambda: status_of(own_agent, "ill") == "healthy")
    own_agent.docker("rm", "--force", "ill")
