"""create, start, state, kill, delete, run, list, pause, update: what they do and what they refuse."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, cgroup_directories, wait_until

PR_SET_CHILD_SUBREAPER = 36


def test_a_created_container_waits_until_it_is_started(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo started; sleep 1000")
    runtime.create()
    assert runtime.state()["status"] == "created"
    assert runtime.text() == ""
    runtime("start", "kept")
    wait_until(lambda: runtime.text() == "started\n", "the program does not run")
    assert runtime.state()["status"] == "running"


def test_the_state_document_tells_what_the_specification_asks_for(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"org.example.key": "value"}
    pid = runtime.start()
    state = runtime.state()
    assert state["ociVersion"] == "1.0.2"
    assert state["id"] == "kept"
    assert state["bundle"] == str(bundle.path)
    assert state["annotations"] == {"org.example.key": "value"}
    assert Path(f"/proc/{pid}/root/bin/busybox").exists()


def test_the_pid_file_holds_the_process_that_state_tells(runtime: Runtime, tmp_path: Path) -> None:
    runtime.create("kept", "--pid-file", str(tmp_path / "pid"))
    assert int((tmp_path / "pid").read_text()) == runtime.state()["pid"]


def test_a_container_is_started_once_only(runtime: Runtime) -> None:
    runtime.start()
    again = runtime("start", "kept", check=False)
    assert again.returncode == 1
    assert "already running" in again.stderr


def test_of_many_starts_at_the_same_time_one_succeeds(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("echo started; sleep 1000")
    runtime.create()
    starts = [subprocess.Popen(runtime.command("start", "kept"), stderr=subprocess.DEVNULL) for _ in range(8)]
    assert sorted(one.wait() for one in starts) == [0] + [1] * 7
    wait_until(lambda: runtime.text() == "started\n", "the program does not run")


def test_a_stopped_container_cannot_be_started_or_killed(runtime: Runtime) -> None:
    runtime.start("true")
    wait_until(lambda: runtime.state()["status"] == "stopped", "the container does not stop")
    assert "has stopped" in runtime("start", "kept", check=False).stderr
    assert "container not running" in runtime("kill", "kept", "KILL", check=False).stderr
    assert runtime.state()["pid"] == 0


def test_a_running_container_is_deleted_by_force_only(runtime: Runtime, cgroup: str) -> None:
    pid = runtime.start()
    refused = runtime("delete", "kept", check=False)
    assert refused.returncode == 1
    assert "cannot delete container kept that is not stopped" in refused.stderr
    assert cgroup_directories(cgroup) != []
    runtime("delete", "--force", "kept")
    assert not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split(")")[1]
    assert cgroup_directories(cgroup) == []
    assert not (runtime.root / "kept").exists()


def test_a_created_container_can_be_deleted(runtime: Runtime) -> None:
    runtime.create()
    runtime("delete", "kept")
    assert "does not exist" in runtime("state", "kept", check=False).stderr


def test_delete_by_force_takes_a_name_that_does_not_exist(runtime: Runtime) -> None:
    runtime("delete", "--force", "nobody")
    assert "container nobody does not exist" in runtime("delete", "nobody", check=False).stderr


def test_a_name_is_given_once(runtime: Runtime) -> None:
    runtime.create()
    second = runtime("create", "--bundle", str(runtime.bundle.path), "kept", check=False, stdout=subprocess.DEVNULL,
                     stderr=subprocess.PIPE)  # fmt: skip
    assert "exists" in second.stderr
    assert runtime.state()["status"] == "created"


@pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "", "a b", "x" * 256])
def test_a_name_that_is_no_file_name_is_refused(runtime: Runtime, name: str) -> None:
    runtime.bundle.write()
    done = runtime("create", "--bundle", str(runtime.bundle.path), name, check=False)
    assert done.returncode == 1
    assert "container ID" in done.stderr


@pytest.mark.parametrize(("program", "message"), [
    ("nonesuch", "executable file not found in $PATH"),
    ("/bin/nonesuch", "no such file or directory"),
    ("/etc", "is a directory"),
    ("/plain", "permission denied"),
])  # fmt: skip
def test_a_program_that_cannot_be_executed_fails_create_and_leaves_nothing(
    runtime: Runtime, bundle: Bundle, cgroup: str, program: str, message: str
) -> None:
    (bundle.rootfs / "plain").write_text("no program")
    bundle.process["args"] = [program]
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (runtime.root / "kept").exists()
    assert cgroup_directories(cgroup) == []
    assert message in [json.loads(line)["msg"] for line in runtime.log.read_text().splitlines()][-1]


def test_a_file_of_no_executable_format_fails_run(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "odd").write_bytes(b"\x7fELFnothing")
    (bundle.rootfs / "odd").chmod(0o755)
    bundle.process["args"] = ["/odd"]
    done = runtime.run(check=False)
    assert done.returncode == 1
    assert "Exec format error" in done.stderr


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3), ("exit 255", 255)])
def test_run_returns_the_exit_status(runtime: Runtime, script: str, status: int) -> None:
    assert runtime.run(script, check=False).returncode == status


def test_run_returns_128_and_the_signal_that_killed(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    bundle.write()
    process = subprocess.Popen(runtime.command("run", "--bundle", str(bundle.path), "kept"))
    wait_until(lambda: runtime("state", "kept", check=False).returncode == 0, "no state")
    wait_until(lambda: runtime.state()["status"] == "running", "the container does not run")
    runtime("kill", "kept", "KILL")
    assert process.wait(10) == 128 + signal.SIGKILL
    assert "does not exist" in runtime("state", "kept", check=False).stderr


def test_run_passes_signals_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell('trap "exit 42" TERM; echo ready; while :; do sleep 0.05; done')
    bundle.write()
    command = runtime.command("run", "--bundle", str(bundle.path), "once")
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 42


def test_run_detached_returns_at_once_and_the_container_runs_on(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    bundle.write()
    runtime("run", "--detach", "--bundle", str(bundle.path), "kept", stdout=subprocess.DEVNULL)
    assert runtime.state()["status"] == "running"


def test_the_first_process_is_number_one_of_its_namespace(runtime: Runtime) -> None:
    assert runtime.output("echo $$") == "1"


def test_kill_takes_names_and_numbers_of_signals(runtime: Runtime) -> None:
    runtime.start('trap "echo usr1" USR1; trap "echo hup" HUP; echo ready; while :; do sleep 0.02; done')
    wait_until(lambda: "ready" in runtime.text(), "the program does not run")
    runtime("kill", "kept", "SIGUSR1")
    wait_until(lambda: "usr1" in runtime.text(), "SIGUSR1 does not arrive")
    runtime("kill", "kept", "1")
    wait_until(lambda: "hup" in runtime.text(), "1 does not arrive")
    assert "unknown signal" in runtime("kill", "kept", "SIGNOTHING", check=False).stderr


def test_kill_all_reaches_every_process(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "pid"]
    runtime.start("sleep 1000 & sleep 1000 & wait")
    wait_until(lambda: len(json.loads(runtime("ps", "--format", "json", "kept").stdout)) == 3, "three processes")
    runtime("kill", "--all", "kept", "KILL")
    wait_until(lambda: json.loads(runtime("ps", "--format", "json", "kept").stdout) == [], "they do not die")


def test_a_paused_container_stands_still(runtime: Runtime) -> None:
    runtime.start("while :; do echo x; sleep 0.01; done")
    runtime("pause", "kept")
    assert runtime.state()["status"] == "paused"
    assert "cannot exec in a paused container" in runtime("exec", "kept", "true", check=False).stderr
    length = len(runtime.text())
    assert len(runtime.text()) == length
    runtime("resume", "kept")
    assert runtime.state()["status"] == "running"
    wait_until(lambda: len(runtime.text()) > length, "the container does not go on")


def test_a_paused_container_is_deleted_by_force(runtime: Runtime) -> None:
    runtime.start()
    runtime("pause", "kept")
    runtime("delete", "--force", "kept")


def test_killing_a_paused_container_ends_it(runtime: Runtime) -> None:
    runtime.start()
    runtime("pause", "kept")
    runtime("kill", "kept", "KILL")
    wait_until(lambda: runtime.state()["status"] == "stopped", "the container lives on")


def test_verbs_are_refused_where_the_state_has_no_place_for_them(runtime: Runtime) -> None:
    runtime.bundle.shell("sleep 1000")
    runtime.create()
    assert "not paused" in runtime("resume", "kept", check=False).stderr
    runtime("start", "kept")
    runtime("kill", "kept", "KILL")
    wait_until(lambda: runtime.state()["status"] == "stopped", "the container does not stop")
    for verb in (["pause"], ["resume"], ["start"], ["kill"], ["exec"], ["update", "--memory", "1g"], ["events"]):
        done = runtime(*verb, "kept", *(["true"] if verb == ["exec"] else []), check=False)
        assert done.returncode == (255 if verb == ["exec"] else 1), verb
    runtime("delete", "kept")


def test_delete_does_not_wait_for_whoever_inherits_the_processes_of_exec(runtime: Runtime) -> None:
    # Whoever inherits them here does not wait for them: with them the first process stays, dead but not gone.
    libc = ctypes.CDLL(None, use_errno=True)
    runtime.start()
    assert libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0
    try:
        runtime("exec", "--detach", "--pid-file", str(runtime.root.parent / "pid"), "kept", "sleep", "1000", stdout=-3)
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
    began = time.monotonic()
    runtime("delete", "--force", "kept")
    assert time.monotonic() - began < 5
    os.waitpid(int((runtime.root.parent / "pid").read_text()), 0)


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_a_verb_that_is_not_built_is_refused_by_name(runtime: Runtime, verb: str) -> None:
    assert f"{verb}: not supported" in runtime(verb, "--image-path", "/tmp/x", "kept", check=False).stderr


def test_ps_shows_the_containers_processes_as_ps_does(runtime: Runtime, bundle: Bundle) -> None:
    pid = runtime.start("sleep 1000 & wait")
    wait_until(lambda: len(json.loads(runtime("ps", "--format", "json", "kept").stdout)) == 2, "two processes")
    heading, *lines = runtime("ps", "kept").stdout.splitlines()
    assert "PID" in heading.split()
    assert len(lines) == 2
    assert str(pid) in lines[0].split()
    heading, *lines = runtime("ps", "kept", "-o", "pid,args").stdout.splitlines()
    assert heading.split() == ["PID", "COMMAND"]
    assert lines[0].split() == [str(pid), "sh", "-c", "sleep", "1000", "&", "wait"]
    assert "no column PID" in runtime("ps", "kept", "-o", "args", check=False).stderr
    assert "ps has no output" in runtime("ps", "kept", "--nonsense", check=False).stderr


def test_list_is_a_table_sorted_by_name(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    pid = runtime.start("sleep 1000", "b" * 64)
    bundle.linux["cgroupsPath"] = f"{cgroup}-2"
    runtime.create("a")
    heading, first, second = runtime("list").stdout.splitlines()
    assert heading.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED"]
    assert first.split()[0::2][:2] == ["a", "created"]
    assert second.split()[:3] == ["b" * 64, str(pid), "running"]
    assert heading.index("STATUS") == first.index("created") == second.index("running")


def test_list_shows_every_container(runtime: Runtime) -> None:
    runtime.start()
    assert [one["id"] for one in json.loads(runtime("list", "--format", "json").stdout)] == ["kept"]
    assert runtime("list", "--quiet").stdout == "kept\n"


def test_a_runtime_that_is_killed_takes_the_half_made_container_along(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null; sleep 5"]}]}
    bundle.write()
    process = subprocess.Popen(runtime.command("create", "--bundle", str(bundle.path), "kept"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    wait_until(lambda: len(children.read_text().split()) == 2, "no child and hook")
    child = int(children.read_text().split()[0])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not Path(f"/proc/{child}/exe").exists(), "the child lives on")
    assert runtime.state()["status"] in {"creating", "stopped"}
    runtime("delete", "--force", "kept")


def test_a_created_container_holds_no_descriptor_but_those_it_waits_with(runtime: Runtime) -> None:
    runtime.create()
    pid = runtime.state()["pid"]
    kinds = sorted(str(one.readlink()).split(":")[0].rsplit("/", 1)[-1] for one in Path(f"/proc/{pid}/fd").iterdir())
    assert kinds == ["errors", "exec.fifo", "null", "output", "socket"]


def test_debug_tells_the_log_what_is_done(runtime: Runtime) -> None:
    subprocess.run([*runtime.command(), "--debug", "list", "--quiet"], check=False, capture_output=True)
    assert json.loads(runtime.log.read_text())["msg"] == "list --quiet"
