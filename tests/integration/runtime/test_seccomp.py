"""System call filters: actions, conditions, flags, and the listener that decides on calls in the container's stead."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, wait_until

EVERY_ARCHITECTURE = [
    "SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32", "SCMP_ARCH_ARM", "SCMP_ARCH_AARCH64", "SCMP_ARCH_LOONGARCH64",
    "SCMP_ARCH_M68K", "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32", "SCMP_ARCH_MIPSEL",
    "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32", "SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
    "SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_SH", "SCMP_ARCH_SHEB", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",
    "SCMP_ARCH_RISCV64",
]  # fmt: skip
MAKE = ["mkdir", "mkdirat"]
# Of linux/seccomp.h: struct seccomp_notif and seccomp_notif_resp, their ioctls, and the flag that lets a call pass.
NOTIFICATION = struct.Struct("=QIIiIQ6Q")
RESPONSE = struct.Struct("=QqiI")
RECEIVE = 3 << 30 | NOTIFICATION.size << 16 | ord("!") << 8
SEND = 3 << 30 | RESPONSE.size << 16 | ord("!") << 8 | 1
CONTINUE = 1


class Agent:
    """Serves listeners: answers every call with ``error``, or lets it pass when that is 0."""

    def __init__(self, path: Path, error: int = errno.EXFULL) -> None:
        self.path = path
        self.error = error
        self.states: list[dict[str, Any]] = []
        self.calls = 0
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while not self._stopped.is_set():
            if not select.select([self._server], [], [], 0.05)[0]:
                continue
            connection, _ = self._server.accept()
            with connection:
                text, descriptors, _, _ = socket.recv_fds(connection, 65536, 4)
                while more := connection.recv(65536):
                    text += more
            self.states.append(json.loads(text))
            assert len(descriptors) == 1
            self._threads.append(threading.Thread(target=self._serve, args=descriptors))
            self._threads[-1].start()

    def _serve(self, listener: int) -> None:
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        while not self._stopped.is_set():
            events = poll.poll(50)
            if not events:
                continue
            if events[0][1] & select.POLLHUP:
                break
            self._answer(listener)
        os.close(listener)

    def _answer(self, listener: int) -> None:
        request = array.array("B", bytes(NOTIFICATION.size))
        with contextlib.suppress(OSError):  # the process may be gone by now
            fcntl.ioctl(listener, RECEIVE, request)
            self.calls += 1
            number = NOTIFICATION.unpack(request)[0]
            fcntl.ioctl(listener, SEND, RESPONSE.pack(number, 0, -self.error, 0 if self.error else CONTINUE))

    def stop(self) -> None:
        """Ends all threads."""
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._server.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent that refuses every call that it is asked about with "Exchange full"."""
    one = Agent(tmp_path / "agent.sock")
    yield one
    one.stop()


def _filter(bundle: Bundle, *syscalls: dict[str, Any], **fields: Any) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": list(syscalls), **fields}


def _rule(action: str, names: list[str] = MAKE, **fields: Any) -> dict[str, Any]:
    return {"names": names, "action": action, **fields}


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_call_has_the_errno_that_is_asked_for(runtime: Runtime, bundle: Bundle, no_new_privileges: bool) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    _filter(bundle, _rule("SCMP_ACT_ERRNO", errnoRet=errno.EXFULL), _rule("SCMP_ACT_ERRNO", ["rmdir"]))
    done = runtime.run("mkdir /tmp/a; rmdir /tmp; grep Seccomp: /proc/self/status", check=False)
    assert "Exchange full" in done.stderr
    assert "Operation not permitted" in done.stderr
    assert done.stdout.split() == ["Seccomp:", "2"]


def test_what_no_rule_names_has_the_default_errno(runtime: Runtime, bundle: Bundle) -> None:
    allowed = [
        "execve", "brk", "arch_prctl", "mmap", "mprotect", "munmap", "read", "write", "exit_group", "set_tid_address",
        "set_robust_list", "rseq", "prlimit64", "readlinkat", "getrandom", "getuid", "geteuid", "getgid", "getegid",
        "newfstatat", "fstat", "openat", "close", "readlink", "prctl", "ioctl", "lseek",
    ]  # fmt: skip
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EXFULL,
        "syscalls": [_rule("SCMP_ACT_ALLOW", allowed)],
    }
    bundle.process["args"] = ["mkdir", "/tmp/a"]
    assert "Exchange full" in runtime.run(check=False).stderr


@pytest.mark.parametrize(("action", "status", "words"), [
    ("SCMP_ACT_KILL", 159, []),
    ("SCMP_ACT_KILL_THREAD", 159, []),
    ("SCMP_ACT_KILL_PROCESS", 159, []),
    ("SCMP_ACT_TRAP", 159, []),
    ("SCMP_ACT_TRACE", 1, ["Function", "not", "implemented"]),
    ("SCMP_ACT_LOG", 0, []),
    ("SCMP_ACT_ALLOW", 0, []),
])  # fmt: skip
def test_every_action_is_taken(runtime: Runtime, bundle: Bundle, action: str, status: int, words: list[str]) -> None:
    _filter(bundle, _rule(action))
    bundle.process["args"] = ["mkdir", "/tmp/a"]
    done = runtime.run(check=False)
    assert done.returncode == status
    assert all(word in done.stderr for word in words)
    assert (bundle.rootfs / "tmp" / "a").exists() == (status == 0)


@pytest.mark.parametrize(("condition", "told"), [
    ({"op": "SCMP_CMP_EQ", "value": 10}, "yny"),
    ({"op": "SCMP_CMP_NE", "value": 10}, "nyn"),
    ({"op": "SCMP_CMP_LT", "value": 10}, "nyy"),
    ({"op": "SCMP_CMP_LE", "value": 10}, "nny"),
    ({"op": "SCMP_CMP_GE", "value": 10}, "ynn"),
    ({"op": "SCMP_CMP_GT", "value": 10}, "yyn"),
    ({"op": "SCMP_CMP_MASKED_EQ", "value": 2, "valueTwo": 2}, "yny"),
    ({"op": "SCMP_CMP_MASKED_EQ", "value": 4, "valueTwo": 4}, "yyn"),
    ({"op": "SCMP_CMP_LE", "value": 2**64 - 1}, "nnn"),
])  # fmt: skip
def test_every_comparison_of_an_argument_is_made(
    runtime: Runtime, bundle: Bundle, condition: dict[str, Any], told: str
) -> None:
    _filter(bundle, _rule("SCMP_ACT_ERRNO", ["kill"], args=[{"index": 1, **condition}]))
    script = "trap '' 10 12; for s in 0 10 12; do kill -$s $$ 2>/dev/null && printf y || printf n; done"
    assert runtime.output(script) == told


def test_a_filter_older_than_the_calls_of_today_lets_programs_be_found(runtime: Runtime, bundle: Bundle) -> None:
    later = ["faccessat2", "close_range", "clone3", "openat2", "epoll_pwait2", "statx", "rseq", "pidfd_open"]
    bundle.process["noNewPrivileges"] = False  # the filter is in force while the program is looked for
    _filter(bundle, _rule("SCMP_ACT_ERRNO", later))
    assert runtime.output("echo found") == "found"
    bundle.process["args"] = ["/etc/plain"]
    (bundle.rootfs / "etc" / "plain").write_text("")
    assert "permission denied" in runtime.create(check=False).stderr


def test_all_architectures_and_flags_of_the_specification_are_known(runtime: Runtime, bundle: Bundle) -> None:
    flags = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]
    _filter(bundle, _rule("SCMP_ACT_ERRNO", errnoRet=errno.EXFULL), architectures=EVERY_ARCHITECTURE, flags=flags)
    assert "Exchange full" in runtime.run("mkdir /tmp/a", check=False).stderr


def test_features_name_every_word_that_is_known(runtime: Runtime) -> None:
    told = json.loads(runtime("features").stdout)["linux"]["seccomp"]
    assert told["enabled"] is True
    assert "SCMP_ACT_NOTIFY" in told["actions"]
    assert len(told["actions"]) == 9
    assert len(told["operators"]) == 7
    assert sorted(told["archs"]) == sorted(EVERY_ARCHITECTURE)
    assert "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" in told["knownFlags"]
    assert set(told["supportedFlags"]) <= set(told["knownFlags"])
    assert "SECCOMP_FILTER_FLAG_LOG" in told["supportedFlags"]


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_a_listener_decides_in_the_containers_stead(
    runtime: Runtime, bundle: Bundle, agent: Agent, no_new_privileges: bool
) -> None:
    bundle.process["noNewPrivileges"] = no_new_privileges
    bundle.config["annotations"] = {"key": "value"}
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path), listenerMetadata="for the agent")
    bundle.shell("mkdir /tmp/a 2>&1; sleep 1000")
    runtime.create()
    pid = runtime.state()["pid"]
    wait_until(lambda: len(agent.states) == 1, "the agent has not got its descriptor")
    runtime("start", "kept")
    wait_until(runtime.text, "the program does not run")
    assert "Exchange full" in runtime.text()
    told = agent.states[0]
    assert (told["fds"], told["pid"], told["metadata"]) == (["seccompFd"], pid, "for the agent")
    assert told["ociVersion"] == bundle.config["ociVersion"]
    state = told["state"]
    assert (state["id"], state["status"], state["pid"]) == ("kept", "creating", pid)
    assert (state["bundle"], state["annotations"]) == (str(bundle.path), {"key": "value"})


def test_a_further_process_has_a_listener_of_its_own(
    runtime: Runtime, bundle: Bundle, agent: Agent, tmp_path: Path
) -> None:
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path))
    pid = runtime.start()
    done = runtime("exec", "--pid-file", str(tmp_path / "pid"), "kept", "mkdir", "/tmp/a", check=False)
    assert "Exchange full" in done.stderr
    first, second = agent.states
    assert "metadata" not in second
    assert second["pid"] == int((tmp_path / "pid").read_text()) != first["pid"] == pid
    assert (second["state"]["status"], second["state"]["pid"]) == ("running", pid)


@pytest.mark.parametrize("no_new_privileges", [True, False])
def test_the_listener_may_have_every_call_of_the_runtime_to_decide(
    runtime: Runtime, bundle: Bundle, tmp_path: Path, no_new_privileges: bool
) -> None:
    agent = Agent(tmp_path / "all.sock", error=0)
    try:
        bundle.process["noNewPrivileges"] = no_new_privileges
        names = [
            "sendto", "sendmsg", "recvfrom", "recvmsg", "read", "write", "poll", "execve", "prctl", "close_range",
            "setresuid", "setresgid", "setgroups", "capset", "chdir", "prlimit64", "rt_sigaction", "faccessat2",
            "newfstatat", "umask", "seccomp", "close", "nanosleep", "futex",
        ]  # fmt: skip
        _filter(bundle, _rule("SCMP_ACT_NOTIFY", names), listenerPath=str(agent.path))
        assert runtime.output("echo word") == "word"
        bundle.linux["cgroupsPath"] += "-second"
        runtime.start("echo word; sleep 1000")
        wait_until(runtime.text, "the program does not run")
        assert runtime("exec", "kept", "echo", "further").stdout == "further\n"
        assert agent.calls > 20
    finally:
        runtime.clean()
        agent.stop()


def test_no_descriptor_of_the_listener_reaches_the_container(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path))
    assert runtime.output("ls /proc/self/fd").split() == ["0", "1", "2", "3"]


@pytest.mark.parametrize("flag", ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_TSYNC"])
def test_flags_go_with_a_listener(runtime: Runtime, bundle: Bundle, agent: Agent, flag: str) -> None:
    if flag not in json.loads(runtime("features").stdout)["linux"]["seccomp"]["supportedFlags"]:
        pytest.skip("the kernel does not know the flag")
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path), flags=[flag])
    assert "Exchange full" in runtime.run("mkdir /tmp/a", check=False).stderr


def test_a_kept_filter_serves_containers_with_other_metadata(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    for word in ("first", "second"):
        _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path), listenerMetadata=word)
        runtime.run("true")
    assert [state["metadata"] for state in agent.states] == ["first", "second"]
    assert len(list((runtime.root / ".seccomp").iterdir())) == 1


def test_nobody_at_the_listeners_path_fails_the_creation(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=f"{tmp_path}/nobody.sock")
    done = runtime.create(check=False)
    said = f"linux.seccomp.listenerPath: failed to connect with seccomp agent at {tmp_path}/nobody.sock: No such file"
    assert said in done.stderr
    assert not (runtime.root / "kept").exists()


def test_a_listener_that_nothing_needs_is_left_alone(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    _filter(bundle, _rule("SCMP_ACT_ERRNO"), listenerPath=f"{tmp_path}/nobody.sock")
    runtime.run("true")


def test_a_process_that_ends_before_its_filter_is_told_at_once(runtime: Runtime, bundle: Bundle, agent: Agent) -> None:
    _filter(bundle, _rule("SCMP_ACT_NOTIFY"), listenerPath=str(agent.path))
    bundle.process["args"] = ["nonesuch"]
    assert "executable file not found" in runtime.create(check=False).stderr
    assert agent.states == []
    leftover = subprocess.run(["pgrep", "-f", str(runtime.root)], capture_output=True, text=True, check=False)
    assert leftover.stdout == ""


@pytest.mark.parametrize(("seccomp", "message"), [
    ({}, "linux.seccomp.defaultAction: must be given"),
    ({"defaultAction": "ALLOW"}, 'linux.seccomp.defaultAction: "ALLOW": must be SCMP_ACT_KILL'),
    ({"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
     "linux.seccomp.defaultErrnoRet: only for SCMP_ACT_ERRNO and SCMP_ACT_TRACE"),
    ({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 65536}, "linux.seccomp.defaultErrnoRet: 65536"),
    ({"architectures": ["SCMP_ARCH_PDP11"]}, 'architectures[0]: "SCMP_ARCH_PDP11": no such architecture'),
    ({"architectures": ["SCMP_ARCH_NATIVE"]}, 'architectures[0]: "SCMP_ARCH_NATIVE": no such architecture'),
    ({"flags": ["SECCOMP_FILTER_FLAG_ODD"]}, 'flags[0]: "SECCOMP_FILTER_FLAG_ODD": must be SECCOMP_FILTER_FLAG_TSYNC'),
    ({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}, "WAIT_KILLABLE_RECV: only with SCMP_ACT_NOTIFY"),
    ({"syscalls": [_rule("SCMP_ACT_NOTIFY")]}, "linux.seccomp.listenerPath: must be set for SCMP_ACT_NOTIFY"),
    ({"listenerPath": "agent.sock"}, "linux.seccomp.listenerPath: agent.sock: must be an absolute path"),
    ({"listenerMetadata": "x"}, "linux.seccomp.listenerMetadata: only with listenerPath"),
    ({"syscalls": [_rule("SCMP_ACT_ERRNO", [])]}, "linux.seccomp.syscalls[0].names: must name a system call"),
    ({"syscalls": [{"names": MAKE}]}, "linux.seccomp.syscalls[0].action: must be given"),
    ({"syscalls": [_rule("SCMP_ACT_LOG", errnoRet=1)]}, "linux.seccomp.syscalls[0].errnoRet: only for"),
    ({"syscalls": [_rule("SCMP_ACT_ERRNO", args=[{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}])]},
     "linux.seccomp.syscalls[0].args[0].index: 6: must be an integer from 0 to 5"),
    ({"syscalls": [_rule("SCMP_ACT_ERRNO", args=[{"index": 0, "op": "SCMP_CMP_EQ"}])]},
     "linux.seccomp.syscalls[0].args[0].value: must be given"),
    ({"syscalls": [_rule("SCMP_ACT_ERRNO", args=[{"index": 0, "value": -1, "op": "SCMP_CMP_EQ"}])]},
     "linux.seccomp.syscalls[0].args[0].value: -1: must be an integer from 0 to 18446744073709551615"),
    ({"syscalls": [_rule("SCMP_ACT_ERRNO", args=[{"index": 0, "value": 0, "op": "EQ"}])]},
     'linux.seccomp.syscalls[0].args[0].op: "EQ": must be SCMP_CMP_NE'),
])  # fmt: skip
def test_what_no_filter_can_mean_is_refused_by_name(
    runtime: Runtime, bundle: Bundle, seccomp: dict[str, Any], message: str
) -> None:
    bundle.linux["seccomp"] = seccomp if not seccomp or "defaultAction" in seccomp else {
        "defaultAction": "SCMP_ACT_ALLOW", **seccomp
    }  # fmt: skip
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert not (runtime.root / "kept").exists()
