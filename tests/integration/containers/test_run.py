"""docker run: output, exit codes, and what a process finds around itself."""

from __future__ import annotations

import pytest

from tests.integration.containers.conftest import Run
from tests.integration.support.private_agent import PrivateAgent


def test_output_and_exit_code_reach_the_client(agent: PrivateAgent, busybox: str) -> None:
    done = agent.docker("run", "--rm", busybox, "sh", "-c", "echo out; echo err >&2; exit 41", check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 41)


def test_half_closed_input_ends_the_process_and_loses_nothing(agent: PrivateAgent, busybox: str) -> None:
    data = b"hello\n" + bytes(range(256)) * 4000
    assert agent.docker("run", "--rm", "-i", busybox, "cat", input=data).stdout == data


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (("no-such-program",), 127, b"executable file not found in $PATH"),
        (("/no/such/program",), 127, b"no such file or directory"),
        (("/etc/passwd",), 126, b"permission denied"),
        (("sh", "-c", "sleep 9 & kill -9 $!; wait $!"), 137, b""),
    ],
)
def test_exit_code_tells_what_went_wrong(
    agent: PrivateAgent, busybox: str, command: tuple[str, ...], code: int, words: bytes
) -> None:
    done = agent.docker("run", "--rm", busybox, *command, check=False)
    assert done.returncode == code
    assert words in done.stderr
    assert agent.out("ps", "--all", "--quiet", "--filter", f"ancestor={busybox}", "--filter", "status=created") == ""


def test_a_bad_option_is_125_and_makes_nothing(agent: PrivateAgent, busybox: str) -> None:
    done = agent.docker("run", "--memory", "1m", busybox, "true", check=False)
    assert done.returncode == 125
    assert b"Minimum memory limit allowed is 6MB" in done.stderr


def test_missing_image_is_told_in_words_that_clients_pull_on(agent: PrivateAgent) -> None:
    done = agent.docker("create", "--pull", "never", "absent:latest", "true", check=False)
    assert b"No such image: absent:latest" in done.stderr


def test_environment_host_name_and_files(run: Run) -> None:
    shown = run("hostname; echo $HOME $A; cat /etc/hostname; grep db /etc/hosts; pwd", "-h", "box", "-e", "A=b c",
                "--add-host", "db:192.0.2.7", "-w", "/new/place")  # fmt: skip
    assert shown.splitlines() == ["box", "/root b c", "box", "192.0.2.7\tdb", "/new/place"]


def test_processes_are_confined_by_default(run: Run) -> None:
    status = run("grep -E 'Cap|Seccomp:|NoNewPrivs' /proc/self/status; ls /proc/self/fd | wc -l; cat /proc/1/comm")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["CapEff"] == facts["CapBnd"] == "00000000a80425fb"
    assert facts["CapInh"] == facts["CapAmb"] == "0" * 16
    assert facts["Seccomp"] == "2"
    script = (
        "cat /proc/kcore | wc -c; (echo x > /proc/sysrq-trigger) 2> /dev/null || echo refused; ls /sys/firmware | wc -l"
    )
    assert run(script).splitlines() == ["0", "refused", "0"]


def test_security_options_are_honoured(run: Run) -> None:
    shown = run("grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status", "--security-opt", "no-new-privileges",
                "--security-opt", "seccomp=unconfined", "--cap-drop", "ALL", "--cap-add", "NET_RAW")  # fmt: skip
    assert dict(line.split(":\t") for line in shown.splitlines()) == {
        "CapEff": "0000000000002000", "NoNewPrivs": "1", "Seccomp": "0",
    }  # fmt: skip


def test_limits_reach_the_kernel(run: Run) -> None:
    shown = run(
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us;"
        "ulimit -n; cat /proc/self/oom_score_adj",
        "--memory", "32m", "--pids-limit", "64", "--cpus", "0.5", "--ulimit", "nofile=100:100",
        "--oom-score-adj", "100",
    )  # fmt: skip
    assert shown.split() == [str(32 << 20), "64", "50000", "100", "100"]


def test_a_terminal_is_one(agent: PrivateAgent, busybox: str) -> None:
    assert b"/dev/pts/" in agent.docker("run", "--rm", "-t", busybox, "tty").stdout


def test_sysctls_of_both_kinds_are_set(run: Run) -> None:
    shown = run("cat /proc/sys/kernel/msgmax /proc/sys/net/core/somaxconn", "--sysctl", "kernel.msgmax=5000",
                "--sysctl", "net.core.somaxconn=77")  # fmt: skip
    assert shown.split() == ["5000", "77"]


def test_devices_are_given_and_denied(agent: PrivateAgent, busybox: str, run: Run) -> None:
    assert run("head -c 3 /dev/mine | wc -c", "--device", "/dev/zero:/dev/mine:r") == "3"
    denied = agent.docker("run", "--rm", busybox, "sh", "-c", "mknod /d b 254 0 && cat /d", check=False)
    assert b"Operation not permitted" in denied.stderr


def test_namespaces_are_the_hosts_when_asked(run: Run) -> None:
    script = "for kind in uts ipc pid; do readlink /proc/self/ns/$kind; done"
    own = run(script).split()
    host = run(script, "--uts", "host", "--ipc", "host", "--pid", "host").split()
    assert all(one != other for one, other in zip(own, host, strict=True))


@pytest.mark.parametrize("network", ["none", "bridge"])
def test_an_ordinary_user_binds_low_ports_and_pings(run: Run, network: str) -> None:
    listening = "nc -l -p 80 & sleep 0.2; grep -c ':0050 ' /proc/net/tcp6 /proc/net/tcp"
    shown = run(
        f"{listening}; cat /proc/sys/net/ipv4/ping_group_range",
        "--network",
        network,
        "--user",
        "1000:1000",
        "--cap-drop",
        "ALL",
    )
    assert ":1" in shown, shown
    assert shown.split()[-2:] == ["0", "2147483647"]


def test_the_usual_name_of_a_runtime_is_ours(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--name", name, "--runtime", "runc", busybox, "true")
    assert agent.out("inspect", "--format", "{{.HostConfig.Runtime}}", name) == "runc"
    refused = agent.docker("create", "--runtime", "kata", busybox, "true", check=False)
    assert "unknown or invalid runtime name: kata" in refused.stderr.decode()
