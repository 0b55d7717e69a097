"""Namespaces: new ones, joined ones, user namespaces and their mappings, names and kernel parameters."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of, wait_until

KINDS = ["pid", "net", "ipc", "uts", "mnt", "cgroup"]


@pytest.fixture
def holder() -> Iterator[int]:
    """A process with network, IPC and UTS namespaces of its own."""
    process = subprocess.Popen(
        ["unshare", "-n", "-i", "-u", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.wait()


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_has_namespaces_of_its_own(runtime: Runtime, kind: str) -> None:
    assert runtime.output(f"readlink /proc/self/ns/{kind}") != namespace_of("self", kind)


def test_a_namespace_that_is_not_listed_is_the_runtimes(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "network"]
    assert runtime.output("readlink /proc/self/ns/net") == namespace_of("self", "net")


@pytest.mark.parametrize(("kind", "name"), [("network", "net"), ("ipc", "ipc"), ("uts", "uts")])
def test_a_namespace_is_joined_by_its_path(runtime: Runtime, bundle: Bundle, holder: int, kind: str, name: str) -> None:
    if kind == "uts":
        del bundle.config["hostname"]
    bundle.namespace(kind, f"/proc/{holder}/ns/{name}")
    assert runtime.output(f"readlink /proc/self/ns/{name}") == namespace_of(holder, name)


def test_a_pid_namespace_is_joined_by_its_path(runtime: Runtime, bundle: Bundle) -> None:
    first = runtime.start()
    bundle.namespace("pid", f"/proc/{first}/ns/pid")
    bundle.linux["cgroupsPath"] += "-second"
    assert runtime.output("readlink /proc/self/ns/pid") == namespace_of(first, "pid")
    assert runtime.output("echo $$") != "1"


def test_a_mount_namespace_is_joined_by_its_path(runtime: Runtime, bundle: Bundle) -> None:
    first = runtime.start()
    bundle.namespace("mount", f"/proc/{first}/ns/mnt")
    for key in ("mounts", "root", "hostname"):
        del bundle.config[key]
    for key in ("maskedPaths", "readonlyPaths"):
        del bundle.linux[key]
    bundle.linux["cgroupsPath"] += "-second"
    bundle.process["args"] = ["readlink", "/proc/1/ns/mnt"]
    bundle.namespace("pid", f"/proc/{first}/ns/pid")
    assert runtime.run().stdout.strip() == namespace_of(first, "mnt")


def test_a_path_that_is_no_namespace_is_refused_and_leaves_nothing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("network", "/etc/hostname")
    done = runtime.run(check=False)
    assert "join network namespace /etc/hostname" in done.stderr


def test_the_names_of_the_host_are_set_inside_only(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["domainname"] = "example.org"
    before = os.uname().nodename
    assert runtime.output("hostname; cat /proc/sys/kernel/domainname").split() == ["inside", "example.org"]
    assert os.uname().nodename == before


def test_kernel_parameters_of_the_containers_namespaces_are_set(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {
        "net.ipv4.ip_forward": "1",
        "kernel.shm_rmid_forced": "1",
        "net/ipv4/ping_group_range": "0 5",
    }
    script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ping_group_range"
    assert runtime.output(script).split() == ["1", "1", "0", "5"]


def test_kernel_parameters_are_set_without_a_proc_in_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["sysctl"] = {"kernel.shm_rmid_forced": "1"}
    bundle.linux["maskedPaths"] = bundle.linux["readonlyPaths"] = []
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["type"] != "proc"]
    runtime.run("true")


@pytest.mark.parametrize("name", ["kernel.core_pattern", "vm.swappiness", "kernel.sysrq", "net", "net..ipv4"])
def test_a_kernel_parameter_of_the_host_is_refused(runtime: Runtime, bundle: Bundle, name: str) -> None:
    bundle.linux["sysctl"] = {name: "1"}
    done = runtime.run(check=False)
    assert f"linux.sysctl.{name}" in done.stderr


def test_a_user_namespace_maps_ids(runtime: Runtime, bundle: Bundle) -> None:
    bundle.user_namespace()
    pid = runtime.start("id -u; id -G; cat /proc/self/uid_map; touch /made; echo > /dev/null && echo null; sleep 1000")
    wait_until(lambda: "null" in runtime.text(), f"the program does not run: {runtime.text()}")
    words = runtime.text().split()
    assert words == ["0", "0", "0", "100000", "65536", "null"]
    assert Path(f"/proc/{pid}").stat().st_uid == 100000
    assert (bundle.rootfs / "made").stat().st_uid == 100000
    assert runtime("exec", "kept", "id", "-u").stdout.strip() == "0"
    assert runtime("exec", "kept", "cat", "/proc/self/uid_map").stdout.split() == ["0", "100000", "65536"]


def test_a_user_namespace_needs_mappings(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user")
    assert "linux.uidMappings" in runtime.run(check=False).stderr


def test_processes_of_a_cgroup_namespace_see_themselves_at_its_root(runtime: Runtime) -> None:
    groups = {line.split(":", 2)[2] for line in runtime.output("cat /proc/self/cgroup").splitlines() if line[0] != "0"}
    assert groups == {"/"}


@pytest.mark.parametrize("kinds", [["user"], ["user", "pid", "network"]])
def test_a_user_namespace_is_joined_by_its_path(runtime: Runtime, bundle: Bundle, kinds: list[str]) -> None:
    bundle.user_namespace()
    first = runtime.start()
    names = {"user": "user", "pid": "pid", "network": "net"}
    for kind in kinds:
        bundle.namespace(kind, f"/proc/{first}/ns/{names[kind]}")
    del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
    bundle.linux["cgroupsPath"] += "-second"
    bundle.process["args"] = [
        "sh",
        "-c",
        "id -u; readlink /proc/self/ns/user; readlink /proc/self/ns/pid; hostname; exit 5",
    ]
    done = runtime.run(check=False)
    uid, user, pid, hostname = done.stdout.split()
    assert done.returncode == 5, done.stderr
    assert (uid, user, hostname) == ("0", namespace_of(first, "user"), "inside")
    assert (pid == namespace_of(first, "pid")) == ("pid" in kinds)


def test_a_user_namespace_that_cannot_be_joined_is_told(runtime: Runtime, bundle: Bundle) -> None:
    bundle.namespace("user", "/proc/self/ns/user")
    assert "join the user namespace: Invalid argument" in runtime.run(check=False).stderr
