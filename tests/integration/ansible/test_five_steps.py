"""Every resource module: check, run, run again, check again, run a change. Check mode says what the run then does."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.integration.ansible.conftest import Play, Task

Docker = Callable[..., CompletedProcess[bytes]]


@dataclass(frozen=True)
class Case:
    """A resource, a change to it, and the keys of the difference that the change makes."""

    module: str
    arguments: dict[str, Any]
    change: dict[str, Any]
    differs: set[str]
    action: str
    info: dict[str, Any] = field(default_factory=dict)


CONTAINER = {
    "name": "five-web",
    "image": "busybox:test",
    "command": ["sleep", "1000"],
    "env": {"A": "1"},
    "labels": {"role": "web"},
    "volumes": ["five-pages:/pages"],
    "published_ports": ["127.0.0.1:18080:80", "18100-18101:100-101/udp"],
    "memory": "64M",
    "pids_limit": 64,
    "restart_policy": "unless-stopped",
    "ulimits": ["nofile:256:512"],
    "tmpfs": ["/scratch:size=1m"],
    "capabilities": ["NET_ADMIN"],
    "etc_hosts": {"elsewhere": "192.0.2.1"},
    "sysctls": {"net.ipv4.ip_unprivileged_port_start": "0"},
    "stop_timeout": 1,
}

CASES = [
    Case("container", CONTAINER, {"env": {"A": "2"}}, {"env", "state"}, "recreate"),
    Case("container", {**CONTAINER, "name": "five-live"}, {"memory": "128M"}, {"memory"}, "update"),
    Case(
        "network",
        {
            "name": "five-net",
            "ipam_config": [{"subnet": "10.141.0.0/24", "gateway": "10.141.0.1"}],
            "labels": {"a": "1"},
        },
        {"ipam_config": [{"subnet": "10.141.1.0/24"}]},
        {"ipam_config"},
        "recreate",
    ),
    Case(
        "volume",
        {"name": "five-volume", "labels": {"a": "1"}},
        {"labels": {"a": "2"}, "recreate": "options-changed"},
        {"labels"},
        "recreate",
    ),
    Case(
        "registry_mirror",
        {"registry": "five.example.com", "mirrors": [{"url": "http://127.0.0.1:5999"}]},
        {"mirrors": [{"url": "http://127.0.0.1:5998", "username": "u", "password": "five-secret"}]},
        {"mirrors"},
        "update",
        {"registry": "five.example.com"},
    ),
]


@pytest.fixture(autouse=True)
def clean(docker: Docker, play: Play) -> Iterator[None]:
    """Takes away what the cases make."""
    yield
    docker("rm", "-f", "-v", "five-web", "five-live", check=False)
    docker("network", "rm", "five-net", check=False)
    docker("volume", "rm", "five-volume", "five-pages", check=False)
    docker("image", "rm", "five/import:1", check=False)


def is_there(result: dict[str, Any]) -> bool:
    """Whether an info module found it."""
    return bool(result.get("exists") or result.get("images") or result.get("registry_mirrors"))


def five_steps(play: Play, case: Case) -> list[dict[str, Any]]:
    """The steps, with a look after the first check; asserts what holds for every module."""
    look = Task(f"{case.module}_info", case.info or {"name": case.arguments["name"]})
    changed = {**case.arguments, **case.change}
    results = play([
        Task(case.module, case.arguments, check=True),
        look,
        Task(case.module, case.arguments),
        look,
        Task(case.module, case.arguments),
        Task(case.module, case.arguments, check=True),
        Task(case.module, changed, check=True),
        Task(case.module, changed),
        Task(case.module, changed),
    ])  # fmt: skip
    assert [result["msg"] for result in results if result.get("failed")] == []
    check, before, run, after, again, check_again, check_change, change, settled = results
    assert [result["changed"] for result in (check, run, again, check_again, check_change, change, settled)] == [
        True, True, False, False, True, True, False,
    ]  # fmt: skip
    assert not is_there(before), "check mode made it"
    assert is_there(after)
    for told, done in ((check, run), (check_change, change)):
        assert told["actions"] == done["actions"]
        assert told["diff"] == done["diff"]
    assert case.action in [action["action"] for action in change["actions"]]
    assert set(change["diff"]["before"]) | set(change["diff"]["after"]) == case.differs
    return results


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.module}-{case.action}")
def test_five_steps(play: Play, busybox: str, case: Case) -> None:
    del busybox
    results = five_steps(play, case)
    assert "five-secret" not in str(results)


def test_five_steps_of_an_imported_image(play: Play, rootfs_archive: Path, tmp_path: Path) -> None:
    archive = tmp_path / "rootfs.tar"
    shutil.copy(rootfs_archive, archive)
    arguments = {"name": "five/import:1", "source": "import", "path": str(archive), "changes": ["ENV A=1"]}
    case = Case("image", arguments, {"changes": ["ENV A=2"]}, {"image_id", "import"}, "import")
    results = five_steps(play, case)
    assert "A=2" in results[-1]["image"]["Config"]["Env"]


def test_an_import_follows_the_content_of_its_archive(play: Play, rootfs_archive: Path, tmp_path: Path) -> None:
    archive = tmp_path / "rootfs.tar"
    task = Task("image", {"name": "five/import:1", "source": "import", "path": str(archive)})
    shutil.copy(rootfs_archive, archive)
    (first,) = play([task])
    shutil.copy(rootfs_archive, archive)  # another file, the same content
    (touched,) = play([task])
    archive.write_bytes(rootfs_archive.read_bytes() + bytes(10240))
    (other,) = play([task])
    assert [first["changed"], touched["changed"], other["changed"]] == [True, False, True]
