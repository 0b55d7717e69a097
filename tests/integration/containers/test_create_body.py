"""Fields of the create body that no other file is about: what the container's processes find, and what is refused.

Each case goes through the API itself, since the docker command has checks of its own that would stand before ours.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.containers.conftest import ask
from tests.integration.support.private_agent import PrivateAgent

TMPFS = {"Type": "tmpfs", "Target": "/m"}
TMPFS_OPTIONS = {"SizeBytes": 1 << 20, "Mode": 0o1750, "Options": [["exec"], ["uid", "7"]]}
WHOLE = {"Type": "bind", "Source": "/", "Target": "/m"}


def run(agent: PrivateAgent, image: str, name: str, script: str, host: dict[str, Any]) -> str:
    """What a container printed; its create, start and wait have to succeed."""
    body = {"Image": image, "Cmd": ["sh", "-c", script], "HostConfig": {"NetworkMode": "none", **host}}
    status, answer = ask(agent, "POST", f"/containers/create?name={name}", body)
    assert (status, answer.get("Warnings")) == (201, []), answer
    status, answer = ask(agent, "POST", f"/containers/{name}/start")
    assert status == 204, answer
    ask(agent, "POST", f"/containers/{name}/wait")
    done = agent.docker("logs", name)
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize(
    ("host", "script", "shown"),
    [
        ({"OomScoreAdj": 500}, "cat /proc/self/oom_score_adj", ["500"]),
        ({"Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}]}, "ulimit -n; ulimit -Hn", ["100", "200"]),
        ({"ShmSize": 1 << 20}, "df -k /dev/shm | tail -n 1", [" 1024 "]),
        ({"Tmpfs": {"/t": "size=1m,mode=700,uid=5,gid=6,exec"}}, "grep ' /t ' /proc/mounts; stat -c %a-%u-%g /t",
         ["nosuid,nodev", "size=1024k", "700-5-6"]),
        ({"Mounts": [{**TMPFS, "TmpfsOptions": TMPFS_OPTIONS}]},
         "grep ' /m ' /proc/mounts; stat -c %a-%u /m", ["nosuid,nodev", "size=1024k", "1750-7"]),
        ({"MaskedPaths": ["/etc/passwd"], "ReadonlyPaths": ["/etc/group"]},
         "wc -c < /etc/passwd; echo x 2>&1 > /etc/group", ["0\n", "Read-only file system"]),
        ({"MaskedPaths": [], "ReadonlyPaths": []}, "stat -c %F /proc/timer_list; grep -c 'proc ro' /proc/mounts",
         ["regular", "0\n"]),
        ({"Mounts": [{**WHOLE, "BindOptions": {"NonRecursive": True}}]}, "ls /m/proc | wc -l", ["0\n"]),
        ({"Mounts": [{**WHOLE, "ReadOnly": True, "BindOptions": {"ReadOnlyForceRecursive": True}}]},
         "touch /m/run/x 2>&1; touch /m/x 2>&1", ["/m/run/x: Read-only", "/m/x: Read-only"]),
        ({"Mounts": [{**WHOLE, "ReadOnly": True, "BindOptions": {"ReadOnlyNonRecursive": True}}]},
         "touch /m/x 2>&1; touch /m/run/x && rm /m/run/x && echo below", ["/m/x: Read-only", "below"]),
        ({"Sysctls": {"kernel.msgmax": "7000"}}, "cat /proc/sys/kernel/msgmax", ["7000"]),
        ({"SecurityOpt": ["seccomp=unconfined"]}, "grep Seccomp: /proc/self/status", ["\t0"]),
        ({"SecurityOpt": ["seccomp=builtin", "apparmor=unconfined", "label=disable"]},
         "grep Seccomp: /proc/self/status", ["\t2"]),
        ({"SecurityOpt": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],'
                          '"action":"SCMP_ACT_ERRNO"}]}']}, "mkdir /x 2>&1", ["Operation not permitted"]),
        ({"SecurityOpt": ["no-new-privileges"]}, "grep NoNewPrivs /proc/self/status", ["\t1"]),
        ({"SecurityOpt": ["systempaths=unconfined"]}, "grep -c 'proc ro' /proc/mounts", ["0\n"]),
        ({"GroupAdd": ["10", "4242"]}, "id -G", ["0 10 4242"]),
        ({"DeviceCgroupRules": ["c 10:237 rw"]}, "mknod /n c 10 237; exec 3<>/n && echo opened", ["opened"]),
        ({"Devices": [{"PathOnHost": "/dev/loop-control", "PathInContainer": "/dev/zz", "CgroupPermissions": "r"}]},
         "exec 3</dev/zz && echo read; (exec 4>/dev/zz) 2>&1", ["read", "Operation not permitted"]),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_found_inside(
    agent: PrivateAgent, busybox: str, name: str, host: dict[str, Any], script: str, shown: list[str]
) -> None:
    printed = run(agent, busybox, name, script, host)
    assert [word for word in shown if word not in printed] == [], printed


def test_cgroup_namespaces_are_the_containers_own_or_the_hosts(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "readlink /proc/self/ns/cgroup"
    own = run(agent, busybox, name, script, {"CgroupnsMode": "private"})
    agent.docker("rm", name)
    hosts = run(agent, busybox, name, script, {"CgroupnsMode": "host"})
    assert hosts.strip() == agent.run("readlink", "/proc/self/ns/cgroup").stdout.decode().strip() != own.strip()


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ({"BlkioDeviceReadBps": [{"Path": "/dev/loop0", "Rate": -1}]}, "HostConfig.BlkioDeviceReadBps[0].Rate"),
        ({"BlkioWeightDevice": [{"Path": "/dev/loop0", "Weight": 3}]}, "Range of blkio weight is from 10 to 1000"),
        ({"Mounts": [{**TMPFS, "TmpfsOptions": {"Options": [["bogus"]]}}]}, 'invalid tmpfs option ["bogus"]'),
        ({"Mounts": [{**TMPFS, "TmpfsOptions": {"Options": [["uid"]]}}]}, 'invalid tmpfs option ["uid"]'),
        ({"Tmpfs": {"/t": "bogus"}}, 'invalid tmpfs option ["bogus"]'),
        ({"Mounts": [{**TMPFS, "BindOptions": {"Propagation": "rslave"}}]}, "field BindOptions must not be specified"),
        ({"Mounts": [{**TMPFS, "Type": "cluster", "Source": "x"}]}, "HostConfig.Mounts[0].Type"),
        ({"Mounts": [{**WHOLE, "BindOptions": {"Propagation": "x"}}]}, "invalid propagation mode: x"),
        ({"Mounts": [{**WHOLE, "Source": "/no/such"}]}, "bind source path does not exist: /no/such"),
        ({"Annotations": {"": "x"}}, "the empty string is not permitted as an annotation key"),
        ({"Links": ["other:alias"]}, "none type networking can't be used with links"),
        ({"Sysctls": {"kernel.msgmax": "1"}, "IpcMode": "host"}, "not allowed in host ipc namespace"),
        ({"Sysctls": {"net.core.somaxconn": "1"}, "NetworkMode": "host"}, "not allowed in host network namespace"),
        ({"Sysctls": {"kernel.panic": "1"}}, "sysctl 'kernel.panic' is not allowed"),
        ({"SecurityOpt": ["label=type:x"]}, "SELinux labels are not supported"),
        ({"SecurityOpt": ["no-new-privileges=x"]}, "must be true or false"),
        ({"SecurityOpt": ["writable-cgroups=true"]}, 'invalid --security-opt 2: "writable-cgroups=true"'),
        ({"SecurityOpt": ['seccomp={"x"']}, "Decoding seccomp profile failed"),
        ({"UsernsMode": "private"}, "HostConfig.UsernsMode"),
        ({"OomScoreAdj": 1001}, "range for oom score adj is [-1000, 1000]"),
        ({"CapAdd": ["X"]}, 'unknown capability: "CAP_X"'),
        ({"CgroupParent": "/a/../b"}, "HostConfig.CgroupParent"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name_and_makes_nothing(
    agent: PrivateAgent, busybox: str, name: str, host: dict[str, Any], words: str
) -> None:
    body = {"Image": busybox, "HostConfig": {"NetworkMode": "none", **host}}
    status, answer = ask(agent, "POST", f"/containers/create?name={name}", body)
    assert status == 400, answer
    assert words in answer["message"]
    assert ask(agent, "GET", f"/containers/{name}/json")[0] == 404


def test_a_rate_of_something_that_is_no_disk_is_an_error_of_the_start(
    agent: PrivateAgent, busybox: str, name: str
) -> None:
    host = {"BlkioDeviceReadBps": [{"Path": "/etc/passwd", "Rate": 1}]}
    assert ask(agent, "POST", f"/containers/create?name={name}", {"Image": busybox, "HostConfig": host})[0] == 201
    status, answer = ask(agent, "POST", f"/containers/{name}/start")
    assert (status, answer["message"]) == (400, "/etc/passwd: is not a block device")
