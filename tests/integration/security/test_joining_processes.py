"""Processes that come into a container from outside, and a container that lies in wait for them (CVE-2019-5736,
CVE-2016-9962): neither the runtime's program, nor the agent's interpreter, nor descriptors, nor privileges are lost.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import PROGRAM, Bundle, Runtime, wait_until
from tests.integration.security.conftest import Probe, grant
from tests.integration.support.private_agent import REPOSITORY, PrivateAgent
from wherry.containers.spec.capabilities import DEFAULT_CAPABILITIES

EXECS = 200
DOCKER_EXECS = 15
SCRIPT = "#!/proc/self/exe\n"

CAPABILITIES = {
    "default": DEFAULT_CAPABILITIES,
    "tracing": (*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"),
}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def said(text: str, word: str) -> list[str]:
    """The thief's lines of one kind."""
    return [line for line in text.splitlines() if line.split()[0] == word]


def assert_nothing_was_taken(text: str) -> None:
    for word in ("wrote", "traced", "file", "place"):
        assert said(text, word) == []


@pytest.fixture(params=CAPABILITIES)
def ambush(request: pytest.FixtureRequest, runtime: Runtime, bundle: Bundle, probe: Probe) -> Iterator[str]:
    """A running container whose first process is the thief, and which has a script that names /proc/self/exe as its
    interpreter."""
    shutil.copy(probe("thief"), bundle.rootfs / "thief")
    (bundle.rootfs / "script").write_text(SCRIPT)
    (bundle.rootfs / "script").chmod(0o755)
    grant(bundle, CAPABILITIES[request.param])
    bundle.process["args"] = ["/thief"]
    runtime.create()
    runtime("start", "kept")
    wait_until(lambda: "ready" in runtime.text(), "the thief does not run")
    yield "kept"


def test_nothing_is_taken_of_a_process_that_joins(runtime: Runtime, ambush: str) -> None:
    before = digest(PROGRAM)
    for _ in range(EXECS):
        runtime("exec", ambush, "true")
    text = runtime.text()
    assert len(said(text, "born")) >= EXECS // 20  # it hunts, though what lives so shortly mostly escapes it
    assert_nothing_was_taken(text)
    assert digest(PROGRAM) == before


def test_the_program_that_a_joining_process_is_made_to_execute_again_cannot_be_written(
    runtime: Runtime, bundle: Bundle, ambush: str
) -> None:
    before = digest(PROGRAM)
    for _ in range(EXECS // 4):
        assert runtime("exec", ambush, "/script", check=False).returncode == 1
    # Made to wait, by a log that nobody reads, it can be seen for as long as the thief likes.
    os.mkfifo(bundle.rootfs / "log")
    runtime("exec", "--detach", ambush, "/proc/self/exe", "--log", "/log", "nonsense", stdout=subprocess.DEVNULL)
    wait_until(lambda: said(runtime.text(), "program"), "the thief has never had such a program open")
    time.sleep(0.2)
    reader = os.open(bundle.rootfs / "log", os.O_RDONLY)  # lets it go on
    os.close(reader)
    time.sleep(0.2)
    assert_nothing_was_taken(runtime.text())
    assert digest(PROGRAM) == before


@pytest.mark.parametrize("call", ["clone", "setsid", "recvfrom"])
def test_a_filter_that_forbids_what_joining_takes_does_not_forbid_to_join(
    runtime: Runtime, bundle: Bundle, call: str
) -> None:
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": [call], "action": "SCMP_ACT_KILL_PROCESS"}],
    }
    bundle.process["noNewPrivileges"] = False
    bundle.process["args"] = ["sleep", "1000"]
    runtime.create()
    runtime("start", "kept")
    assert runtime("exec", "kept", "grep", "Seccomp:", "/proc/self/status").stdout.split() == ["Seccomp:", "2"]


def test_an_entrypoint_that_is_the_runtime_itself_does_not_write_it(runtime: Runtime, bundle: Bundle) -> None:
    (bundle.rootfs / "script").write_text(SCRIPT)
    (bundle.rootfs / "script").chmod(0o755)
    before = digest(PROGRAM)
    bundle.process["args"] = ["/script"]
    assert runtime.run(check=False).returncode == 1
    assert digest(PROGRAM) == before


def test_the_thief_robs_whoever_joins_without_precautions(
    runtime: Runtime, bundle: Bundle, probe: Probe, tmp_path: Path
) -> None:
    """What the other tests rely on: the attack works on a program that is as careless as runtimes once were."""
    careless = tmp_path / "careless"
    shutil.copy(shutil.which("nsenter") or "/usr/bin/nsenter", careless)
    before = digest(careless)
    shutil.copy(probe("thief"), bundle.rootfs / "thief")
    grant(bundle, (*DEFAULT_CAPABILITIES, "CAP_SYS_PTRACE"))
    bundle.process["args"] = ["/thief"]
    runtime.create()
    runtime("start", "kept")
    wait_until(lambda: "ready" in runtime.text(), "the thief does not run")
    target = str(runtime.state()["pid"])
    for _ in range(EXECS):
        if digest(careless) != before:
            break
        with contextlib.suppress(OSError):  # it is no program any more
            subprocess.run([careless, "--target", target, "--pid", "--mount", "/bin/true"], check=False)
    assert digest(careless) != before
    wait_until(lambda: said(runtime.text(), "wrote"), "the thief does not say so")
    assert said(runtime.text(), "traced")


def test_docker_exec_into_a_hostile_container_changes_no_program_of_the_host(
    agent: PrivateAgent, busybox: str, probe: Probe, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "script").write_text(SCRIPT)
    (tmp_path / "script").chmod(0o755)
    programs = [
        Path(sys.executable).resolve(),
        PROGRAM.parent / "wherry-monitor",
        *(REPOSITORY / ".venv" / "bin").glob("wherry-*"),
        *(REPOSITORY / "agent").rglob("*.so"),
    ]
    before = [digest(path) for path in programs]
    name = "thief"
    volumes = ("-v", f"{probe('thief')}:/thief:ro", "-v", f"{tmp_path}/script:/script:ro")
    agent.docker("run", "--detach", "--name", name, *volumes, busybox, "/thief")
    try:
        wait_until(lambda: agent.out("logs", name) == "ready", "the thief does not run")
        for _ in range(DOCKER_EXECS):
            agent.docker("exec", name, "true")
            assert agent.docker("exec", name, "/script", check=False).returncode != 0
        wait_until(lambda: len(said(agent.out("logs", name), "born")) >= DOCKER_EXECS // 2, "the thief is blind")
        text = agent.out("logs", name)
    finally:
        agent.docker("rm", "--force", name)
    assert_nothing_was_taken(text)
    assert agent.docker("run", "--rm", *volumes, busybox, "/script", check=False).returncode != 0
    assert [digest(path) for path in programs] == before
