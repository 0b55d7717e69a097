"""exec: a further process in a running container."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, namespace_of, wait_until


def _process(tmp_path: Path, **fields: Any) -> str:
    path = tmp_path / "process.json"
    path.write_text(json.dumps({"args": ["true"], "env": ["PATH=/bin"], "cwd": "/", **fields}))
    return str(path)


def test_the_process_shares_every_namespace_and_the_root(runtime: Runtime) -> None:
    pid = runtime.start()
    script = "for i in pid net ipc uts mnt cgroup; do readlink /proc/self/ns/$i; done; hostname; ls /"
    lines = runtime("exec", "kept", "sh", "-c", script).stdout.splitlines()
    assert lines[:6] == [namespace_of(pid, kind) for kind in ("pid", "net", "ipc", "uts", "mnt", "cgroup")]
    assert lines[6] == "inside"
    assert {"bin", "proc", "dev"} <= set(lines[7:])


def test_its_exit_status_and_streams_are_its_own(runtime: Runtime) -> None:
    runtime.start()
    done = runtime("exec", "kept", "sh", "-c", "cat; echo err >&2; exit 7", stdin=None, input="in", check=False,
                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (7, "in", "err\n")


def test_a_process_file_says_everything(runtime: Runtime, tmp_path: Path) -> None:
    runtime.start()
    (runtime.bundle.rootfs / "tmp" / "here").mkdir()
    file = _process(
        tmp_path, args=["sh", "-c", "id -u; id -G; pwd; echo $WORD; umask"], cwd="/tmp/here",
        env=["PATH=/bin", "WORD=w"], user={"uid": 5, "gid": 6, "additionalGids": [7], "umask": 0o77},
    )  # fmt: skip
    assert runtime("exec", "--process", file, "kept").stdout.split() == ["5", "6", "7", "/tmp/here", "w", "0077"]


def test_options_change_the_containers_own_process(runtime: Runtime) -> None:
    runtime.start()
    (runtime.bundle.rootfs / "tmp").chmod(0o777)
    options = ["--user", "8:9", "--cwd", "/tmp", "--env", "WORD=w", "--additional-gids", "3"]
    done = runtime("exec", *options, "kept", "sh", "-c", "id -u; id -G; pwd; echo $WORD $PATH")
    assert done.stdout.split() == ["8", "9", "3", "/tmp", "w", "/bin"]


def test_options_after_the_id_belong_to_the_command(runtime: Runtime) -> None:
    runtime.start()
    assert runtime("exec", "kept", "echo", "-n", "--user", "x").stdout == "--user x"


def test_detached_it_runs_on_and_its_number_is_in_the_pid_file(runtime: Runtime, tmp_path: Path) -> None:
    runtime.start()
    runtime("exec", "--detach", "--pid-file", str(tmp_path / "pid"), "kept", "sleep", "1000", stdout=subprocess.DEVNULL)
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x001000\x00"
    assert pid in json.loads(runtime("ps", "--format", "json", "kept").stdout)


@pytest.mark.parametrize(("program", "message"), [
    ("nonesuch", "executable file not found in $PATH"), ("/etc", "is a directory")
])  # fmt: skip
def test_a_program_that_cannot_be_executed_is_told(runtime: Runtime, program: str, message: str) -> None:
    runtime.start()
    done = runtime("exec", "kept", program, check=False)
    assert done.returncode == 255
    assert message in done.stderr


def test_a_working_directory_that_is_missing_is_told(runtime: Runtime, tmp_path: Path) -> None:
    runtime.start()
    assert (
        "process.cwd: /missing"
        in runtime("exec", "--process", _process(tmp_path, cwd="/missing"), "kept", check=False).stderr
    )


def test_a_stopped_container_takes_no_process(runtime: Runtime) -> None:
    runtime.start("true")
    wait_until(lambda: runtime.state()["status"] == "stopped", "it does not stop")
    assert "cannot exec in a stopped container" in runtime("exec", "kept", "true", check=False).stderr


def test_a_created_container_takes_a_process(runtime: Runtime, bundle: Bundle) -> None:
    runtime.create()
    assert runtime("exec", "kept", "hostname").stdout == "inside\n"


def test_descriptors_that_are_preserved_arrive_and_no_others(runtime: Runtime) -> None:
    runtime.start()
    read, write = os.pipe()
    other, _ = os.pipe()
    command = " ".join(
        runtime.command("exec", "--preserve-fds", "1", "kept", "sh", "-c", "'echo word >&3; ls /proc/self/fd'")
    )
    done = subprocess.run(
        ["bash", "-c", f"{command} 3>&{write}"], pass_fds=[write, other], capture_output=True, text=True
    )
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "word\n"
    # The last is the directory that ls itself reads.
    assert done.stdout.split() == ["0", "1", "2", "3", "4"]


def test_no_new_privileges_can_be_asked_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.process["noNewPrivileges"] = False
    runtime.start()
    script = ["grep", "NoNewPrivs", "/proc/self/status"]
    assert runtime("exec", "kept", *script).stdout.split()[1] == "0"
    assert runtime("exec", "--no-new-privs", "kept", *script).stdout.split()[1] == "1"


def test_nothing_in_the_container_can_look_into_a_process_that_joins(runtime: Runtime, bundle: Bundle) -> None:
    for name in ("bounding", "effective", "permitted"):
        bundle.process["capabilities"][name] = ["CAP_DAC_OVERRIDE"]
    runtime.start(
        """while :; do for p in /proc/[0-9]*; do
            n=${p#/proc/}; [ $n = 1 ] || [ $n = $$ ] && continue
            for f in $p/fd/*; do l=$(readlink $f 2>/dev/null) && case $l in
                *root*|*exec.fifo*|/memfd*|*wherry*) echo leak $l;; esac; done
            e=$(readlink $p/exe 2>/dev/null) && case $e in *memfd*|*wherry*) echo exe $e;; esac
        done; done"""
    )
    for _ in range(40):
        runtime("exec", "kept", "true")
    assert runtime.text() == ""
