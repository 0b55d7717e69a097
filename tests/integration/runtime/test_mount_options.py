"""Every option of the specification's table (config.md, "Linux mount options"), and those in use beside it."""

from __future__ import annotations

import json
import os
import socket
import tempfile
from pathlib import Path

import pytest

from tests.integration.runtime.harness import REPOSITORY, Bundle, Runtime


def _mounts(runtime: Runtime, **keywords: bool) -> list[list[str]]:
    """The lines of mountinfo(5) as the container sees them, in fields."""
    return [line.split() for line in runtime.output("cat /proc/self/mountinfo", **keywords).splitlines()]


def _options(runtime: Runtime, point: str) -> set[str]:
    """The options of the mount on top at a point."""
    return set(next(one for one in reversed(_mounts(runtime)) if one[4] == point)[5].split(","))


def _system_options(runtime: Runtime, point: str) -> set[str]:
    """The options of the file system that is mounted on top at a point."""
    return set(next(one for one in reversed(_mounts(runtime)) if one[4] == point)[-1].split(","))


FLAGS = [
    (["ro"], {"ro"}),
    (["ro", "rw"], {"rw"}),
    (["nosuid"], {"nosuid"}),
    (["nosuid", "suid"], {"-nosuid"}),
    (["nodev"], {"nodev"}),
    (["nodev", "dev"], {"-nodev"}),
    (["noexec"], {"noexec"}),
    (["noexec", "exec"], {"-noexec"}),
    (["nodiratime"], {"nodiratime"}),
    (["nodiratime", "diratime"], {"-nodiratime"}),
    (["nosymfollow"], {"nosymfollow"}),
    (["nosymfollow", "symfollow"], {"-nosymfollow"}),
    (["noatime"], {"noatime", "-relatime"}),
    (["noatime", "atime"], {"relatime"}),
    (["strictatime"], {"-relatime", "-noatime"}),
    (["strictatime", "nostrictatime"], {"relatime"}),
    (["noatime", "relatime"], {"relatime"}),
    (["norelatime"], {"relatime"}),
    (["defaults", "silent", "loud", "nomand"], {"rw", "relatime"}),
]


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
@pytest.mark.parametrize(("words", "expected"), FLAGS, ids=lambda value: "-".join(sorted(value)))
def test_a_flag_of_a_mount_is_as_asked_for(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, words: list[str], expected: set[str]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    bundle.mount("/target", str(source), *words, kind=kind)
    found = _options(runtime, "/target")
    assert {word for word in expected if not word.startswith("-")} <= found
    assert not {word[1:] for word in expected if word.startswith("-")} & found


RECURSIVE = [
    (["rro"], {"ro"}),
    (["rro", "rrw"], {"rw"}),
    (["rnosuid"], {"nosuid"}),
    (["rnodev"], {"nodev"}),
    (["rnoexec"], {"noexec"}),
    (["rnodiratime"], {"nodiratime"}),
    (["rnosymfollow"], {"nosymfollow"}),
    (["rnoatime"], {"noatime", "-relatime"}),
    (["rnoatime", "rrelatime"], {"relatime"}),
    (["rnoatime", "ratime"], {"relatime"}),
    (["rnoatime", "rnorelatime"], {"relatime"}),
    (["rstrictatime"], {"-relatime", "-noatime"}),
    (["rstrictatime", "rnostrictatime"], {"relatime"}),
]


@pytest.mark.parametrize(("words", "expected"), RECURSIVE, ids=lambda value: "-".join(sorted(value)))
@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_a_recursive_flag_reaches_what_is_mounted_below(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, words: list[str], expected: set[str], user: bool
) -> None:
    below = tmp_path / "source" / "below"
    below.mkdir(parents=True)
    bundle.mount("/target", str(below.parent), "rbind", *words)
    bundle.shell("cat /proc/self/mountinfo")
    if user:
        bundle.user_namespace()
    done = runtime.run_beside(f"mount -t tmpfs tmpfs {below}")
    lines = [line.split() for line in done.stdout.splitlines()]
    points = {one[4]: set(one[5].split(",")) for one in lines if one[4].startswith("/target")}
    assert set(points) == {"/target", "/target/below"}, done.stderr
    for found in points.values():
        assert {word for word in expected if not word.startswith("-")} <= found
        assert not {word[1:] for word in expected if word.startswith("-")} & found


@pytest.mark.parametrize("words", [["rsuid"], ["rdev"], ["rexec"], ["rdiratime"], ["rsymfollow"], ["rrw"]])
def test_a_recursive_flag_is_taken_back_below_too(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, words: list[str]
) -> None:
    below = tmp_path / "source" / "below"
    below.mkdir(parents=True)
    flag = {"rrw": "ro", "rsymfollow": "nosymfollow"}.get(words[0], f"no{words[0][1:]}")
    bundle.mount("/target", str(below.parent), "rbind", *words)
    bundle.shell("cat /proc/self/mountinfo")
    done = runtime.run_beside(f"mount -t tmpfs -o nosuid,nodev,noexec,nodiratime,ro tmpfs {below}")
    line = next(one.split() for one in done.stdout.splitlines() if one.split()[4] == "/target/below")
    assert flag not in line[5].split(",")
    assert "noexec" in line[5].split(",") or words == ["rexec"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["sync"], {"sync"}),
        (["sync", "async"], set()),
        (["dirsync"], {"dirsync"}),
        (["lazytime"], {"lazytime"}),
        (["lazytime", "nolazytime"], set()),
        (["iversion"], set()),
        (["iversion", "sync", "size=64k"], {"sync", "size=64k"}),
        (["noiversion"], set()),
    ],
    ids="-".join,
)
def test_a_flag_of_a_file_system_is_as_asked_for(
    runtime: Runtime, bundle: Bundle, words: list[str], expected: set[str]
) -> None:
    bundle.mount("/target", "tmpfs", *words, "nosuid", kind="tmpfs")
    found = _system_options(runtime, "/target")
    assert found & {"sync", "dirsync", "lazytime", "size=64k"} == expected
    assert "nosuid" in _options(runtime, "/target")


@pytest.mark.parametrize("option", ["mand", "rsync", "rasync", "rdirsync", "rmand", "rnomand"])
def test_what_no_kernel_can_do_is_refused_by_name(runtime: Runtime, bundle: Bundle, option: str) -> None:
    bundle.mount("/target", "tmpfs", option, kind="tmpfs")
    assert f"{option}: not supported" in runtime.run(check=False).stderr


def test_the_features_name_the_options_that_are_taken(runtime: Runtime, bundle: Bundle) -> None:
    words = {word for words, _ in FLAGS + RECURSIVE for word in words}
    features = runtime("features").stdout
    for word in words | {"remount", "idmap", "ridmap", "tmpcopyup", "copy-symlink", "iversion", "runbindable"}:
        assert f'"{word}"' in features
    assert '"mand"' not in features


def test_the_documentation_has_every_option_that_is_taken(runtime: Runtime) -> None:
    page = (REPOSITORY / "docs" / "runtime-mounts.md").read_text()
    words = json.loads(runtime("features").stdout)["mountOptions"]
    # The page gives four words about propagation once for both forms.
    spared = {"rprivate", "rshared", "rslave", "runbindable"}
    assert [word for word in words if f"`{word}`" not in page and word not in spared] == []


def test_a_relative_destination_is_taken_from_the_root(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("var/scratch", "tmpfs", kind="tmpfs")
    assert _options(runtime, "/var/scratch")


# What is remounted


def test_a_remount_changes_a_mount_that_is_there(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/scratch", "tmpfs", "size=64k", kind="tmpfs")
    bundle.mount("/scratch", "", "remount", "ro", "noexec")
    bundle.mount("/dev", "", "remount", "noexec", kind="none")
    bundle.mount("/", "", "remount", "nodev")
    points = {one[4]: set(one[5].split(",")) for one in _mounts(runtime)}
    assert {"ro", "noexec"} <= points["/scratch"]
    assert {"rw", "noexec", "nosuid"} <= points["/dev"]
    assert "nodev" in points["/"]


def test_a_remount_changes_the_file_system_itself(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/scratch", "tmpfs", "size=64k", kind="tmpfs")
    bundle.mount("/scratch", "", "remount", "size=128k", "sync", "nosuid", kind="none")
    assert {"size=128k", "sync"} <= _system_options(runtime, "/scratch")
    assert "nosuid" in _options(runtime, "/scratch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["remount", "ro"], "nothing is mounted there"),
        (["remount", "bind", "size=1k"], "size=1k: not supported for a bind mount"),
        (["remount", "idmap"], "only for a bind mount"),
        (["remount", "tmpcopyup"], "tmpcopyup: not together with remount"),
        (["remount", "iversion"], "iversion, noiversion: not supported together with remount"),
    ],
)
def test_a_remount_that_makes_no_sense_is_refused(
    runtime: Runtime, bundle: Bundle, options: list[str], message: str
) -> None:
    bundle.mount("/etc", "", *options, kind="none")
    assert message in runtime.run(check=False).stderr


# tmpfs


@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_a_read_only_tmpfs_takes_mount_points_and_devices_first(runtime: Runtime, bundle: Bundle, user: bool) -> None:
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/dev":
            mount["options"].append("ro")
    bundle.mount("/scratch", "tmpfs", "ro", kind="tmpfs")
    bundle.mount("/scratch/deep/down", "tmpfs", kind="tmpfs")
    if user:
        bundle.user_namespace()
    script = "touch /dev/file; touch /scratch/file; touch /scratch/deep/down/file; echo x > /dev/null && echo written"
    done = runtime.run(script)
    assert done.stderr.count("Read-only file system") == 2
    assert done.stdout == "written\n"


@pytest.mark.parametrize(("mode", "words", "expected"), [
    (0o751, [], "751"), (0o1777, [], "1777"), (0o751, ["mode=700"], "700"), (None, [], "1777")
])  # fmt: skip
def test_a_tmpfs_has_the_mode_of_what_it_covers_unless_told(
    runtime: Runtime, bundle: Bundle, mode: int | None, words: list[str], expected: str
) -> None:
    if mode is not None:
        (bundle.rootfs / "scratch").mkdir()
        (bundle.rootfs / "scratch").chmod(mode)
    bundle.mount("/scratch", "tmpfs", *words, kind="tmpfs")
    assert runtime.output("stat -c %a /scratch") == expected


def test_a_copied_up_tmpfs_keeps_owners_modes_links_and_times(runtime: Runtime, bundle: Bundle) -> None:
    below = bundle.rootfs / "data"
    below.mkdir()
    below.chmod(0o750)
    (below / "file").write_text("text")
    os.chown(below / "file", 3, 4)
    (below / "file").chmod(0o4750)
    os.utime(below / "file", (1000, 2000))
    (below / "link").symlink_to("file")
    os.mkfifo(below / "fifo")
    bundle.mount("/data", "tmpfs", "tmpcopyup", "ro", kind="tmpfs")
    output = runtime.output("cd /data; stat -c '%a %u %g %Y' file; readlink link; stat -c '%F' fifo; stat -c %a .")
    assert output.splitlines() == ["4750 3 4 2000", "file", "fifo", "750"]


def test_an_option_longer_than_the_kernels_new_interface_takes_is_honoured(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    lower = []
    for number in range(3):
        path = tmp_path / ("layer" + "x" * 100) / str(number)
        path.mkdir(parents=True)
        (path / f"file{number}").write_text("x")
        lower.append(str(path))
    bundle.mount("/merged", "overlay", f"lowerdir={':'.join(lower)}", "nosuid", "private", kind="overlay")
    bundle.shell("ls /merged; grep /merged /proc/self/mountinfo")
    done = runtime.run_beside(":")
    assert done.stdout.split()[:3] == ["file0", "file1", "file2"], done.stderr
    assert "nosuid" in done.stdout


# Links


def test_a_link_is_copied_instead_of_bound(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/motd")
    (tmp_path / "file").write_text("plain")
    bundle.mount("/made/link", str(tmp_path / "link"), "copy-symlink")
    bundle.mount("/made/file", str(tmp_path / "file"), "copy-symlink")
    for _ in range(2):  # the second time the link is there already
        assert runtime.output("readlink /made/link; cat /made/file") == "/etc/motd\nplain"
    (bundle.rootfs / "made" / "link").unlink()
    (bundle.rootfs / "made" / "link").symlink_to("/etc/other")
    assert "something else is there" in runtime.run(check=False).stderr


def test_a_link_is_bound_as_a_link(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/motd")
    (bundle.rootfs / "etc" / "link").symlink_to("elsewhere")
    bundle.mount("/etc/link", str(tmp_path / "link"), "src-nofollow", "dest-nofollow")
    assert runtime.output("readlink /etc/link") == "/etc/motd"
    assert (bundle.rootfs / "etc" / "link").readlink() == Path("elsewhere")
    assert not (bundle.rootfs / "etc" / "elsewhere").exists()


def test_a_file_is_bound_over_a_link(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound")
    (bundle.rootfs / "etc" / "target").write_text("target")
    (bundle.rootfs / "etc" / "link").symlink_to("target")
    bundle.mount("/etc/link", str(tmp_path / "file"), "dest-nofollow")
    assert runtime.output("cat /etc/link /etc/target") == "boundtarget"


@pytest.mark.parametrize("option", ["copy-symlink", "src-nofollow", "dest-nofollow", "idmap"])
def test_an_option_for_binds_is_refused_for_anything_else(runtime: Runtime, bundle: Bundle, option: str) -> None:
    bundle.mount("/scratch", "tmpfs", option, kind="tmpfs")
    done = runtime.run(check=False)
    assert option in done.stderr
    assert "only for a bind mount" in done.stderr


# What is bound


def test_a_socket_and_a_fifo_are_bound(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with tempfile.TemporaryDirectory(prefix="ws-", dir="/var/tmp") as short, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{short}/s")
        bundle.mount("/run/socket", f"{short}/s")
        bundle.mount("/run/fifo", str(tmp_path / "fifo"))
        assert runtime.output("stat -c %F /run/socket /run/fifo") == "socket\nfifo"
    assert (bundle.rootfs / "run" / "socket").is_file()


def test_a_directory_over_a_file_and_a_file_over_a_directory_are_refused(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (bundle.rootfs / "file").write_text("")
    (tmp_path / "file").write_text("")
    bundle.mount("/file", str(tmp_path))
    assert "/file" in runtime.run(check=False).stderr
    bundle.config["mounts"].pop()
    bundle.mount("/etc", str(tmp_path / "file"))
    assert "mount on /etc" in runtime.run(check=False).stderr


@pytest.mark.parametrize("words", [["ro"], ["noatime"], ["nosuid", "nodev", "noexec"]], ids="-".join)
def test_a_bind_has_its_flags_in_a_user_namespace_too(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, words: list[str]
) -> None:
    (tmp_path / "source").mkdir()
    bundle.mount("/target", str(tmp_path / "source"), *words)
    bundle.user_namespace()
    assert set(words) <= _options(runtime, "/target")


@pytest.mark.parametrize("path", ["/proc/acpi", "/proc/sys", "/proc/self/attr", "/proc//sys/kernel/core_pattern"])
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_nothing_is_mounted_over_what_proc_shows(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, path: str, kind: str
) -> None:  # CVE-2019-16884
    source = tmp_path / "source"
    if path.endswith("pattern"):
        source.write_text("")
    else:
        source.mkdir()
    bundle.mount(path, str(source), kind=kind)
    done = runtime.run(check=False)
    assert done.returncode == 1
    assert "nothing may be mounted over what /proc shows" in done.stderr or "Not a directory" in done.stderr


@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
@pytest.mark.parametrize("place", ["before", "after", "alone"])
def test_a_volume_in_the_place_of_proc_is_refused(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, place: str
) -> None:  # CVE-2019-16884, CVE-2019-19921
    (tmp_path / "source" / "self" / "attr").mkdir(parents=True)
    bundle.mount("//proc/.", str(tmp_path / "source"), kind=kind)
    if place == "before":
        bundle.config["mounts"].insert(0, bundle.config["mounts"].pop())
    if place == "alone":
        bundle.config["mounts"] = [one for one in bundle.config["mounts"] if one["destination"] != "/proc"]
    assert "on /proc: it is not a procfs" in runtime.run(check=False).stderr


def test_the_procfs_of_the_host_can_be_bound(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["mounts"][0] = {"destination": "/proc", "source": "/proc", "options": ["rbind", "rslave"]}
    bundle.without_namespace("pid")
    assert runtime.output("stat -f -c %t /proc; cat /proc/1/comm").split()[0] == "9fa0"


def test_a_container_can_be_shown_its_own_share_of_the_machine(
    runtime: Runtime, bundle: Bundle, tmp_path: Path
) -> None:
    (tmp_path / "meminfo").write_text("MemTotal: 1 kB\n")
    bundle.mount("/proc/./meminfo", str(tmp_path / "meminfo"))
    assert runtime.output("cat /proc/meminfo") == "MemTotal: 1 kB"


# Propagation


PROPAGATION = [
    (["shared"], {"shared"}, {"-"}),
    (["rshared"], {"shared"}, {"shared"}),
    (["slave"], {"master"}, {"shared"}),
    (["rslave"], {"master"}, {"master"}),
    (["private"], set(), {"shared"}),
    (["rprivate"], set(), set()),
    (["unbindable"], {"unbindable"}, {"shared"}),
    (["runbindable"], {"unbindable"}, {"unbindable"}),
    (["rslave", "rshared"], {"shared", "master"}, {"shared", "master"}),
    ([], set(), set()),
]


@pytest.mark.parametrize(("words", "expected", "below"), PROPAGATION, ids=lambda value: "-".join(sorted(value)) or "-")
def test_a_bind_has_the_propagation_that_is_asked_for(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, words: list[str], expected: set[str], below: set[str]
) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    bundle.mount("/target", str(source), "rbind", *words)
    bundle.shell("cat /proc/self/mountinfo")
    done = runtime.run_beside(
        f"mount --bind {source} {source}; mount --make-shared {source}; mount -t tmpfs tmpfs {source}/below"
    )
    lines = [line.split() for line in done.stdout.splitlines()]
    found = {one[4]: {word.split(":")[0] for word in one[6 : one.index("-")]} for one in lines}
    assert found["/target"] == expected, done.stderr
    if below != {"-"}:
        assert found["/target/below"] == below


def test_more_words_about_propagation_than_can_mean_anything_are_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/target", "/etc", *["slave", "shared"] * 3)
    assert "at most 4 words about propagation" in runtime.run(check=False).stderr


@pytest.mark.parametrize(("mode", "follows"), [("rslave", True), ("rshared", True), ("rprivate", False)])
def test_what_the_host_mounts_later_comes_through_only_if_asked_for(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, mode: str, follows: bool
) -> None:
    source = tmp_path / "source"
    (source / "late").mkdir(parents=True)
    bundle.mount("/target", str(source), mode)
    bundle.linux["rootfsPropagation"] = "rslave"
    waits = "touch /target/ready; while [ ! -e /target/go ]; do sleep 0.01; done"
    bundle.shell(f"{waits}; grep -c ' /target/late ' /proc/self/mountinfo")
    done = runtime.run_beside(
        f"""mount --bind {source} {source}; mount --make-shared {source}
        (while [ ! -e {source}/ready ]; do sleep 0.01; done; mount -t tmpfs tmpfs {source}/late; touch {source}/go) &
        set +e"""
    )
    assert done.stdout.strip() == ("1" if follows else "0"), done.stderr


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("shared", {"shared", "master"}),
        ("rshared", {"shared", "master"}),
        ("slave", {"master"}),
        ("rslave", {"master"}),
        ("private", set()),
        ("rprivate", set()),
        ("unbindable", {"unbindable"}),
        ("runbindable", {"unbindable"}),
    ],
)
@pytest.mark.parametrize("user", [False, True], ids=["host", "user-namespace"])
def test_the_root_of_a_shared_mount_has_the_propagation_that_is_asked_for(
    runtime: Runtime, bundle: Bundle, mode: str, words: set[str], user: bool
) -> None:
    bundle.linux["rootfsPropagation"] = mode
    bundle.shell("cat /proc/self/mountinfo")
    if user:
        bundle.user_namespace()
    done = runtime.run_beside(f"mount --bind {bundle.rootfs} {bundle.rootfs}; mount --make-shared {bundle.rootfs}")
    fields = next(line.split() for line in done.stdout.splitlines() if line.split()[4] == "/")
    assert {word.split(":")[0] for word in fields[6 : fields.index("-")]} == words, done.stderr


# Roots


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "read-only"])
@pytest.mark.parametrize("readonly", [False, True])
def test_the_root_may_be_on_any_file_system(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, kind: str, readonly: bool
) -> None:
    bundle.config["root"]["readonly"] = readonly
    bundle.shell("touch /file && echo written; echo alive")
    for name in ("upper", "work", "merged"):
        (tmp_path / name).mkdir()
    merged = tmp_path / "merged"
    bundle.config["root"]["path"] = str(merged)
    before = {
        "tmpfs": f"mount -t tmpfs tmpfs {merged}; cp -a {bundle.rootfs}/. {merged}",
        "overlay": f"mount -t overlay overlay -o lowerdir={bundle.rootfs},upperdir={tmp_path}/upper,"
        f"workdir={tmp_path}/work {merged}",
        "read-only": f"mount --bind {bundle.rootfs} {merged}; mount -o remount,bind,ro {merged}",
    }[kind]
    done = runtime.run_beside(before)
    if readonly or kind == "read-only":
        assert "Read-only file system" in done.stderr
    assert done.stdout.split() == (["alive"] if readonly or kind == "read-only" else ["written", "alive"]), done.stderr
