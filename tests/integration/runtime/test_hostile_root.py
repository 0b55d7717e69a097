"""Images and containers that try to reach the host; the numbers are those of the attacks they repeat."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.runtime.harness import PROGRAM, Bundle, Runtime

F_SEAL_FUTURE_WRITE = 0x10  # linux/fcntl.h; Python has no name for it before 3.13
SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A directory of the host that has to stay as it is."""
    path = tmp_path / "canary"
    path.mkdir()
    return path


@pytest.mark.parametrize("name", ["dev", "proc", "sys", "dev/pts", "dev/shm", "etc"])
@pytest.mark.parametrize("form", ["absolute", "climbing"])
def test_a_link_in_the_image_does_not_lead_a_mount_to_the_host(
    runtime: Runtime, bundle: Bundle, canary: Path, name: str, form: str
) -> None:  # CVE-2026-41579, CVE-2019-16884
    target = str(canary) if form == "absolute" else "../" * 20 + str(canary).lstrip("/")
    path = bundle.rootfs / name
    if path.is_dir():
        path.rmdir()
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(target)
    bundle.mount("/etc/hosts", "/etc/hosts")
    bundle.linux["devices"] = [{"path": "/dev/shm/null", "type": "c", "major": 1, "minor": 3}]
    runtime.run("true", check=False)
    assert list(canary.iterdir()) == []


def test_a_proc_that_is_a_link_becomes_a_real_procfs_inside(runtime: Runtime, bundle: Bundle) -> None:  # CVE-2019-19921
    (bundle.rootfs / "proc").rmdir()
    (bundle.rootfs / "elsewhere").mkdir()
    (bundle.rootfs / "proc").symlink_to("/elsewhere")
    script = "stat -f -c %t /proc; stat -f -c %t /elsewhere; echo x > /proc/sys/kernel/hostname || echo ro"
    assert runtime.output(script).split() == ["9fa0", "9fa0", "ro"]


def test_a_dangling_link_is_made_good_inside(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (bundle.rootfs / "run").symlink_to("/var/run")
    bundle.mount("/run/data", str(tmp_path / "source"))
    runtime.run("test -d /var/run/data")
    assert (bundle.rootfs / "var" / "run" / "data").is_dir()


@pytest.mark.parametrize("target", ["../run/resolve/stub.conf", "/run/resolve/stub.conf", "../" * 20 + "run/stub.conf"])
def test_a_file_is_bound_over_a_dangling_link_by_what_it_points_to_inside(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, target: str
) -> None:  # as images of distributions with systemd-resolved have /etc/resolv.conf
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.1\n")
    (bundle.rootfs / "etc" / "resolv.conf").symlink_to(target)
    bundle.mount("/etc/resolv.conf", str(tmp_path / "resolv.conf"))
    assert runtime.output("cat /etc/resolv.conf; readlink /etc/resolv.conf") == f"nameserver 192.0.2.1\n{target}"
    assert not Path("/run/resolve").exists()
    assert not Path("/run/stub.conf").exists()


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_dangling_links_that_lead_to_each_other_end_in_an_error(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (bundle.rootfs / "etc" / "one").symlink_to("two")
    (bundle.rootfs / "etc" / "two").symlink_to("/etc/one")
    bundle.mount("/etc/one", str(tmp_path / kind))
    assert "Too many levels of symbolic links" in runtime.run(check=False).stderr


def test_links_in_a_circle_end_in_an_error(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (bundle.rootfs / "a").symlink_to("/b")
    (bundle.rootfs / "b").symlink_to("/a")
    bundle.mount("/a/target", str(tmp_path))
    assert "Too many levels of symbolic links" in runtime.run(check=False).stderr


@pytest.mark.parametrize("process", ["self", "1", "thread-self"])
def test_a_working_directory_by_descriptor_does_not_lead_out(
    runtime: Runtime, bundle: Bundle, process: str
) -> None:  # CVE-2024-21626
    directory = os.open("/", os.O_RDONLY)
    bundle.shell("ls ../../../..; pwd")
    for number in range(65):
        bundle.process["cwd"] = f"/proc/{process}/fd/{number}"
        bundle.write()
        done = subprocess.run(
            runtime.command("run", "-b", str(bundle.path), "once"), pass_fds=[directory], capture_output=True, text=True
        )
        assert done.returncode == 1, done.stdout
        assert done.stdout == ""
    os.close(directory)


def test_exec_into_a_directory_by_descriptor_does_not_lead_out(runtime: Runtime) -> None:  # CVE-2024-21626
    runtime.start()
    directory = os.open("/", os.O_RDONLY)
    for number in range(65):
        for process in ("self", "1"):
            done = subprocess.run(
                runtime.command("exec", "--cwd", f"/proc/{process}/fd/{number}", "kept", "ls", ".."),
                pass_fds=[directory], capture_output=True, text=True,
            )  # fmt: skip
            assert done.returncode != 0
            assert done.stdout == ""
    os.close(directory)


def test_no_descriptor_of_the_caller_or_the_runtime_reaches_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["ls", "/proc/self/fd"]
    bundle.write()
    leaks = [os.open("/", os.O_RDONLY) for _ in range(5)]
    done = subprocess.run(
        runtime.command("run", "-b", str(bundle.path), "once"), pass_fds=leaks, capture_output=True, text=True
    )
    # The last is the directory that ls itself reads.
    assert done.stdout.split() == ["0", "1", "2", "3"]


def test_the_program_of_the_runtime_cannot_be_overwritten_from_inside(
    runtime: Runtime, bundle: Bundle
) -> None:  # CVE-2019-5736
    before = hashlib.sha256(PROGRAM.read_bytes()).hexdigest()
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name] = ["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"]
    runtime.start(
        """while :; do for p in /proc/[0-9]*; do [ $p = /proc/1 ] || [ $p = /proc/$$ ] && continue
            case $(readlink $p/exe 2>/dev/null) in *wherry*) echo seen; echo overwritten 2>/dev/null > $p/exe;; esac
        done; done"""
    )
    for _ in range(60):
        runtime("exec", "kept", "true", check=False)
    # Executing itself through /proc/self/exe runs the container's own program or fails; never the host's.
    runtime("exec", "kept", "/proc/self/exe", check=False)
    assert hashlib.sha256(PROGRAM.read_bytes()).hexdigest() == before


UNWRITABLE = r"Text file busy|Operation not permitted|Read-only file system"


def _mappings(pid: int, name: str) -> list[Path]:
    """What of a file is in a process's memory, as files."""
    return [file for file in Path(f"/proc/{pid}/map_files").iterdir() if name in str(file.readlink())]


def _assert_nobody_can_write_the_program(runtime: Runtime, bundle: Bundle, argv: list[str], name: str) -> None:
    """Runs a container, named like a verb, by ``argv`` and tries at its program while it runs and thereafter."""
    bundle.process["args"] = ["sh", "-c", "echo inside; read line"]
    bundle.write()
    argv = [*argv, "--root", str(runtime.root), "run", "-b", str(bundle.path), "exec"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"inside\n"
        program = Path(f"/proc/{process.pid}/exe")
        assert str(program.readlink()).startswith(name)
        mappings = _mappings(process.pid, "wherry-runtime")
        assert mappings
        for file in (program, *mappings):
            with pytest.raises(OSError, match=UNWRITABLE):
                os.open(file, os.O_WRONLY)
        kept = os.open(program, os.O_RDONLY)
        assert runtime.state("exec")["id"] == "exec"
        process.stdin.write(b"\n")
    # When nobody executes it any more it is not for being busy that it stays as it is.
    with pytest.raises(OSError, match=r"Operation not permitted|Read-only file system"):
        os.ftruncate(os.open(f"/proc/self/fd/{kept}", os.O_WRONLY), 0)
    os.close(kept)


def test_what_enters_a_container_runs_from_an_overlay_that_nobody_can_write(
    runtime: Runtime, bundle: Bundle
) -> None:  # CVE-2019-5736
    _assert_nobody_can_write_the_program(runtime, bundle, [str(PROGRAM)], "/wherry-runtime")


def test_where_no_overlay_can_be_had_it_runs_from_a_copy_that_nobody_can_write(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:  # CVE-2019-5736
    place = tmp_path / "a:b"  # a colon separates layers
    place.mkdir()
    program = shutil.copy(PROGRAM, place)
    _assert_nobody_can_write_the_program(runtime, bundle, [program], "/memfd:wherry-runtime")


def test_a_program_that_is_a_mount_of_its_own_is_not_mistaken_for_the_one_below(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    below = Path(shutil.copy("/bin/false", tmp_path / "program"))
    script = 'mount --bind "$1" "$2"; shift; exec "$@"'
    argv = ["unshare", "-m", "sh", "-ec", script, "sh", str(PROGRAM), str(below)]
    _assert_nobody_can_write_the_program(runtime, bundle, argv, "/memfd:wherry-runtime")


def test_a_caller_may_keep_the_sealed_copy_and_run_that(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["cat"]
    bundle.write()
    kept = os.memfd_create("kept", os.MFD_ALLOW_SEALING)
    os.write(kept, PROGRAM.read_bytes())
    fcntl.fcntl(kept, fcntl.F_ADD_SEALS, SEALS)
    argv = runtime.command("run", "-b", str(bundle.path), "once")
    with subprocess.Popen(
        argv, executable=f"/proc/self/fd/{kept}", pass_fds=[kept], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"inside\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"inside\n"
        # No further copy: the program is the very file that the caller has.
        assert Path(f"/proc/{process.pid}/exe").stat().st_ino == os.fstat(kept).st_ino
    os.close(kept)


def test_an_image_whose_null_device_is_a_link_does_not_unmask(
    runtime: Runtime, bundle: Bundle, canary: Path
) -> None:  # CVE-2025-31133
    (canary / "file").write_text("host")
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    (bundle.rootfs / "dev" / "null").symlink_to("/proc/sys/kernel/core_pattern")
    (bundle.rootfs / "secret").write_text("secret")
    bundle.linux["maskedPaths"].append("/secret")
    done = runtime.run("cat /secret; stat -c %t:%T /secret", check=False)
    # The false device is refused; would it not be, the mask would have to be the real one.
    assert done.returncode == 1
    assert "make device /dev/null: something else is there" in done.stderr


def test_a_device_in_the_image_that_is_another_one_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"] = [one for one in bundle.config["mounts"] if not one["destination"].startswith("/dev")]
    os.mknod(bundle.rootfs / "dev" / "zero", 0o666 | 0o20000, os.makedev(1, 1))
    assert "make device /dev/zero: something else is there" in runtime.run(check=False).stderr


def test_a_parameter_cannot_be_led_to_another_file_by_a_mount(
    runtime: Runtime, bundle: Bundle
) -> None:  # CVE-2025-52881
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    (bundle.path / "file").write_text("before")
    bundle.mount("/proc/sys/net/ipv4/ip_forward", str(bundle.path / "file"))
    done = runtime.run(check=False)
    assert "mount on /proc/sys/net/ipv4/ip_forward: nothing may be mounted over what /proc shows" in done.stderr
    assert (bundle.path / "file").read_text() == "before"


def test_a_file_of_proc_is_opened_without_links_and_mounts_before_it_is_written(
    runtime: Runtime, bundle: Bundle
) -> None:  # CVE-2025-52881
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    bundle.user_namespace()
    bundle.process["oomScoreAdj"] = 100
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1"}
    runtime.prefix = [strace, "-f", "-qq", "-o", str(bundle.path / "trace"), "-e", "trace=/^open,fstatfs"]
    runtime.run("true")
    runtime.prefix = []
    trace = (bundle.path / "trace").read_text()
    resolved = re.search(r'openat2\(\d+, "sys/net/ipv4/ip_forward", \{flags=O_WRONLY[^}]*resolve=([A-Z_|]+)', trace)
    assert resolved is not None
    assert {"RESOLVE_NO_XDEV", "RESOLVE_NO_SYMLINKS", "RESOLVE_NO_MAGICLINKS"} <= set(resolved[1].split("|"))
    assert "f_type=PROC_SUPER_MAGIC" in trace
    # What else is written belongs to the process that the runtime has made, and is named by its number on the host.
    by_path = re.findall(r'open(?:at)?\([^"]*"(/proc/[^"]*)", O_(?:WRONLY|RDWR)', trace)
    assert by_path
    assert [
        path for path in by_path if not re.fullmatch(r"/proc/\d+/(uid_map|gid_map|setgroups|oom_score_adj)", path)
    ] == []
