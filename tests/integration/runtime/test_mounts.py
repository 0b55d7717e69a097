"""Mounts: binds, file systems, their options, propagation, the root, control groups."""

from __future__ import annotations

import ctypes
import struct
import subprocess
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


def _options(runtime: Runtime, point: str) -> list[str]:
    """The options of the mount that is on top at a point, as the container sees them."""
    lines = [line.split() for line in runtime.output("cat /proc/self/mountinfo").splitlines()]
    return [fields for fields in lines if fields[4] == point][-1][5].split(",")


def test_a_directory_is_bound_for_reading_and_writing(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/deep/down/target", str(tmp_path / "source"))
    runtime.run("echo word > /deep/down/target/file")
    assert (tmp_path / "source" / "file").read_text() == "word\n"


def test_a_read_only_bind_cannot_be_written(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/target", str(tmp_path / "source"), "ro", "nosuid", "nodev", "noexec")
    done = runtime.run("echo word > /target/file", check=False)
    assert "Read-only file system" in done.stderr
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(_options(runtime, "/target"))


def test_a_relative_source_is_taken_from_the_bundle(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.path / "beside").mkdir()
    (bundle.path / "beside" / "file").write_text("found")
    bundle.mount("/target", "beside")
    assert runtime.output("cat /target/file") == "found"


def test_a_file_is_bound_over_a_file_that_is_made_for_it(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "hosts").write_text("127.0.0.1 localhost\n")
    bundle.mount("/etc/new/hosts", str(tmp_path / "hosts"))
    assert runtime.output("cat /etc/new/hosts") == "127.0.0.1 localhost"


def test_a_recursive_bind_brings_what_is_mounted_below(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    # A mount namespace of the test's own holds the mount below the source.
    (tmp_path / "source" / "below").mkdir(parents=True)
    bundle.mount("/target", str(tmp_path / "source"), "rbind", "rro")
    bundle.shell("touch /target/below/file; cat /proc/self/mountinfo")
    bundle.write()
    command = " ".join(runtime.command("run", "-b", str(bundle.path), "once"))
    script = f"mount -t tmpfs tmpfs {tmp_path}/source/below && exec {command}"
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    assert "Read-only file system" in done.stderr
    assert [
        line.split()[5].split(",")[0] for line in done.stdout.splitlines() if line.split()[4] == "/target/below"
    ] == ["ro"]


def test_what_is_mounted_inside_does_not_show_on_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/target", str(tmp_path / "source"))
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name] = ["CAP_SYS_ADMIN"]
    script = f"""mount --make-rshared / && mount --bind {tmp_path}/source {tmp_path}/source || exit
        {" ".join(runtime.command("run", "-b", str(bundle.path), "once"))}
        grep -c {tmp_path}/source /proc/self/mountinfo"""
    bundle.shell("mount -t tmpfs tmpfs /target && grep -c ' /target ' /proc/self/mountinfo")
    bundle.write()
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "1"], done.stderr


def test_a_shared_bind_shows_on_the_host(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/target", str(tmp_path / "source"), "rshared")
    bundle.linux["rootfsPropagation"] = "shared"
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name] = ["CAP_SYS_ADMIN"]
    script = f"""mount --make-rshared / && mount --bind {tmp_path}/source {tmp_path}/source || exit
        {" ".join(runtime.command("run", "-b", str(bundle.path), "once"))}
        grep -c {tmp_path}/source /proc/self/mountinfo"""
    bundle.shell("mount -t tmpfs tmpfs /target")
    bundle.write()
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True)
    # One bind without the container's tmpfs; with it that one, and what propagates to the mount below the bind.
    assert int(done.stdout) > 1, done.stderr


@pytest.mark.parametrize(("mode", "words"), [
    ("shared", ["shared"]), ("slave", []), ("private", []), ("unbindable", ["unbindable"])
])  # fmt: skip
def test_the_root_has_the_propagation_that_is_asked_for(
    runtime: Runtime, bundle: Bundle, mode: str, words: list[str]
) -> None:
    bundle.linux["rootfsPropagation"] = mode
    line = next(line for line in runtime.output("cat /proc/self/mountinfo").splitlines() if line.split()[4] == "/")
    optional = line.split(" - ", maxsplit=1)[0].split()[6:]
    assert [word.split(":")[0] for word in optional] == words


def test_a_tmpfs_has_the_options_that_are_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/scratch", "tmpfs", "size=64k", "mode=1770", "nosuid", "noexec", "uid=5", kind="tmpfs")
    line = runtime.output("stat -c '%a %u' /scratch; dd if=/dev/zero of=/scratch/file bs=1k count=100 2>&1; true")
    assert line.startswith("1770 5")
    assert "No space left" in line
    assert {"nosuid", "noexec"} <= set(_options(runtime, "/scratch"))


def test_a_tmpfs_takes_over_what_lay_under_it(runtime: Runtime, bundle: Bundle) -> None:
    below = bundle.rootfs / "var" / "data"
    (below / "sub").mkdir(parents=True)
    (below / "file").write_text("text")
    (below / "file").chmod(0o640)
    (below / "sub" / "link").symlink_to("../file")
    bundle.mount("/var/data", "tmpfs", "tmpcopyup", kind="tmpfs")
    output = runtime.output("cat /var/data/sub/link; stat -c ' %a' /var/data/file; echo new > /var/data/file")
    assert output == "text 640"
    assert (below / "file").read_text() == "text"


def test_an_option_that_a_file_system_does_not_know_is_refused_in_its_words(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/scratch", "tmpfs", "colour=blue", kind="tmpfs")
    done = runtime.run(check=False)
    assert done.returncode == 1
    assert "mount tmpfs on /scratch" in done.stderr
    assert "colour" in done.stderr


@pytest.mark.parametrize("option", ["size=1k", "sync", "async", "dirsync", "lazytime", "iversion", "mand", "rsync"])
def test_an_option_that_is_not_supported_for_a_bind_is_refused_by_name(
    runtime: Runtime, bundle: Bundle, option: str
) -> None:
    bundle.mount("/target", "/etc", option)
    done = runtime.run(check=False)
    assert option in done.stderr
    assert "not supported" in done.stderr


def test_a_mount_over_the_root_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/", "/etc")
    assert "mount on /" in runtime.run(check=False).stderr


def test_a_source_that_does_not_exist_is_named(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/target", "/nonexistent/source")
    assert "/nonexistent/source: No such file" in runtime.run(check=False).stderr


def test_a_read_only_root_cannot_be_written(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    assert "Read-only file system" in runtime.run("touch /file", check=False).stderr
    assert runtime.output("echo x > /dev/shm-file && cat /dev/shm-file") == "x"


def test_nothing_of_the_host_is_mounted_inside(runtime: Runtime) -> None:
    points = [line.split()[4] for line in runtime.output("cat /proc/self/mountinfo").splitlines()]
    assert points[0] == "/"
    assert points.count("/") == 1
    assert not [point for point in points if point.startswith("/mnt")]


def test_the_default_devices_and_links_are_there(runtime: Runtime) -> None:
    script = """cd /dev; stat -c '%n %t:%T %a' null zero full random urandom tty
        for i in fd stdin stdout stderr ptmx; do readlink $i; done"""
    lines = [line.strip() for line in runtime.output(script).splitlines()]
    assert lines == [
        "null 1:3 666", "zero 1:5 666", "full 1:7 666", "random 1:8 666", "urandom 1:9 666", "tty 5:0 666",
        "/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx",
    ]  # fmt: skip


def test_a_device_of_the_configuration_is_made(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        {"path": "/dev/sub/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/pipe", "type": "p"},
    ]
    output = runtime.output("stat -c '%t:%T %a %u %g' /dev/sub/fuse; stat -c %F /dev/pipe")
    assert output.splitlines() == ["a:e5 640 3 4", "fifo"]


def test_control_groups_are_shown_read_only_and_from_the_containers_own_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "nodev", "noexec", kind="cgroup")
    script = "cd /sys/fs/cgroup; cat memory/cgroup.procs; mkdir memory/x; mkdir x; ls"
    done = runtime.run(script, check=False)
    assert done.stdout.split()[0] == "1"
    assert done.stderr.count("Read-only file system") == 2
    assert {"memory", "cpu", "pids", "devices"} <= set(done.stdout.split())


def test_control_groups_without_a_namespace_show_the_containers_own_only(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "cgroup"]
    bundle.mount("/sys/fs/cgroup", "cgroup", "ro", kind="cgroup")
    assert runtime.output("cat /sys/fs/cgroup/memory/cgroup.procs").split()[0] == "1"


def _without_mount_setattr() -> None:
    """Makes mount_setattr fail with ENOSYS for this process and what it executes, as kernels before 5.12 do."""
    load_number, equal, fail, allow = 0x20, 0x15, 0x00050000 | 38, 0x7FFF0000
    code = b"".join(
        struct.pack("HBBI", *one)
        for one in [(load_number, 0, 0, 0), (equal, 0, 1, 442), (6, 0, 0, fail), (6, 0, 0, allow)]
    )
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(22, 2, ctypes.create_string_buffer(program)) == 0


def test_a_kernel_without_mount_setattr_is_served_too(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/target", str(tmp_path / "source"), "ro", "nosuid", "rprivate")
    bundle.config["root"]["readonly"] = True
    bundle.shell("touch /target/file; touch /file; echo x > /proc/sys/kernel/hostname")
    bundle.write()
    done = runtime("run", "-b", str(bundle.path), "once", check=False, preexec_fn=_without_mount_setattr)
    assert done.stderr.count("Read-only file system") == 3, done.stderr
    bundle.mount("/other", str(tmp_path / "source"), "rro")
    bundle.write()
    done = runtime("run", "-b", str(bundle.path), "once", check=False, preexec_fn=_without_mount_setattr)
    assert "Function not implemented" in done.stderr
