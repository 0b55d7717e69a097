"""Containers in user namespaces (``userns-remap``): who they are on the host, and what of it anybody notices."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.containers import v2_kernel
from tests.integration.support.private_agent import PrivateAgent

FIRST = 300000
RANGE = f"mapped:{FIRST}:65536\n"


@pytest.fixture(scope="module")
def remapped(rootfs_archive: Path) -> Iterator[PrivateAgent]:
    """An agent whose containers have the IDs that are granted to "mapped", in its own view of /etc."""
    agent = GrantedAgent({"userns-remap": "mapped"})
    with agent:
        agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), "busybox")
        yield agent


class GrantedAgent(PrivateAgent):
    """An agent that sees files of its own as /etc/subuid and /etc/subgid."""

    def start(self) -> None:
        for name in ("subuid", "subgid"):
            file = self.place / name
            if not file.exists():
                file.write_text(RANGE)
                self.run("sh", "-c", f"[ -e /etc/{name} ] && mount --bind {file} /etc/{name}")
        super().start()


def inspect(agent: PrivateAgent, name: str) -> Any:
    return json.loads(agent.out("inspect", name))[0]


def run(agent: PrivateAgent, script: str, *options: str) -> str:
    return agent.out("run", "--rm", *options, "busybox", "sh", "-c", script)


def test_root_of_a_container_is_an_ordinary_user_of_the_host(remapped: PrivateAgent) -> None:
    remapped.docker("run", "-d", "--name", "plain", "busybox", "sleep", "300")
    pid = inspect(remapped, "plain")["State"]["Pid"]
    status = Path(f"/proc/{pid}/status").read_text()
    assert f"Uid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}" in status
    assert f"Gid:\t{FIRST}\t{FIRST}\t{FIRST}\t{FIRST}" in status
    for kind in ("user", "net", "ipc", "uts", "pid", "cgroup", "mnt"):
        assert str(Path(f"/proc/{pid}/ns/{kind}").readlink()) != str(Path(f"/proc/self/ns/{kind}").readlink()), kind
    script = "id -u; stat -c %u:%g / /etc/passwd /etc/hosts /proc/1; touch /made; echo x >> /etc/hosts; echo done"
    shown = remapped.out("exec", "plain", "sh", "-c", script)
    assert shown.split() == ["0", "0:0", "0:0", "0:0", "0:0", "done"]
    assert remapped.out("exec", "-u", "7:8", "plain", "sh", "-c", "echo $(id -u):$(id -g)") == "7:8"
    # On disk stands what the container knows.
    upper = Path(inspect(remapped, "plain")["GraphDriver"]["Data"]["UpperDir"])
    assert (upper / "made").stat().st_uid == 0
    remapped.docker("rm", "-f", "plain")
    assert "name=userns" in remapped.out("info", "--format", "{{.SecurityOptions}}")


def test_it_can_do_what_root_of_a_container_can_do(remapped: PrivateAgent) -> None:
    script = """ping -c1 -w5 127.0.0.1 >/dev/null && echo ping; nc -l -p 80 & sleep 0.1; kill $! && echo port
        chown 5:6 /etc/passwd && su -s /bin/true nobody 2>/dev/null; mkdir /d && chmod 2755 /d && rmdir /d && echo files
        mount -t tmpfs x /mnt 2>/dev/null || echo confined; ls /sys/class/net; cat /proc/self/attr/none 2>/dev/null
        [ -w /dev/null ] && [ -r /dev/urandom ] && echo devices; echo out > /proc/self/fd/1"""
    shown = run(remapped, script).split()
    for word in ("ping", "port", "files", "confined", "eth0", "lo", "devices", "out"):
        assert word in shown, (word, shown)


def test_names_and_published_ports_work_as_without_it(remapped: PrivateAgent) -> None:
    remapped.docker("network", "create", "named")
    serve = "mkdir /w; echo served > /w/index.html; exec httpd -f -p 80 -h /w"
    remapped.docker("run", "-d", "--name", "server", "--network", "named", "--network-alias", "web", "-p",
                    "127.0.0.1:8473:80", "busybox", "sh", "-c", serve)  # fmt: skip
    ask = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://web/ && exit; sleep 1; done"
    assert run(remapped, ask, "--network", "named") == "served"
    assert b"served" in remapped.run("curl", "-s", "--retry", "9", "http://127.0.0.1:8473/").stdout
    remapped.docker("rm", "-f", "server")
    remapped.docker("network", "rm", "named")


def test_whoever_asks_for_the_hosts_users_has_them(remapped: PrivateAgent) -> None:
    assert run(remapped, "cat /proc/self/uid_map", "--userns", "host").split() == ["0", "0", "4294967295"]
    assert run(remapped, "id -u", "--userns", "host", "--privileged") == "0"
    for options, words in (
        (("--privileged",), b"privileged mode is incompatible with user namespaces"),
        (("--network", "host"), b"cannot share the host's network namespace"),
        (("--pid", "host"), b"cannot share the host PID namespace"),
    ):
        done = remapped.docker("run", "--rm", *options, "busybox", "true", check=False)
        assert done.returncode == 125
        assert words in done.stderr


def test_volumes_are_shared_and_directories_of_the_host_are_not(remapped: PrivateAgent) -> None:
    shared = ("-v", "kept:/etc")
    assert run(remapped, "stat -c %u /etc /etc/passwd; chown 9:9 /etc/passwd; touch /etc/new", *shared).split() == [
        "0",
        "0",
    ]
    assert run(remapped, "stat -c %u /etc/passwd /etc/new", *shared, "--userns", "host").split() == ["9", "0"]
    volume = Path(json.loads(remapped.out("volume", "inspect", "kept"))[0]["Mountpoint"])
    assert (volume / "new").stat().st_uid == 0
    part = "type=volume,source=kept,target=/part,volume-subpath=network"
    if (volume / "network").is_dir():
        assert run(remapped, "stat -c %u /part", "--mount", part) == "0"
    remapped.docker("volume", "rm", "kept")
    host = remapped.place / "host"
    host.mkdir(mode=0o755)
    (host / "secret").write_text("root's own")
    (host / "secret").chmod(0o600)
    shown = run(remapped, "stat -c %u /b /b/secret; cat /b/secret 2>&1; touch /b/x 2>&1; true", "-v", f"{host}:/b")
    assert shown.splitlines() == [
        "65534", "65534", "cat: can't open '/b/secret': Permission denied", "touch: /b/x: Permission denied",
    ]  # fmt: skip


def test_an_image_as_a_mount_and_shared_memory_belong_to_the_container(remapped: PrivateAgent) -> None:
    mount = ("--mount", "type=image,source=busybox,target=/i")
    assert run(remapped, "touch /i/x && stat -c %u /i/x /i/etc", *mount).split() == ["0", "0"]
    assert run(remapped, "touch /dev/shm/x && stat -c %u /dev/shm/x", "--ipc", "shareable") == "0"
    assert run(remapped, "touch /t/x && stat -c %u /t/x", "--tmpfs", "/t") == "0"


def owner_in(archive: bytes, name: str) -> tuple[int, int]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        member = tar.getmember(name)
        return member.uid, member.gid


@pytest.mark.parametrize("running", [True, False])
def test_copies_changes_and_images_show_the_owners_inside(remapped: PrivateAgent, running: bool) -> None:
    script = "touch /mine && chown 12:34 /mine && rm /etc/group"
    end = "; sleep 300" if running else ""
    remapped.docker("run", *(("-d",) if running else ()), "--name", "copied", "busybox", "sh", "-c", script + end)
    try:
        if running:
            remapped.docker("exec", "copied", "sh", "-c", "while [ -e /etc/group ]; do sleep 0.05; done")
        assert owner_in(remapped.docker("cp", "-a", "copied:/mine", "-").stdout, "mine") == (12, 34)
        given = io.BytesIO()
        with tarfile.open(fileobj=given, mode="w") as tar:
            entry = tarfile.TarInfo("put")
            entry.uid, entry.gid = 5, 6
            tar.addfile(entry)
        remapped.docker("cp", "-a", "-", "copied:/", input=given.getvalue())
        assert owner_in(remapped.docker("export", "copied").stdout, "put") == (5, 6)
        assert remapped.out("diff", "copied").split("\n") == ["C /etc", "D /etc/group", "A /mine", "A /put"]
        remapped.docker("commit", "copied", "committed")
        shown = run_image(remapped, "committed", "stat -c %u:%g /mine /put; ls /etc/group 2>&1; true")
        assert shown.splitlines() == ["12:34", "5:6", "ls: /etc/group: No such file or directory"]
    finally:
        remapped.docker("rm", "-f", "copied")
        remapped.docker("rmi", "-f", "committed", check=False)


def run_image(agent: PrivateAgent, image: str, script: str) -> str:
    return agent.out("run", "--rm", image, "sh", "-c", script)


def test_namespaces_of_another_container_are_joined_with_its_users(remapped: PrivateAgent) -> None:
    remapped.docker("run", "-d", "--name", "first", "--ipc", "shareable", "busybox", "sleep", "300")
    pid = inspect(remapped, "first")["State"]["Pid"]
    own = str(Path(f"/proc/{pid}/ns/user").readlink())
    for option in ("--network", "--pid", "--ipc"):
        shown = run(remapped, "readlink /proc/self/ns/user; touch /x && stat -c %u /x", option, "container:first")
        assert shown.split() == [own, "0"], option
    remapped.docker("run", "-d", "--name", "host-users", "--userns", "host", "busybox", "sleep", "300")
    done = remapped.docker("run", "--rm", "--network", "container:host-users", "busybox", "true", check=False)
    assert b"which has the host's users" in done.stderr
    remapped.docker("rm", "-f", "first", "host-users")


def test_the_agent_takes_running_containers_up_again_and_restarts_them(remapped: PrivateAgent) -> None:
    remapped.docker("run", "-d", "--name", "lasting", "--restart", "always", "busybox", "sleep", "300")
    remapped.restart(crash=True)
    assert remapped.out("exec", "lasting", "id", "-u") == "0"
    assert owner_in(remapped.docker("cp", "-a", "lasting:/etc/passwd", "-").stdout, "passwd") == (0, 0)
    remapped.docker("restart", "-t", "0", "lasting")
    assert remapped.out("exec", "lasting", "sh", "-c", "touch /again; stat -c %u /again") == "0"
    remapped.docker("rm", "-f", "lasting")
    assert list((remapped.exec_root / "userns").iterdir()) == []


_CASES = """
script = "touch /made; chown 5:6 /made; rm /etc/group; cat /proc/self/uid_map; exec sleep 60"
container = start("mapped", ["sh", "-c", script])
while len(container.logs().split()) < 3:
    time.sleep(0.1)
container.reload()
found["map"] = container.logs().decode().split()
found["host"] = open(f"/proc/{container.attrs['State']['Pid']}/status").read().split("Uid:")[1].split()[0]
found["inside"] = container.exec_run("stat -c %u:%g /made").output.decode().strip()
found["group"] = container.exec_run("cat /sys/fs/cgroup/pids.current").exit_code
found["volume"] = api.containers.run(
    "busybox", ["sh", "-c", "touch /v/x && stat -c %u /v /v/x"], network_mode="none", environment=environment,
    volumes={"kept": {"bind": "/v"}}, remove=True,
).decode().split()
container.remove(force=True)
"""


@pytest.mark.skipif(shutil.which("linux.uml") is None, reason="user-mode-linux is not installed")
def test_an_older_kernel_with_cgroup_v2_does_the_same(tmp_path: Path) -> None:
    """Its tmpfs cannot be mapped, so the agent's data are on ext4."""
    disk = f"{v2_kernel.QUOTA_DISK}; {v2_kernel.GRANTED_IDS}"
    found = v2_kernel.run_agent(tmp_path, _CASES, {"userns-remap": "mapped"}, disk=disk)
    assert found["map"] == ["0", str(FIRST), "65536"]
    assert (found["host"], found["inside"], found["group"]) == (str(FIRST), "5:6", 0)
    assert found["volume"] == ["0", "0"]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("nobody-has-granted-this", "grants nobody-has-granted-this 0 ranges of IDs"),
        ("default", "grants dockremap 0 ranges of IDs"),
        ("123456789", "no such user"),
    ],
)
def test_ids_that_nobody_granted_keep_the_agent_from_starting(setting: str, words: str) -> None:
    agent = GrantedAgent({"userns-remap": setting})
    with pytest.raises(AssertionError, match=words):
        agent.__enter__()
