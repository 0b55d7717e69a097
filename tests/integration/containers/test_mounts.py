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


def test_inspect_shows_a_tmpfs_that_is_a_mount(api: docker_py.DockerClient, busybox: str, name: str) -> None:
    mounts = [docker_py.types.Mount("/mount/", None, type="tmpfs", tmpfs_size=1 << 20)]
    container = api.containers.create(busybox, "true", name=name, mounts=mounts, tmpfs={"/option": ""})
    mount = {"Type": "tmpfs", "Source": "", "Destination": "/mount", "Mode": "", "RW": True, "Propagation": ""}
    assert container.attrs["Mounts"] == [mount]
    container.remove()


def part(volume: str, subpath: str, extra: str = "") -> tuple[str, str]:
    return "--mount", f"type=volume,src={volume},dst=/part,volume-subpath={subpath}{extra}"


def test_a_part_of_a_volume_is_mounted_by_itself(agent: PrivateAgent, run: Run, name: str) -> None:
    run("mkdir -p /v/a/b; echo deep > /v/a/b/file; echo top > /v/top", "-v", f"{name}:/v")
    assert run("ls /part; cat /part/file; echo new > /part/new", *part(name, "a/b")) == "file\ndeep"
    assert run("cat /part", *part(name, "a/b/new")) == "new"
    assert "Read-only" in run("echo x 2>&1 > /part/x || true", *part(name, "a", ",readonly"))
    agent.docker("volume", "rm", name)


def test_a_part_never_lies_outside_of_its_volume(
    agent: PrivateAgent, busybox: str, run: Run, host: Path, name: str
) -> None:
    (host / "canary").write_text("the host's")
    run(f"ln -s {host} /v/absolute; ln -s ../../../../../../..{host} /v/climbing", "-v", f"{name}:/v")
    for link in ("absolute", "climbing", "missing"):
        refused = agent.docker("run", "--rm", *part(name, link), busybox, "ls", "/part", check=False)
        assert f"cannot access path {link} of volume {name}" in refused.stderr.decode()
        assert "canary" not in refused.stdout.decode()
    for path in ("../x", "/etc"):
        refused = agent.docker("create", *part(name, path), busybox, "true", check=False)
        assert "subpath must be a relative path within" in refused.stderr.decode()
    agent.docker("volume", "rm", name)


def test_read_only_binds_are_so_all_the_way_down_unless_told_otherwise(
    agent: PrivateAgent, run: Run, host: Path
) -> None:
    (host / "below").mkdir()
    agent.run("mount", "-t", "tmpfs", "tmpfs", str(host / "below"))
    try:
        touch = "touch /b/below/x 2>&1 || true; rm -f /b/below/x 2>/dev/null"
        assert "Read-only file system" in run(touch, "-v", f"{host}:/b:ro")
        bind = f"type=bind,src={host},dst=/b,readonly"
        assert run(touch, "--mount", f"{bind},bind-recursive=writable") == ""
        forced = f"{bind},bind-recursive=readonly,bind-propagation=rprivate"
        assert "Read-only file system" in run(touch, "--mount", forced)
    finally:
        agent.run("umount", str(host / "below"))


def test_forcing_what_cannot_be_is_refused(agent: PrivateAgent, busybox: str, host: Path) -> None:
    api = agent.client().api
    mount = {"Type": "bind", "Source": str(host), "Target": "/b", "BindOptions": {"ReadOnlyForceRecursive": True}}
    with pytest.raises(docker_py.errors.APIError, match="ReadOnly must be true"):
        api.create_container(busybox, "true", host_config={"Mounts": [mount]})


def test_ipc_none_has_no_shared_memory(run: Run) -> None:
    assert run("grep -c /dev/shm /proc/mounts; readlink /proc/self/ns/ipc", "--ipc", "none").startswith("0\nipc:")
