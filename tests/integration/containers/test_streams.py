"""Logs and attach over real clients."""

from __future__ import annotations

import socket
import subprocess
import time

import docker as docker_py

from tests.integration.containers.conftest import eventually
from tests.integration.support.private_agent import PrivateAgent


def test_logs_by_stream_tail_time_and_stamp(
    api: docker_py.DockerClient, agent: PrivateAgent, busybox: str, name: str
) -> None:
    script = "for i in 1 2 3; do echo o$i; echo e$i >&2; sleep 0.1; done"
    agent.docker("run", "--name", name, busybox, "sh", "-c", script)
    container = api.containers.get(name)
    assert container.logs(stdout=True, stderr=False) == b"o1\no2\no3\n"
    assert container.logs(stdout=False, stderr=True) == b"e1\ne2\ne3\n"
    assert sorted(container.logs(tail=2).split()) == [b"e3", b"o3"]
    stamped = container.logs(stdout=True, stderr=False, timestamps=True).splitlines()
    stamps, texts = zip(*(line.split(b" ", 1) for line in stamped), strict=True)
    assert texts == (b"o1", b"o2", b"o3")
    assert all(len(stamp) == len("2024-01-01T00:00:00.000000000Z") for stamp in stamps)
    since = agent.out("logs", "--since", stamps[1].decode(), name)
    assert since.split()[0] == "o2"
    assert agent.out("logs", "--until", stamps[0].decode(), name) == "o1"


def test_follow_ends_with_the_container_and_misses_nothing(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "i=0; while [ $i -lt 200 ]; do echo line $i; i=$((i+1)); done; sleep 0.3; echo last"
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", script)
    lines = agent.out("logs", "--follow", name).splitlines()
    assert lines == [f"line {number}" for number in range(200)] + ["last"]


def test_logs_of_a_driver_that_keeps_none_are_refused(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--name", name, "--log-driver", "none", busybox, "echo", "x")
    done = agent.docker("logs", name, check=False)
    assert b"configured logging driver does not support reading" in done.stderr


def test_log_rotation_keeps_what_fits_and_reads_over_it(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker(
        "run", "--name", name, "--log-opt", "max-size=20k", "--log-opt", "max-file=3", busybox,
        "sh", "-c", "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done",
    )  # fmt: skip
    numbers = [int(line.split()[1]) for line in agent.out("logs", name).splitlines()]
    assert numbers == list(range(numbers[0], 1000))
    assert 0 < numbers[0] < 999


def test_logs_of_the_local_driver_are_read_over_compressed_files(agent: PrivateAgent, busybox: str, name: str) -> None:
    options = ["--log-driver", "local", "--log-opt", "max-size=10k", "--log-opt", "max-file=4"]
    script = "for i in 0 1 2 3; do seq $((i * 200 + 1)) $((i * 200 + 200)); sleep 0.2; done; sleep 1; printf end"
    agent.docker("run", "--detach", "--name", name, *options, busybox, "sh", "-c", script)
    followed = agent.docker("logs", "--follow", name).stdout.decode().split()
    assert followed == [str(number) for number in range(1, 801)] + ["end"]
    assert agent.out("logs", "--tail", "500", name).split() == followed[-500:]
    place = agent.data_root / "containers" / agent.out("inspect", "--format", "{{.Id}}", name) / "local-logs"
    assert sorted(path.name for path in place.iterdir())[:2] == ["container.log", "container.log.1.gz"]
    assert agent.out("inspect", "--format", "{{.LogPath}}", name) == ""


def test_labels_variables_and_tag_are_the_details_of_a_log(agent: PrivateAgent, busybox: str, name: str) -> None:
    options = ["labels=who", "env-regex=^SI", "tag={{.Name}} {{.ImageName}}"]
    arguments = [word for option in options for word in ("--log-opt", option)]
    agent.docker(
        "run", "--name", name, "--label", "who=me & you", "--env", "SIZE=1", *arguments, busybox, "echo", "hello"
    )
    image = busybox.replace(":", "%3A").replace("/", "%2F")
    assert agent.out("logs", "--details", name) == f"SIZE=1,tag={name}+{image},who=me+%26+you hello"


def test_log_options_are_refused_by_name_and_hold_for_the_agent(own_agent: PrivateAgent, own_busybox: str) -> None:
    done = own_agent.docker("create", "--log-opt", "max-sise=1m", own_busybox, "true", check=False)
    assert b"unknown log opt 'max-sise' for json-file log driver" in done.stderr
    (own_agent.place / "wherryd.yml").write_text('{"log-driver": "local", "log-opts": {"max-size": "1m"}}')
    own_agent.restart()
    own_agent.docker("run", "--name", "one", own_busybox, "echo", "kept")
    log = own_agent.out("inspect", "--format", "{{.HostConfig.LogConfig.Type}} {{.HostConfig.LogConfig.Config}}", "one")
    assert log == "local map[max-size:1m]"
    assert own_agent.out("logs", "one") == "kept"
    (own_agent.place / "wherryd.yml").write_text('{"log-opts": {"colour": "red"}}')
    own_agent.stop()
    done = own_agent.run("wherryd", *own_agent.options(), check=False)
    assert done.returncode != 0 and b"unknown log opt 'colour'" in done.stderr
    (own_agent.place / "wherryd.yml").write_text("{}")
    own_agent.start()


def test_several_clients_see_the_same_output(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "sleep 1.5; echo seen")
    command = agent.enter(["docker", "attach", "--no-stdin", name])
    agent.docker("start", name)
    clients = [
        subprocess.Popen(command, env=agent.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    assert [client.communicate(timeout=20)[0] for client in clients] == [b"seen\n"] * 3


def test_attach_after_start_gets_history_then_the_stream(
    api: docker_py.DockerClient, agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", "echo before; sleep 0.6; echo after")
    eventually(lambda: agent.out("logs", name) == "before")
    assert b"".join(api.containers.get(name).attach(stream=True, logs=True)) == b"before\nafter\n"


def test_input_of_one_attached_client_reaches_the_process(
    api: docker_py.DockerClient, agent: PrivateAgent, busybox: str, name: str
) -> None:
    agent.docker("run", "--detach", "--name", name, "-i", busybox, "sh", "-c", "read x; echo got $x; exit 5")
    assert agent.docker("attach", name, input=b"abc\n", check=False).stdout == b"got abc\n"
    assert agent.out("wait", name) == "5"


def test_attach_ends_with_the_run_though_a_restart_follows(agent: PrivateAgent, busybox: str, name: str) -> None:
    options = ("--interactive", "--restart", "always", "--name", name)
    done = agent.docker("run", *options, busybox, "sh", input=b"echo first; exit 11", check=False, timeout=30)
    assert (done.returncode, done.stdout) == (11, b"first\n")


def test_a_client_that_reads_nothing_does_not_hold_the_container(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "sh", "-c", "head -c 3000000 /dev/zero; exit 6")
    stuck = socket.socket(socket.AF_UNIX)
    stuck.connect(str(agent.socket))
    target = f"/v1.51/containers/{name}/attach?stream=1&stdout=1"
    head = f"POST {target} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    stuck.sendall(head.encode())
    time.sleep(0.2)
    agent.docker("start", name)
    assert agent.out("wait", name) == "6"
    stuck.close()


def test_pipe_behind_docker_run_and_exec_gets_every_byte_however_late_it_reads(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    run = f"docker run --name {name} --log-driver none {busybox} head -c 20000000 /dev/zero"
    assert agent.run("sh", "-c", f"{run} | (sleep 1; wc -c)").stdout == b"20000000\n"
    agent.docker("rm", name)
    agent.docker("run", "--detach", "--name", name, busybox, "sleep", "100")
    run = f"docker exec {name} head -c 20000000 /dev/zero"
    assert agent.run("sh", "-c", f"{run} | (sleep 1; wc -c)").stdout == b"20000000\n"


def test_resize_reaches_the_terminal(api: docker_py.DockerClient, busybox: str, name: str) -> None:
    container = api.containers.run(busybox, ["sh", "-c", "sleep 0.5; stty size"], name=name, tty=True, detach=True)
    container.resize(33, 77)
    container.wait()
    assert container.logs().strip() == b"33 77"
