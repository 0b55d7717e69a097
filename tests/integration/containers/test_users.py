"""Who a process is: names, numbers, groups, and what must never become root."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.containers.conftest import Run
from tests.integration.support.private_agent import PrivateAgent


@pytest.mark.parametrize(
    ("user", "shown"),
    [
        ("app", "1000 1000 1000 2000"),
        ("1000", "1000 1000 1000 2000"),
        ("1000:5", "1000 5 5"),
        ("app:nogroup", "1000 65534 65534"),
        ("4242", "4242 0 0"),
        ("root", "0 0 0"),
    ],
)
def test_user_and_groups_are_the_images(run: Run, user: str, shown: str) -> None:
    assert run("echo $(id -u) $(id -g) $(id -G)", "-u", user) == shown


def test_groups_can_be_added(run: Run) -> None:
    shown = run("id -G", "-u", "4242:7", "--group-add", "extra", "--group-add", "99")
    assert sorted(shown.split()) == ["2000", "7", "99"]


@pytest.mark.parametrize(
    "user", ["4294967296", "2147483648", "-1", "+0", "0x0", " 0", "99999999999", "1000:4294967296", "1000:"]
)
def test_a_user_that_is_none_is_an_error_and_never_root(agent: PrivateAgent, busybox: str, user: str) -> None:
    done = agent.docker("run", "--rm", f"--user={user}", busybox, "id", check=False)
    assert (done.returncode, done.stdout) == (125, b"")


def test_users_other_than_root_hold_no_capabilities(run: Run) -> None:
    shown = run("grep -E 'Cap(Inh|Prm|Eff|Amb)' /proc/self/status", "-u", "app", "--cap-add", "NET_ADMIN")
    assert {line.split("\t")[1] for line in shown.splitlines()} == {"0" * 16}


@pytest.mark.parametrize("kind", ["huge", "fifo", "device"])
def test_a_hostile_user_database_is_an_error_and_costs_nothing(
    agent: PrivateAgent, busybox: str, kind: str, name: str
) -> None:
    spoil = {"huge": "truncate -s 1G /etc/passwd", "fifo": "rm /etc/passwd; mkfifo /etc/passwd",
             "device": "rm /etc/passwd; ln -s /dev/zero /etc/passwd"}[kind]  # fmt: skip
    agent.docker("run", "--name", name, busybox, "sh", "-c", spoil)
    before = resident_bytes(agent)
    done = agent.docker("start", "--attach", name, check=False, timeout=10)
    if kind != "device":
        assert b"cannot read /etc/passwd of the image" in done.stderr
    assert resident_bytes(agent) - before < 20 << 20
    assert agent.docker("ps").returncode == 0


def resident_bytes(agent: PrivateAgent) -> int:
    """Memory of wherryd."""
    status = Path(f"/proc/{agent.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024
