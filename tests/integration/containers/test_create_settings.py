"""Settings of the create body that need an agent with a configuration of its own: runtimes, and devices by CDI."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.support.private_agent import PrivateAgent
from wherry import native

CALLS = "calls"


@pytest.fixture(scope="module")
def configured(rootfs_archive: Path) -> Iterator[PrivateAgent]:
    """An agent that knows a runtime which notes how it is called, and another by containerd's name for it."""
    own = str(native.program("wherry-runtime"))
    agent = PrivateAgent()
    recorder = agent.place / "recorder"
    recorder.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {agent.place}/{CALLS}\nshift 2\nexec {own} "$@"\n')
    recorder.chmod(0o755)
    agent.settings.update(
        {
            "runtimes": {
                "recorder": {"path": str(recorder), "runtimeArgs": ["--mark", "with space"]},
                "shim": {"runtimeType": "io.containerd.runc.v2", "options": {"BinaryName": own}},
                "absent": {"path": "/no/such/runtime"},
            },
            "cdi-spec-dirs": [str(agent.place / "static"), str(agent.place / "dynamic")],
            "features": {"cdi": True},
        }
    )
    _describe_devices(agent.place)
    with agent:
        agent.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), "busybox")
        yield agent


def _describe_devices(place: Path) -> None:
    """Two directories: the later one describes one of the first one's devices anew, and has files that are wrong."""
    static, dynamic = place / "static", place / "dynamic"
    static.mkdir()
    dynamic.mkdir()
    (place / "driver").mkdir()
    (place / "driver" / "library").write_text("of the driver\n")
    hook = place / "hook"
    hook.write_text(f'#!/bin/sh\ncat > {place}/hooked\necho "$@" $MADE >> {place}/hooked\n')
    hook.chmod(0o755)
    (static / "gpu.json").write_text(
        json.dumps(
            {
                "cdiVersion": "0.7.0",
                "kind": "vendor.example/gpu",
                "annotations": {"any": "thing"},
                "containerEdits": {
                    "env": ["DRIVER=1", "BOTH=driver"],
                    "mounts": [
                        {
                            "hostPath": str(place / "driver"),
                            "containerPath": "/opt/driver",
                            "options": ["ro", "nosuid", "bind"],
                        }
                    ],
                    "hooks": [
                        {
                            "hookName": "createRuntime",
                            "path": str(hook),
                            "args": ["hook", "made"],
                            "env": ["MADE=by-cdi"],
                        }
                    ],
                },
                "devices": [
                    {
                        "name": "0",
                        "containerEdits": {
                            "env": ["BOTH=device"],
                            "deviceNodes": [
                                {
                                    "path": "/dev/gpu0",
                                    "hostPath": "/dev/loop-control",
                                    "fileMode": 0o600,
                                    "permissions": "rw",
                                }
                            ],
                            "additionalGids": [4242],
                        },
                    },
                    {"name": "old", "containerEdits": {"env": ["WHICH=static"]}},
                    {"name": "twice", "containerEdits": {}},
                ],
            }
        )
    )
    (static / "other.yaml").write_text(
        "cdiVersion: '0.5.0'\nkind: vendor.example/gpu\ndevices:\n- name: twice\n  containerEdits: {env: [A=b]}\n"
    )
    (dynamic / "newer.yaml").write_text(
        "cdiVersion: '0.6.0'\nkind: vendor.example/gpu\n"
        "devices:\n- name: old\n  containerEdits: {env: [WHICH=dynamic]}\n"
    )
    rdt = {"name": "0", "containerEdits": {"intelRdt": {"closID": "x"}}}
    (dynamic / "rdt.json").write_text(
        json.dumps({"cdiVersion": "0.7.0", "kind": "rdt.example/class", "devices": [rdt]})
    )
    (dynamic / "ignored.txt").write_text("no file of CDI")


def inspect(agent: PrivateAgent, name: str) -> Any:
    return json.loads(agent.out("inspect", name))[0]


def test_a_runtime_gets_its_own_arguments_before_all_others(configured: PrivateAgent) -> None:
    configured.docker("run", "-d", "--runtime", "recorder", "--name", "noted", "busybox", "sleep", "60")
    configured.docker("exec", "noted", "true")
    configured.docker("pause", "noted")
    configured.docker("unpause", "noted")
    assert inspect(configured, "noted")["HostConfig"]["Runtime"] == "recorder"
    configured.docker("rm", "-f", "noted")
    calls = (configured.place / CALLS).read_text().splitlines()
    assert all(call.startswith("--mark with space --root ") for call in calls)
    for verb in ("create", "start", "exec", "pause", "resume", "kill", "delete"):
        assert any(f" {verb} " in call for call in calls), verb
    shown = json.loads(configured.out("info", "--format", "{{json .Runtimes}}"))
    assert shown["recorder"]["runtimeArgs"] == ["--mark", "with space"]


def test_a_runtime_may_be_named_as_containerds_shim_names_it(configured: PrivateAgent) -> None:
    assert configured.out("run", "--rm", "--runtime", "shim", "busybox", "echo", "hello") == "hello"


def test_a_runtime_that_is_not_there_is_an_error_of_the_start(configured: PrivateAgent) -> None:
    done = configured.docker("run", "--rm", "--runtime", "absent", "busybox", "true", check=False)
    assert done.returncode in (125, 127)
    assert b"/no/such/runtime" in done.stderr
    done = configured.docker("run", "--rm", "--runtime", "nobody-knows", "busybox", "true", check=False)
    assert b"unknown or invalid runtime name: nobody-knows" in done.stderr


def test_link_local_addresses_are_given_beside_the_networks_own(configured: PrivateAgent) -> None:
    configured.docker("network", "create", "l")
    configured.docker("run", "-d", "--name", "near", "--network", "l", "--link-local-ip", "169.254.8.8",
                      "--link-local-ip", "fe80::8", "busybox", "sleep", "60")  # fmt: skip
    endpoint = inspect(configured, "near")["NetworkSettings"]["Networks"]["l"]
    assert endpoint["IPAMConfig"] == {"LinkLocalIPs": ["169.254.8.8", "fe80::8"]}
    shown = configured.out("exec", "near", "ip", "address", "show", "eth0")
    assert "169.254.8.8/16" in shown
    assert "fe80::8/64" in shown
    pinged = configured.docker("run", "--rm", "--network", "l", "--link-local-ip", "169.254.8.9", "busybox",
                               "ping", "-c1", "-w5", "169.254.8.8")  # fmt: skip
    assert b"1 packets received" in pinged.stdout
    configured.docker("rm", "-f", "near")
    for wrong in ("192.0.2.1", "x"):
        done = configured.docker("create", "--network", "l", "--link-local-ip", wrong, "busybox", check=False)
        assert done.returncode != 0
        assert b"link-local" in done.stderr
    configured.docker("network", "rm", "l")


def test_a_cdi_device_brings_what_its_file_asks_for(configured: PrivateAgent) -> None:
    script = """echo $DRIVER $BOTH; id -G; cat /opt/driver/library; touch /opt/driver/x 2>&1
        stat -c '%a %t:%T' /dev/gpu0; exec 3<>/dev/gpu0 && echo opened"""
    shown = configured.out("run", "--rm", "--device", "vendor.example/gpu=0", "busybox", "sh", "-c", script)
    assert shown.splitlines() == [
        "1 device", "0 4242", "of the driver", "touch: /opt/driver/x: Read-only file system", "600 a:ed", "opened",
    ]  # fmt: skip
    hooked = (configured.place / "hooked").read_text()
    assert '"status"' in hooked
    assert hooked.endswith("made by-cdi\n")
    node = "mknod /dev/own c 10 237; exec 3<>/dev/own"
    without = configured.docker("run", "--rm", "busybox", "sh", "-c", node, check=False)
    assert b"Operation not permitted" in without.stderr


def test_of_two_directories_of_cdi_the_later_one_counts(configured: PrivateAgent) -> None:
    asked = ("--device", "vendor.example/gpu=old", "--device", "vendor.example/gpu=0")
    shown = configured.out("run", "--rm", *asked, "busybox", "sh", "-c", "echo $WHICH $DRIVER")
    assert shown == "dynamic 1"
    assert json.loads(configured.out("info", "--format", "{{json .CDISpecDirs}}")) == [
        str(configured.place / "static"), str(configured.place / "dynamic"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("device", "words"),
    [
        ("vendor.example/gpu=7", b"unresolvable CDI devices vendor.example/gpu=7"),
        ("vendor.example/gpu=twice", b"is described by"),
        ("rdt.example/class=0", b"intelRdt: is not supported"),
    ],
)
def test_a_cdi_device_that_cannot_be_had_is_refused_with_the_reason(
    configured: PrivateAgent, device: str, words: bytes
) -> None:
    done = configured.docker("run", "--rm", "--device", device, "busybox", "true", check=False)
    assert done.returncode == 125
    assert words in done.stderr


def test_gpus_are_refused_by_name(configured: PrivateAgent) -> None:
    done = configured.docker("run", "--rm", "--gpus", "all", "busybox", "true", check=False)
    assert done.returncode == 125
    assert b'could not select device driver "" with capabilities: [[gpu]]' in done.stderr


def test_a_pattern_gives_every_device_that_it_matches(configured: PrivateAgent) -> None:
    script = "ls /dev/loop*; stat -c %t:%T /dev/loop0"
    shown = configured.out("run", "--rm", "--device", "/dev/loop[0-1]", "busybox", "sh", "-c", script).splitlines()
    assert shown == ["/dev/loop0", "/dev/loop1", "7:0"]
    for device, words in (("/dev/nothing*", b"no match"), ("/dev/loop*:/dev/x", b"keep their paths")):
        done = configured.docker("run", "--rm", "--device", device, "busybox", "true", check=False)
        assert words in done.stderr


def test_an_image_can_be_mounted_and_stays_as_it_is(configured: PrivateAgent) -> None:
    mount = "type=image,source=busybox,target=/image"
    script = "cat /image/etc/passwd > /tmp/x; touch /image/new; ls /image/new"
    for _ in range(2):  # what the first one wrote is not in the second
        shown = configured.out("run", "--rm", "--mount", mount, "busybox", "sh", "-c", f"ls /image/new 2>&1; {script}")
        assert shown.splitlines() == ["ls: /image/new: No such file or directory", "/image/new"]
    part = f"{mount},image-subpath=etc,readonly"
    shown = configured.out(
        "run", "--rm", "--mount", part, "busybox", "sh", "-c", "ls /image; touch /image/x 2>&1; true"
    )
    assert "passwd" in shown
    assert "Read-only file system" in shown
    configured.docker("create", "--name", "holder", "--mount", mount, "busybox")
    assert configured.out("cp", "holder:/image/etc/passwd", "-")
    assert inspect(configured, "holder")["Mounts"][0]["Type"] == "image"
    configured.docker("rm", "holder")
    absent = configured.docker(
        "create", "--pull", "never", "--mount", "type=image,source=absent,target=/x", "busybox", check=False
    )
    assert b"No such image: absent" in absent.stderr
