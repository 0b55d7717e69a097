"""Volumes, binds and tmpfs as the container sees them."""

from __future__ import annotations

from pathlib import Path

import docker as docker_py
import pytest

from tests.integration.containers.conftest import Run
from tests.integration.support.private_agent import PrivateAgent


@pytest.fixture
def host(agent: PrivateAgent, name: str) -> Path:
    """A directory of the host."""
    directory = agent.place / name
    directory.mkdir()
    return directory


def test_bind_is_the_hosts_directory(run: Run, host: Path) -> None:
    (host / "in").write_text("from host")
    assert run("cat /b/in; echo from container > /b/out", "-v", f"{host}:/b") == "from host"
    assert (host / "out").read_text() == "from container\n"


def test_read_only_bind_cannot_be_written(run: Run, host: Path) -> None:
    assert "Read-only file system" in run("touch /b/x 2>&1; true", "-v", f"{host}:/b:ro")


def test_missing_source_is_made_for_binds_and_refused_for_mounts(
    agent: PrivateAgent, busybox: str, run: Run, host: Path
) -> None:
    run("true", "-v", f"{host}/new:/b")
    assert (host / "new").is_dir()
    option = f"type=bind,source={host}/other,target=/b"
    done = agent.docker("run", "--rm", "--mount", option, busybox, "true", check=False)
    assert b"bind source path does not exist" in done.stderr
    assert not (host / "other").exists()


def test_new_volume_gets_what_the_image_has_and_keeps_what_is_written(agent: PrivateAgent, run: Run, name: str) -> None:
    volume = ("-v", f"{name}:/etc")
    assert "passwd" in run("ls /etc; echo x > /etc/mine", *volume)
    assert run("cat /etc/mine; rm /etc/passwd", *volume) == "x"
    assert "passwd" not in run("ls /etc", *volume)
    agent.docker("volume", "rm", name)


def test_nocopy_leaves_a_volume_empty(agent: PrivateAgent, run: Run, name: str) -> None:
    assert "passwd" not in run("ls /etc", "-v", f"{name}:/etc:nocopy")
    agent.docker("volume", "rm", name)


def test_anonymous_volumes_go_with_the_container_and_named_ones_stay(agent: PrivateAgent, run: Run, name: str) -> None:
    before = agent.out("volume", "ls", "--quiet").split()
    run("true", "-v", "/a", "-v", f"{name}:/b")
    assert sorted(agent.out("volume", "ls", "--quiet").split()) == sorted([*before, name])
    agent.docker("volume", "rm", name)


def test_a_volume_in_use_is_not_removed(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, "-v", f"{name}:/b", busybox, "true")
    assert b"volume is in use" in agent.docker("volume", "rm", name, check=False).stderr
    agent.docker("rm", name)
    agent.docker("volume", "rm", name)


def test_volumes_from_another_container(agent: PrivateAgent, busybox: str, run: Run, name: str) -> None:
    agent.docker("run", "--name", name, "-v", "/shared", busybox, "sh", "-c", "echo x > /shared/file")
    assert run("cat /shared/file; touch /shared/y 2>&1; true", "--volumes-from", f"{name}:ro").splitlines() == [
        "x", "touch: /shared/y: Read-only file system",
    ]  # fmt: skip


def test_tmpfs_has_its_size_and_options(run: Run) -> None:
    shown = run("grep ' /t ' /proc/mounts; stat -c %a /t", "--tmpfs", "/t:size=1m,mode=700")
    assert "size=1024k" in shown
    assert "noexec" in shown
    assert shown.endswith("700")


def test_read_only_root_leaves_mounts_writable(run: Run) -> None:
    shown = run("touch /x 2>&1; touch /t/x && echo fine", "--read-only", "--tmpfs", "/t")
    assert shown.splitlines() == ["touch: /x: Read-only file system", "fine"]


def test_shared_memory_has_its_size_and_can_be_shared(agent: PrivateAgent, busybox: str, run: Run, name: str) -> None:
    assert "2048" in run("df -k /dev/shm", "--shm-size", "2m")
    agent.docker(
        "run", "--detach", "--name", name, "--ipc", "shareable", busybox, "sh", "-c", "echo x > /dev/shm/f; sleep 100"
    )
    assert run("sleep 0.2; cat /dev/shm/f", "--ipc", f"container:{name}") == "x"


def test_inspect_shows_every_mount(api: docker_py.DockerClient, busybox: str, host: Path, name: str) -> None:
    container = api.containers.create(
        busybox,
        "true",
        name=name,
        volumes={str(host): {"bind": "/b", "mode": "ro"}, f"{name}-v": {"bind": "/v", "mode": "rw"}},
    )
    shown = {mount["Destination"]: (mount["Type"], mount["RW"]) for mount in container.attrs["Mounts"]}
    assert shown == {"/b": ("bind", False), "/v": ("volume", True)}
    container.remove()
    api.volumes.get(f"{name}-v").remove()
