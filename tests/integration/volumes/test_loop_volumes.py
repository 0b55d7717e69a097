"""Volumes of the driver loop, driven by Docker's command line and seen as the kernel sees them.

Loop devices are the whole machine's: every test looks at those alone whose file lies below its agent's place.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.private_agent import REPOSITORY, PrivateAgent

DEADLINE_SECONDS = 30.0
IMAGE = "busybox:test"
TOOLS = REPOSITORY / ".tools"


@pytest.fixture(scope="module")
def agent(rootfs_archive: Path) -> Iterator[PrivateAgent]:
    """An agent for this file, which is killed and started again; with mkfs.xfs where scripts/test has fetched it."""
    made = PrivateAgent()
    libraries = ":".join(str(path) for path in (TOOLS / "root" / "usr" / "lib").glob("*-linux-gnu"))
    made.extra_environment = {
        "PATH": f"{made.environment()['PATH']}:{TOOLS / 'bin'}",
        "LD_LIBRARY_PATH": libraries,
    }
    with made:
        if not Path("/dev/loop-control").exists():
            pytest.skip("this machine has no loop devices")
        made.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), IMAGE)
        yield made


@pytest.fixture
def name(agent: PrivateAgent, request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for a volume and a container of it; both are gone afterwards, and so is the loop device."""
    chosen = f"v{abs(hash(request.node.nodeid)) % 10**10}"
    yield chosen
    agent.docker("rm", "-f", chosen, check=False)
    agent.docker("volume", "rm", "-f", chosen, check=False)
    _wait(lambda: not agent.loop_devices(), f"loop devices that are not given back: {agent.loop_devices()}")
    assert not (agent.data_root / "volumes" / chosen).exists()


@pytest.fixture
def fstype(agent: PrivateAgent, request: pytest.FixtureRequest) -> str:
    """A file system that the host can make."""
    kind: str = getattr(request, "param", "ext4")
    if agent.run(f"mkfs.{kind}", "-V", check=False).returncode != 0:
        pytest.skip(f"mkfs.{kind} is not on this machine (scripts/test fetches it)")
    return kind


BOTH = pytest.mark.parametrize("fstype", ["ext4", "xfs"], indirect=True)


def image(agent: PrivateAgent, name: str) -> Path:
    return agent.data_root / "volumes" / name / "disk.img"


def made(agent: PrivateAgent, name: str, fstype: str, size: str = "400m") -> None:
    agent.docker("volume", "create", "-d", "loop", "-o", f"size={size}", "-o", f"fstype={fstype}", name)


def held(agent: PrivateAgent, name: str, script: str = "exec sleep 1000") -> None:
    """A container of that name with the volume at /data."""
    agent.docker("run", "-d", "--name", name, "-v", f"{name}:/data", IMAGE, "sh", "-c", script)


def inside(agent: PrivateAgent, name: str, script: str) -> str:
    return agent.out("exec", name, "sh", "-c", script)


def megabytes(agent: PrivateAgent, name: str) -> int:
    """What df shows as the size."""
    return int(inside(agent, name, "df -m /data | tail -n 1 | awk '{print $(NF-4)}'"))


def inspected(agent: PrivateAgent, name: str) -> Any:
    return json.loads(agent.out("volume", "inspect", name))[0]


def grown(agent: PrivateAgent, name: str, **options: str) -> Any:
    """The answer to the volume declared with these options."""
    resource = {"kind": "volume", "name": name, "driver": "loop", "driver_options": options}
    done = agent.run(
        "curl", "-s", "--unix-socket", str(agent.socket), "-H", "Content-Type: application/json",
        "-d", json.dumps({"resources": [resource]}), "http://localhost/wherry/v1/apply",
    )  # fmt: skip
    return json.loads(done.stdout)


def _wait(condition: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


@BOTH
def test_a_volume_has_its_size_and_takes_disk_only_for_what_is_written(
    agent: PrivateAgent, name: str, fstype: str
) -> None:
    made(agent, name, fstype)
    file = image(agent, name)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_size == 400 << 20
    assert not agent.loop_devices()

    held(agent, name)
    assert len(agent.loop_devices()) == 1
    assert 330 <= megabytes(agent, name) <= 400
    assert inside(agent, name, "ls -A /data") == ""
    mount = inside(agent, name, "grep ' /data ' /proc/mounts").split()
    assert mount[2] == fstype
    assert {"rw", "nosuid", "nodev"} <= set(mount[3].split(","))
    thin = file.stat().st_blocks * 512
    assert thin < (40 if fstype == "ext4" else 80) << 20  # xfs writes its log of 64 MiB when it is made

    inside(agent, name, "dd if=/dev/urandom of=/data/file bs=1M count=60 2>/dev/null; sync")
    assert file.stat().st_blocks * 512 > thin + (50 << 20)
    status = inspected(agent, name)["Status"]
    assert (status["Size"], status["FileSystem"], status["Image"]) == (400 << 20, fstype, str(file))
    assert status["Allocated"] > thin
    assert status["Device"] == f"/dev/{agent.loop_devices()[0]}"
    # What is removed is given back to the host's disk, without anybody asking for it.
    inside(agent, name, "rm /data/file")

    def is_thin_again() -> bool:
        inside(agent, name, "sync")  # xfs frees blocks of removed files in the background, and discards with its log
        return file.stat().st_blocks * 512 < thin + (20 << 20)

    _wait(is_thin_again, "what was removed still takes the host's disk")

    agent.docker("rm", "-f", name)
    _wait(lambda: not agent.loop_devices(), "the loop device stayed")
    assert "Device" not in inspected(agent, name)["Status"]


def test_a_full_volume_says_so_and_the_host_is_not_touched(agent: PrivateAgent, name: str, fstype: str) -> None:
    made(agent, name, fstype, "32m")
    held(agent, name)
    done = agent.docker("exec", name, "dd", "if=/dev/zero", "of=/data/file", "bs=1M", "count=64", check=False)
    assert b"No space left on device" in done.stderr
    assert inside(agent, name, "rm /data/file; echo well >/data/file; cat /data/file") == "well"


@BOTH
def test_a_volume_is_grown_in_place(agent: PrivateAgent, name: str, fstype: str) -> None:
    made(agent, name, fstype)
    held(agent, name)
    inside(agent, name, "echo kept >/data/file")
    answer = grown(agent, name, size="900m", fstype=fstype)
    if fstype == "ext4" and not _has_resource_capability():
        assert "CAP_SYS_RESOURCE" in answer["message"]
        assert megabytes(agent, name) <= 400
        assert image(agent, name).stat().st_size == 400 << 20
        agent.docker("stop", "-t", "0", name)
        answer = grown(agent, name, size="900m", fstype=fstype)
        agent.docker("start", name)
    assert [action["action"] for action in answer["actions"]] == ["update"]
    assert 800 <= megabytes(agent, name) <= 900
    assert inside(agent, name, "cat /data/file") == "kept"
    assert inspected(agent, name)["Options"]["size"] == "900m"
    # Declared again, in another spelling: nothing to do.
    assert not grown(agent, name, size=str(900 << 20), fstype=fstype)["changed"]
    refused = grown(agent, name, size="500m", fstype=fstype)
    assert refused["field"] == "driver_options.size"
    assert "cannot be made smaller" in refused["message"]
    agent.docker("stop", "-t", "0", name)
    grown(agent, name, size="1200m", fstype=fstype)
    agent.docker("start", name)
    assert megabytes(agent, name) > 1000
    assert inside(agent, name, "cat /data/file") == "kept"


def _has_resource_capability() -> bool:
    lines = Path("/proc/self/status").read_text().splitlines()
    effective = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(effective >> 24 & 1)


def test_a_running_container_keeps_its_volume_when_the_agent_is_killed(
    agent: PrivateAgent, name: str, fstype: str
) -> None:
    made(agent, name, fstype)
    held(agent, name)
    before = agent.loop_devices()
    agent.restart(crash=True)
    assert agent.loop_devices() == before
    assert inside(agent, name, "echo on >/data/file; cat /data/file") == "on"
    # A second one, and the first one's end, by the next agent: the device is shared, and goes with the last.
    assert agent.out("run", "--rm", "-v", f"{name}:/data", IMAGE, "cat", "/data/file") == "on"
    assert agent.loop_devices() == before
    agent.docker("rm", "-f", name)
    _wait(lambda: not agent.loop_devices(), "the loop device stayed")


def test_what_a_killed_agent_had_mounted_for_nobody_is_taken_back(agent: PrivateAgent, name: str, fstype: str) -> None:
    made(agent, name, fstype)
    held(agent, name)
    record = next((agent.exec_root / "containers").glob("*/state.json"))
    state = json.loads(record.read_text())
    agent.kill()
    # The container and its monitor go too, as in a power cut, so that nobody tells of the end.
    for pid in (state["monitor_pid"], state["pid"]):
        os.kill(pid, signal.SIGKILL)
    agent.start()
    _wait(lambda: agent.out("inspect", "-f", "{{.State.Running}}", name) == "false", "the container is still there")
    _wait(lambda: not agent.loop_devices(), "the loop device stayed")
    mounted = agent.run("cat", "/proc/self/mountinfo").stdout.decode()
    assert f"/volumes/{name}/" not in mounted


def test_a_new_volume_is_filled_from_the_image(agent: PrivateAgent, name: str, fstype: str) -> None:
    made(agent, name, fstype)
    listed = agent.out("run", "--rm", "-v", f"{name}:/etc", IMAGE, "ls", "/etc")
    assert "passwd" in listed.split()


def test_use_prune_and_disk_usage_are_as_with_any_volume(agent: PrivateAgent, name: str, fstype: str) -> None:
    made(agent, name, fstype)
    held(agent, name)
    refused = agent.docker("volume", "rm", name, check=False)
    assert b"volume is in use" in refused.stderr
    usage = next(one for one in agent.client().df()["Volumes"] if one["Name"] == name)
    assert 0 < usage["UsageData"]["Size"] < 40 << 20
    assert usage["UsageData"]["RefCount"] == 1
    assert agent.out("volume", "ls", "-q", "-f", "driver=loop") == name
    agent.docker("rm", "-f", name)
    assert name in agent.out("volume", "prune", "-f", "--filter", "all=true")


def test_a_container_brings_its_own_volume(agent: PrivateAgent, name: str) -> None:
    mount = f"type=volume,source={name},target=/data,volume-driver=loop,volume-opt=size=64m"
    assert int(agent.out("run", "--rm", "--mount", mount, IMAGE, "stat", "-f", "-c", "%b", "/data")) > 10000
    refused = agent.docker("volume", "create", "-d", "loop", "-o", "size=65m", name, check=False)
    assert b"already exists with other options" in refused.stderr
    assert agent.out("volume", "create", "-d", "loop", "-o", f"size={64 << 20}", name) == name


def test_a_host_without_the_program_says_which_and_in_which_package(agent: PrivateAgent, name: str) -> None:
    program = agent.run("sh", "-c", "readlink -f $(command -v mkfs.ext4)").stdout.decode().strip()
    # Hidden in the agent's own mount namespace, all of its names.
    hidden = [path for path in ("/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4", program) if Path(path).exists()]
    for path in hidden:
        agent.run("mount", "--bind", "/dev/null", path)
    try:
        refused = agent.docker("volume", "create", "-d", "loop", "-o", "size=64m", name, check=False)
    finally:
        for path in reversed(hidden):
            agent.run("umount", path)
    assert b"it has no program mkfs.ext4 (package e2fsprogs)" in refused.stderr
    assert name not in agent.out("volume", "ls", "-q").split()
