"""User, groups, umask, home directory, working directory, standard streams."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


def test_the_process_has_the_user_and_groups_that_are_named_and_no_others(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 6]}
    assert runtime.output("grep -E '^(Uid|Gid|Groups)' /proc/self/status").split() == [
        "Uid:", *["1000"] * 4, "Gid:", *["1001"] * 4, "Groups:", "5", "6"
    ]  # fmt: skip


def test_the_callers_groups_do_not_reach_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("grep ^Groups /proc/self/status")
    bundle.write()
    done = subprocess.run(
        runtime.command("run", "-b", str(bundle.path), "once"), extra_groups=[7, 8], capture_output=True, text=True
    )
    assert done.stdout.split() == ["Groups:"]


@pytest.mark.parametrize("value", [4294967295, 4294967296, 2**63, 10**20, -1, "0", "+0", 0.5, None, True])
@pytest.mark.parametrize("field", ["uid", "gid"])
def test_an_id_out_of_range_never_becomes_root(runtime: Runtime, bundle: Bundle, field: str, value: object) -> None:
    bundle.process["user"] = {"uid": 7, "gid": 7, field: value}
    done = runtime.run("id -u; id -g", check=False)
    if value is None:
        # Not said, which means 0 by the specification.
        assert done.returncode == 0
        return
    assert done.returncode == 1
    assert f"process.user.{field}" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("value", [[4294967296], [-1], ["0"], 5])
def test_a_supplementary_group_out_of_range_is_refused(runtime: Runtime, bundle: Bundle, value: Any) -> None:
    bundle.process["user"]["additionalGids"] = value
    assert "process.user.additionalGids" in runtime.run(check=False).stderr


@pytest.mark.parametrize(
    "text",
    [
        "4294967296",
        "4294967295",
        "-1",
        "+0",
        " 0",
        "0x0",
        "99999999999999999999",
        "1000:4294967296",
        "root",
        "1000:",
        "",
    ],
)
def test_exec_refuses_what_is_no_user_number(runtime: Runtime, text: str) -> None:
    runtime.start()
    done = runtime("exec", f"--user={text}", "kept", "id", "-u", check=False)
    assert done.returncode == 255
    assert "--user" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(("mask", "expected"), [(None, "0022"), (0o077, "0077"), (0, "0000")])
def test_the_umask_is_set(runtime: Runtime, bundle: Bundle, mask: int | None, expected: str) -> None:
    if mask is not None:
        bundle.process["user"]["umask"] = mask
    assert runtime.output("umask") == expected


def test_home_comes_from_the_containers_own_user_database(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
    assert runtime.output("echo $HOME") == "/root"
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert runtime.output("echo $HOME") == "/home/user"
    bundle.process["user"] = {"uid": 1001, "gid": 1000}
    assert runtime.output("echo $HOME") == "/"
    bundle.process["env"].append("HOME=/given")
    assert runtime.output("echo $HOME") == "/given"


@pytest.mark.parametrize("kind", ["fifo", "directory", "endless", "huge", "loop"])
def test_a_hostile_user_database_neither_hangs_nor_fills_memory(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    path = bundle.rootfs / "etc" / "passwd"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to("passwd")
    else:
        with path.open("wb") as file:
            file.truncate(1 << 30)
    assert runtime.output("echo $HOME") == "/"


def test_a_working_directory_is_made_when_it_is_missing(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["cwd"] = "/made/for/it"
    assert runtime.output("pwd") == "/made/for/it"


def test_a_working_directory_that_only_root_may_enter_is_entered(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "root").chmod(0o700)
    bundle.process["cwd"] = "/root"
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["args"] = ["/bin/sh", "-c", "echo in"]
    assert runtime.run().stdout == "in\n"


def test_a_user_can_open_its_standard_streams_anew(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    assert runtime.output("echo word > /dev/stdout; echo word > /proc/self/fd/1") == "word\nword"


def test_the_null_device_of_the_host_keeps_its_owner(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    runtime.run("true")
    assert Path("/dev/null").stat().st_uid == 0


def test_resource_limits_are_set(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    assert runtime.output("ulimit -Sn; ulimit -Hn").split() == ["100", "200"]


def test_the_oom_score_is_set(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["oomScoreAdj"] = 321
    assert runtime.output("cat /proc/self/oom_score_adj") == "321"


def test_the_environment_is_what_is_named_and_nothing_else(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["env"] = ["PATH=/bin", "HOME=/", "WORD=a b"]
    bundle.process["args"] = ["env"]
    assert runtime.run(env={"LEAK": "1"}).stdout.splitlines() == ["PATH=/bin", "HOME=/", "WORD=a b"]


def test_signals_that_the_caller_ignores_have_their_default_in_the_container(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["args"] = ["grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status"]
    bundle.write()
    script = f"trap '' PIPE USR1 TERM; exec {' '.join(runtime.command('run', '-b', str(bundle.path), 'once'))}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert set(done.stdout.split()[1::2]) == {"0" * 16}
