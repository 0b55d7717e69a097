"""Modules that work in a container: run a command, read the log, copy a file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.integration.ansible.conftest import REPOSITORY, Play, Task

Docker = Callable[..., CompletedProcess[bytes]]
NAME = "operated"


@pytest.fixture(autouse=True)
def container(docker: Docker, busybox: str) -> Iterator[str]:
    """A running container that has printed on both outputs."""
    script = "echo first; echo second; echo trouble >&2; trap exit TERM; while :; do sleep 0.1; done"
    docker("run", "--detach", "--name", NAME, "--env", "FROM=container", busybox, "sh", "-c", script)
    yield NAME
    docker("rm", "-f", NAME, check=False)


def test_a_command_is_run_and_tells_how_it_ended(play: Play) -> None:
    task = {"container": NAME, "command": "sh -c 'echo out; echo bad >&2; exit 3'"}
    plain, checked, stdin, detached, terminal = play([
        Task("container_exec", task),
        Task("container_exec", task, check=True),
        Task("container_exec", {"container": NAME, "argv": ["sh", "-c", 'read l; echo "$l $A $(pwd) $(id -u)"; cat'],
                                "stdin": "given\nmore", "env": {"A": "1"}, "chdir": "/tmp", "user": "7"}),
        Task("container_exec", {"container": NAME, "command": "sleep 0.1", "detach": True}),
        Task("container_exec", {"container": NAME, "command": "tty", "tty": True, "strip_empty_ends": False}),
    ])  # fmt: skip
    assert (plain["rc"], plain["stdout"], plain["stderr"], plain["changed"]) == (3, "out", "bad", True)
    assert checked.get("skipped")
    assert stdin["stdout"] == "given 1 /tmp 7\nmore"
    assert len(detached["exec_id"]) == 64
    assert terminal["stdout"].startswith("/dev/pts/")
    assert terminal["stdout"].endswith("\r\n")


def test_large_input_and_output_pass_at_the_same_time(play: Play) -> None:
    text = "0123456789abcdef" * 20000
    (done,) = play([Task("container_exec", {"container": NAME, "command": "cat", "stdin": text})])
    assert done["stdout"] == text


def test_what_is_wrong_with_a_command_is_named(play: Play) -> None:
    both, none, number, detached, unknown, quotes = play([
        Task("container_exec", {"container": NAME, "command": "true", "argv": ["true"]}),
        Task("container_exec", {"container": NAME}),
        Task("container_exec", {"container": NAME, "command": "true", "env": {"A": 1}}),
        Task("container_exec", {"container": NAME, "command": "true", "detach": True, "stdin": "x"}),
        Task("container_exec", {"container": "nobody", "command": "true"}),
        Task("container_exec", {"container": NAME, "command": "echo 'open"}),
    ])  # fmt: skip
    assert all(step["failed"] for step in (both, none, number, detached, unknown, quotes))
    assert 'env: A: "1": is no string' in number["msg"]
    assert "stdin" in detached["msg"]
    assert "No such container: nobody" in unknown["msg"]
    assert "cannot be split into words" in quotes["msg"]


def test_the_log_is_read(play: Play) -> None:
    whole, tail, apart, nothing, wrong = play([
        Task("container_logs", {"container": NAME}),
        Task("container_logs", {"container": NAME, "tail": 1, "stderr": False, "timestamps": True}),
        Task("container_logs", {"container": NAME, "stdout": False}),
        Task("container_logs", {"container": NAME, "until": "1h"}),
        Task("container_logs", {"container": NAME, "since": "yesterday"}),
    ])  # fmt: skip
    assert (whole["stdout"], whole["stderr"], whole["changed"]) == ("first\nsecond\n", "trouble\n", False)
    assert tail["stdout"].endswith("Z second\n")
    assert (apart["stdout"], apart["stderr"]) == ("", "trouble\n")
    assert nothing["stdout"] == ""
    assert 'since: "yesterday": is no time' in wrong["msg"]


def test_a_file_is_copied_when_it_differs(play: Play, docker: Docker, tmp_path: Path) -> None:
    source = tmp_path / "source file"
    source.write_text("one\n")
    source.chmod(0o640)
    task = {"container": NAME, "path": str(source), "container_path": "/tmp/copied file"}
    check, run, again, owner, kept, forced = play([
        Task("container_copy_into", task, check=True),
        Task("container_copy_into", task),
        Task("container_copy_into", task),
        Task("container_copy_into", {**task, "owner_id": 5, "group_id": 6, "mode": "0600"}),
        Task("container_copy_into", {**task, "force": False}),
        Task("container_copy_into", {**task, "force": True}),
    ])  # fmt: skip
    assert [step["changed"] for step in (check, run, again, owner, kept, forced)] == [
        True,
        True,
        False,
        True,
        False,
        True,
    ]
    assert check["diff"] == run["diff"]
    assert run["diff"]["after"] == "kind: file\nmode: 0640\nowner: 0:0\none\n\n"
    assert "owner: 5:6" in owner["diff"]["after"]
    shown = docker("exec", NAME, "stat", "-c", "%a %u %g", "/tmp/copied file").stdout
    assert shown == b"640 0 0\n"
    assert docker("exec", NAME, "cat", "/tmp/copied file").stdout == b"one\n"


def test_links_are_followed_or_replaced_or_copied(play: Play, docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("real")
    (tmp_path / "link").symlink_to("target")
    docker("exec", NAME, "sh", "-c", "cd /tmp; echo old >a; ln -s a b; ln -s /tmp/b c; ln -s new dangling")
    content = {"container": NAME, "content": "new", "mode": 0o644}
    followed, dangling, replaced, copied, again = play([
        Task("container_copy_into", {**content, "container_path": "/tmp/c", "follow": True}),
        Task("container_copy_into", {**content, "container_path": "/tmp/dangling", "follow": True}),
        Task("container_copy_into", {**content, "container_path": "/tmp/b"}),
        Task("container_copy_into", {"container": NAME, "path": str(tmp_path / "link"), "local_follow": False,
                                     "container_path": "/tmp/l"}),
        Task("container_copy_into", {"container": NAME, "path": str(tmp_path / "link"), "local_follow": False,
                                     "container_path": "/tmp/l"}),
    ])  # fmt: skip
    assert (followed["container_path"], dangling["container_path"]) == ("/tmp/a", "/tmp/new")
    assert [replaced["changed"], copied["changed"], again["changed"]] == [True, True, False]
    look = "cd /tmp; cat a; cat new; readlink c; readlink l; test ! -L b && cat b"
    assert docker("exec", NAME, "sh", "-c", look).stdout == b"newnew/tmp/b\ntarget\nnew"


def test_a_file_goes_into_a_stopped_container_and_bad_places_are_named(play: Play, docker: Docker) -> None:
    docker("stop", NAME)
    content = {"container": NAME, "content": "aGVsbG8=", "content_is_b64": True, "mode": "0644"}
    done, relative, directory, missing, mode, base64, owner = play([
        Task("container_copy_into", {**content, "container_path": "/etc/hello"}),
        Task("container_copy_into", {**content, "container_path": "etc/hello"}),
        Task("container_copy_into", {**content, "container_path": "/etc"}),
        Task("container_copy_into", {**content, "container_path": "/nowhere/at/all"}),
        Task("container_copy_into", {**content, "container_path": "/etc/hello", "mode": "0999"}),
        Task("container_copy_into", {**content, "container_path": "/etc/hello", "content": "%%"}),
        Task("container_copy_into", {**content, "container_path": "/etc/hello", "owner_id": 3}),
    ])  # fmt: skip
    assert done["changed"] is True
    assert "is no absolute path" in relative["msg"]
    assert "is a directory" in directory["msg"]
    assert "/nowhere" in missing["msg"]
    assert 'mode: "0999": is no mode' in mode["msg"]
    assert "content: is not Base64" in base64["msg"]
    assert owner["failed"]
    docker("start", NAME)
    assert docker("exec", NAME, "cat", "/etc/hello").stdout == b"hello"


def test_a_container_knows_itself_by_what_the_kernel_shows(
    docker: Docker, ansible_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    del ansible_environment  # it has put the collection where Python finds it
    monkeypatch.syspath_prepend(str(REPOSITORY / ".ansible/collections"))
    facts = importlib.import_module("ansible_collections.wherry.node.plugins.modules.current_container_facts")
    identity = docker("inspect", "--format", "{{.Id}}", NAME).stdout.decode().strip()
    mounts = docker("exec", NAME, "cat", "/proc/self/mountinfo").stdout.decode()
    assert facts.found(mounts, facts._FILES) == (identity, "docker")
    host = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    assert facts.found(host, facts._FILES) is None
