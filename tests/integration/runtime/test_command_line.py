"""The command line as runc's and crun's callers spell it: help, flags with values, options of one of the two only."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import PROGRAM, Bundle, Runtime, cgroup_directories, wait_until


def _help(*arguments: str) -> str:
    done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _verbs() -> list[str]:
    return re.findall(r"^   ([a-z]+) +\S", _help("--help").split("VERBS")[1].split("OPTIONS")[0], re.MULTILINE)


def test_every_verb_and_every_option_of_it_has_a_help() -> None:
    verbs = _verbs()
    assert len(verbs) > 16
    for verb in verbs:
        for option in ("--help", "-h"):
            text = _help(verb, option)
            assert text.splitlines()[1].startswith(f"   wherry-runtime {verb} - ")
        for line in text.split("OPTIONS:\n")[1].splitlines():
            assert re.fullmatch(r"   --[a-z0-9-]+(, -[a-z])?( [][A-Z:=]+)? +[a-z0-9].*", line, re.IGNORECASE), line


def test_help_does_nothing_else(runtime: Runtime, bundle: Bundle) -> None:
    runtime.start()
    assert "delete - remove" in runtime("delete", "--force", "--help", "kept").stdout
    assert runtime.state()["status"] == "running"


def test_an_unknown_verb_has_no_help(runtime: Runtime) -> None:
    done = runtime("foo", "-h", check=False)
    assert done.returncode == 1
    assert "No help topic for 'foo'" in done.stderr


def test_flags_take_values_and_long_names_one_dash(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    bundle.write()
    runtime("run", "-detach=true", "-bundle", str(bundle.path), "kept", stdout=subprocess.DEVNULL)
    refused = runtime("delete", "--force=false", "kept", check=False)
    assert "is not stopped" in refused.stderr
    assert runtime("list", "-quiet=1").stdout == "kept\n"
    runtime("delete", "-force=T", "kept")


@pytest.mark.parametrize(("option", "message"), [
    ("--quiet=maybe", "option --quiet=maybe: must be true or false"),
    ("-qui", "option -qui is not known"),  # with one dash no abbreviations: these could be letters
    ("--format", "option --format needs a value"),
])  # fmt: skip
def test_what_such_options_cannot_be_is_told(runtime: Runtime, option: str, message: str) -> None:
    assert message in runtime("list", option, check=False).stderr


def test_the_cgroup_manager_is_named_as_for_crun(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("true")
    bundle.write()
    runtime("--cgroup-manager", "cgroupfs", "run", "--bundle", str(bundle.path), "once")
    refused = runtime("--cgroup-manager", "disabled", "run", "--bundle", str(bundle.path), "once", check=False)
    assert "--cgroup-manager: disabled: must be cgroupfs or systemd" in refused.stderr


@pytest.mark.parametrize("absolute", [False, True])
def test_the_configuration_can_be_another_file_than_config_json(
    runtime: Runtime, bundle: Bundle, absolute: bool
) -> None:
    bundle.shell("echo other")
    bundle.write()
    (bundle.path / "sub").mkdir()
    file = (bundle.path / "config.json").rename(bundle.path / "sub" / "other.json")
    name = str(file) if absolute else "sub/other.json"
    done = runtime("run", "--bundle", str(bundle.path), "--config", name, "once")
    assert done.stdout == "other\n"
    file.write_text("{}")
    refused = runtime("run", "--bundle", str(bundle.path), "--config", name, "once", check=False)
    assert "other.json: ociVersion" in refused.stderr


def _create(runtime: Runtime, bundle: Bundle, *names: str) -> None:
    for name in names:
        bundle.linux["cgroupsPath"] += name
        runtime.create(name)


def test_kill_and_delete_take_a_regular_expression(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    _create(runtime, bundle, "web-1", "web-2", "data-1")
    runtime("kill", "--regex", "^(web|none)-[0-9]$", "KILL")
    wait_until(lambda: runtime.state("web-2")["status"] == "stopped", "the signal does not arrive")
    wait_until(lambda: runtime.state("web-1")["status"] == "stopped", "the signal does not arrive")
    assert runtime.state("data-1")["status"] == "created"
    runtime("delete", "--regex", "^web-")
    assert runtime("list", "--quiet").stdout == "data-1\n"
    assert "must be an extended regular expression" in runtime("delete", "--regex", "(", check=False).stderr
    runtime("delete", "--regex", "nothing")


def test_of_those_that_match_one_that_fails_does_not_keep_the_others(runtime: Runtime, bundle: Bundle) -> None:
    bundle.shell("sleep 1000")
    _create(runtime, bundle, "one", "two", "three")
    runtime("start", "two")
    done = runtime("delete", "--regex", ".", check=False)
    assert done.returncode == 1
    assert "cannot delete container two that is not stopped" in done.stderr
    assert runtime("list", "--quiet").stdout == "two\n"


def _with_pipe(runtime: Runtime, document: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """A verb with a pipe as a file, as the shell's ``<(...)`` makes it; it is written late."""
    reader, writer = os.pipe()
    command = runtime.command(*[word.replace("PIPE", f"/dev/fd/{reader}") for word in arguments])
    with subprocess.Popen(
        command, pass_fds=[reader], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        os.close(reader)
        time.sleep(0.1)
        os.write(writer, json.dumps(document).encode())
        os.close(writer)
        output, errors = running.communicate(timeout=30)
    return subprocess.CompletedProcess(command, running.returncode, output, errors)


def test_documents_are_read_from_pipes_too(runtime: Runtime, cgroup: str) -> None:
    runtime.start()
    process = {"args": ["ls", "/proc/self/fd"], "env": ["PATH=/bin"], "cwd": "/"}
    done = _with_pipe(runtime, process, "exec", "--process", "PIPE", "kept")
    assert (done.stdout.split(), done.stderr) == (["0", "1", "2", "3"], "")  # 3 is the directory that ls reads
    assert _with_pipe(runtime, {"pids": {"limit": 77}}, "update", "--resources", "PIPE", "kept").returncode == 0
    assert "77" in [(one / "pids.max").read_text().strip() for one in cgroup_directories(cgroup) if "pids" in str(one)]


def test_what_is_listed_as_json_is_one_line_in_the_order_of_runc(runtime: Runtime) -> None:
    pid = runtime.start()
    assert runtime("ps", "--format", "json", "kept").stdout == f"[{pid}]\n"
    lines = runtime("list", "--format", "json").stdout.splitlines()
    assert len(lines) == 1
    listed = json.loads(lines[0])
    assert list(listed[0]) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"]
    assert listed == [runtime.state()]


def test_debug_goes_to_standard_error_without_a_log(runtime: Runtime) -> None:
    command = [PROGRAM, "--debug", "--root", runtime.root, "list", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert re.fullmatch(r'level=debug msg="list --quiet" time="[^"]+"\n', done.stderr)
    assert done.stdout == ""


@pytest.fixture
def reluctant(tmp_path: Path) -> Iterator[socket.socket]:
    """A listening socket at ``pidfd`` whose queue is full."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(tmp_path / "pidfd"))
        listener.listen(0)
        first.connect(str(tmp_path / "pidfd"))
        listener.settimeout(30)
        yield listener


def test_run_executes_the_program_when_the_container_is_on_record_and_not_before(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, reluctant: socket.socket
) -> None:
    bundle.mount("/seen", str(tmp_path), "rw")
    bundle.shell("echo begun > /seen/begun")
    bundle.write()
    command = runtime.command("run", "-b", str(bundle.path), "--pidfd-socket", str(tmp_path / "pidfd"), "once")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as running:
        wait_until(lambda: runtime("state", "once", check=False).returncode == 0, "there is no record")
        wait_until(lambda: runtime.state("once")["status"] == "running", "the record is not complete")
        time.sleep(0.3)
        begun = (tmp_path / "begun").exists()
        taken = [reluctant.accept()[0] for _ in range(2)]
        assert running.wait(30) == 0
        for one in taken:
            one.close()
    assert not begun
    assert (tmp_path / "begun").exists()
