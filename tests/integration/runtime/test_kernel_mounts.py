"""The file systems of the kernel: sysfs, proc, mqueue, devpts, control groups; with and without own namespaces."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of

MAGIC = {"sysfs": "62656572", "proc": "9fa0", "mqueue": "19800202", "tmpfs": "1021994", "cgroup2": "63677270"}


def _mqueue(bundle: Bundle) -> None:
    bundle.mount("/dev/mqueue", "mqueue", "nosuid", "noexec", "nodev", kind="mqueue")


@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_each_shows_the_containers_own_namespace(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    _mqueue(bundle)
    if user:
        bundle.user_namespace()
    output = runtime.output("ls /sys/class/net; readlink /proc/self; stat -f -c %t /sys /proc /dev/mqueue; echo $$")
    words = output.split()
    assert words[0] == "lo"
    assert words[-4:-1] == [MAGIC["sysfs"], MAGIC["proc"], MAGIC["mqueue"]]
    assert words[-1] == "1"


@pytest.mark.parametrize(("kind", "path"), [("network", "/sys"), ("pid", "/proc"), ("ipc", "/dev/mqueue")])
def test_what_shows_a_namespace_of_the_host_is_bound_where_it_may_not_be_mounted(
    runtime: Runtime, bundle: Bundle, kind: str, path: str
) -> None:
    _mqueue(bundle)
    bundle.user_namespace()
    bundle.without_namespace(kind)
    bundle.linux["maskedPaths"] = []
    bundle.linux["readonlyPaths"] = ["/proc/sys"]
    bundle.shell(f"stat -f -c %t {path}; grep ' {path} ' /proc/self/mountinfo; ls /sys/class/net; cat /proc/1/comm")
    # A host that has mounted them all.
    done = runtime.run_beside(
        "mount -t tmpfs tmpfs /dev; "
        "for i in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 /dev/${i%:*} c 1 ${i#*:}; done; "
        "mknod /dev/tty c 5 0; mkdir /dev/mqueue; mount -t mqueue mqueue /dev/mqueue"
        if kind == "ipc"
        else ":"
    )
    words = done.stdout.split()
    type_name = {"/sys": "sysfs", "/proc": "proc", "/dev/mqueue": "mqueue"}[path]
    assert words[0] == MAGIC[type_name]
    assert {"nosuid", "nodev", "noexec"} <= set(words[6].split(","))
    if kind == "network":
        assert {path.name for path in Path("/sys/class/net").iterdir()} <= set(words)
        assert "ro" in words[6].split(",")
    if kind == "pid":
        assert words[-1] == Path("/proc/1/comm").read_text().strip()


def test_a_namespace_of_its_own_is_never_replaced_by_the_hosts(runtime: Runtime, bundle: Bundle) -> None:
    # A network namespace of the host's user namespace, which the container's may not show.
    bundle.user_namespace()
    bundle.namespace("network", "/proc/self/ns/net")
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] != "/dev/mqueue"]
    done = runtime.run(check=False)
    assert "mount sysfs on /sys: Operation not permitted" in done.stderr


@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_terminals_are_the_containers_own(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/dev/pts":
            mount["options"] = ["newinstance", "ptmxmode=0666", "mode=0620", "gid=5", "max=7", "nosuid"]
    if user:
        bundle.user_namespace()
    output = runtime.output("ls /dev/pts; stat -c %a /dev/pts/ptmx; grep ' /dev/pts ' /proc/self/mountinfo")
    assert output.split()[:2] == ["ptmx", "666"]
    assert "mode=620" in output
    assert "max=7" in output


@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_the_v2_tree_alone_is_mounted_where_it_is_asked_for(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    if not any(
        (path / "cgroup.controllers").exists() for path in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    ):
        pytest.skip("no cgroup v2 here")
    bundle.mount("/sys/fs/cgroup", "cgroup2", "ro", "nosuid", kind="cgroup2")
    if user:
        bundle.user_namespace()
    done = runtime.run("stat -f -c %t /sys/fs/cgroup; mkdir /sys/fs/cgroup/x; true")
    assert done.stdout.strip() == MAGIC["cgroup2"]
    assert "Read-only file system" in done.stderr


@pytest.mark.parametrize("words", [["memory"], ["nsdelegate"], ["sync"]])
def test_an_option_of_a_hierarchy_is_refused(runtime: Runtime, bundle: Bundle, words: list[str]) -> None:
    bundle.mount("/sys/fs/cgroup", "cgroup", *words, kind="cgroup")
    done = runtime.run(check=False)
    assert "not supported for control groups" in done.stderr
    assert words[0] in done.stderr


@pytest.mark.parametrize("words", [["ro"], ["rro"]])
def test_control_groups_are_read_only_all_through(runtime: Runtime, bundle: Bundle, words: list[str]) -> None:
    bundle.mount("/sys/fs/cgroup", "cgroup", *words, kind="cgroup")
    lines = [line.split() for line in runtime.output("grep /sys/fs/cgroup /proc/self/mountinfo").splitlines()]
    assert len(lines) > 1
    assert all("ro" in one[5].split(",") for one in lines)


@pytest.mark.parametrize("own", [True, False], ids=["namespace", "host"])
def test_control_groups_are_shown_in_a_user_namespace(runtime: Runtime, bundle: Bundle, own: bool) -> None:
    bundle.mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec", kind="cgroup")
    bundle.user_namespace()
    if not own:
        bundle.without_namespace("cgroup")
    assert runtime.output("cat /sys/fs/cgroup/memory/cgroup.procs").split()[0] == "1"


def test_a_procfs_option_is_handed_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"][0]["options"].append("hidepid=invisible")
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    pid = runtime.start("sleep 1000")
    assert namespace_of(pid, "pid")
    runtime("exec", "--user", "0", "--detach", "kept", "sleep", "1000", stdout=subprocess.DEVNULL)
    listed = runtime("exec", "--user", "1000:1000", "kept", "ls", "/proc").stdout.split()
    assert [word for word in listed if word.isdigit() and word not in {"1"}] != []
    assert "2" not in listed


def test_the_example_configuration_runs_with_all_its_mounts(runtime: Runtime, bundle: Bundle) -> None:
    cgroup = bundle.linux["cgroupsPath"]
    runtime("spec", "--bundle", str(bundle.path))
    bundle.config = json.loads((bundle.path / "config.json").read_text())
    bundle.linux["cgroupsPath"] = cgroup
    bundle.process.update(env=["PATH=/bin"], terminal=False)
    points = [line.split()[4] for line in runtime.output("cat /proc/self/mountinfo").splitlines()]
    assert {one["destination"] for one in bundle.config["mounts"]} <= set(points)
    assert "/sys/fs/cgroup" in points
