"""config.json as built, against the specification's schema and against what was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from wherry.containers.identity import Identity
from wherry.containers.model import (
    Container,
    ContainerConfig,
    DeviceMapping,
    HostConfig,
    MountPoint,
    NetworkingConfig,
    Ulimit,
)
from wherry.containers.spec import bundle
from wherry.containers.spec.capabilities import ALL_CAPABILITIES
from wherry.containers.spec.inputs import BundleInputs, JoinedNamespaces
from wherry.errors import SystemFailure

SCHEMAS = Path(__file__).parents[4] / "shared" / "specs" / "oci-runtime"
Build = Callable[..., dict[str, Any]]


def inputs(*, mounts: tuple[MountPoint, ...] = (), joined: JoinedNamespaces | None = None, **host: Any) -> BundleInputs:
    config = ContainerConfig(hostname="box", env=("A=1", "PATH"), working_dir="/srv", tty=host.pop("tty", False))
    container = Container(
        "f" * 64, "web", "", "sha256:0", "sh", ("-c", "true"), config, HostConfig(**host), NetworkingConfig(), mounts
    )
    return BundleInputs(
        container=container,
        rootfs=Path("/data/rootfs"),
        identity=Identity(1000, 100, (100, 5), "/home/x"),
        namespaces=joined or JoinedNamespaces(network="/run/netns/x"),
        cgroups_path="/wherry/" + "f" * 64,
        own_capabilities=ALL_CAPABILITIES,
        own_oom_score_adj=0,
        files={"/etc/hosts": Path("/data/hosts")},
        hostname="box",
    )


def build(**given: Any) -> dict[str, Any]:
    return bundle.build(inputs(**given))


def mounts_of(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {mount["destination"]: mount for mount in config["mounts"]}


@pytest.mark.skipif(not SCHEMAS.exists(), reason="the specification's schemas are not at hand")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"privileged": True, "tty": True, "console_size": (24, 80)},
        {
            "memory": 64 << 20, "nano_cpus": 1_500_000_000, "pids_limit": 9, "cpuset_cpus": "0", "blkio_weight": 100,
            "ulimits": (Ulimit("nofile", 10, -1),), "device_cgroup_rules": ("c 1:* rw",), "tmpfs": {},
            "devices": (DeviceMapping("/dev/null", "/dev/x", "rw"),), "sysctls": {"kernel.msgmax": "1", "net.a": "1"},
            "cap_add": ("ALL",), "annotations": {"a": "b"}, "oom_score_adj": 5, "readonly_rootfs": True,
        },
    ],
)  # fmt: skip
def test_configuration_keeps_to_the_schema(given: dict[str, Any]) -> None:
    store = {}
    for file in SCHEMAS.glob("*.json"):
        schema = json.loads(file.read_text())
        store[schema.get("id", f"https://opencontainers.org/schema/bundle/{file.name}")] = schema
        store[f"https://opencontainers.org/schema/{file.name}"] = schema
    root = json.loads((SCHEMAS / "config-schema.json").read_text())
    resolver = jsonschema.RefResolver(base_uri=SCHEMAS.as_uri() + "/", referrer=root)
    document = json.loads(json.dumps(build(**given)))
    jsonschema.Draft4Validator(root, resolver=resolver).validate(document)


def test_process_is_what_was_asked() -> None:
    process = build()["process"]
    assert process["args"] == ["sh", "-c", "true"]
    assert process["cwd"] == "/srv"
    assert process["user"] == {"uid": 1000, "gid": 100, "additionalGids": [100, 5]}
    assert process["env"] == ["HOSTNAME=box", "A=1", "HOME=/home/x"]
    assert process["capabilities"]["effective"] == []


def test_namespaces_are_private_joined_or_the_hosts() -> None:
    kinds = {entry["type"]: entry.get("path") for entry in build()["linux"]["namespaces"]}
    assert kinds == {
        "mount": None, "pid": None, "network": "/run/netns/x", "ipc": None, "uts": None, "cgroup": None,
    }  # fmt: skip
    joined = JoinedNamespaces(network="host", pid="/proc/7/ns/pid", ipc="host", uts="host", cgroup="host")
    config = build(joined=joined)
    assert {entry["type"]: entry.get("path") for entry in config["linux"]["namespaces"]} == {
        "mount": None, "pid": "/proc/7/ns/pid",
    }  # fmt: skip
    assert "hostname" not in config
    assert mounts_of(config)["/dev/shm"]["type"] == "bind"


def test_everything_is_masked_unless_the_user_takes_it_off() -> None:
    assert "/proc/kcore" in build()["linux"]["maskedPaths"]
    assert "/proc/sysrq-trigger" in build()["linux"]["readonlyPaths"]
    assert build(security_opt=("systempaths=unconfined",))["linux"]["maskedPaths"] == []
    assert build(masked_paths=("/proc/keys",))["linux"]["maskedPaths"] == ["/proc/keys"]


def test_privileged_takes_all_fences_down_and_no_more() -> None:
    config = build(privileged=True)
    assert "seccomp" not in config["linux"]
    assert config["linux"]["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "rw" in mounts_of(config)["/sys"]["options"]
    assert not any(device["path"].startswith("/dev/pts/") for device in config["linux"]["devices"])


def test_devices_are_denied_by_default() -> None:
    rules = build()["linux"]["resources"]["devices"]
    assert rules[0] == {"allow": False, "access": "rwm"}
    writable = [rule for rule in rules[1:] if rule["access"] != "m"]
    assert all("major" in rule and rule["type"] == "c" for rule in writable)


def test_a_device_gets_its_node_and_its_rule() -> None:
    linux = build(devices=(DeviceMapping("/dev/zero", "/dev/mine", "r"),))["linux"]
    assert [(node["path"], node["major"], node["minor"]) for node in linux["devices"]] == [("/dev/mine", 1, 5)]
    assert {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "r"} in linux["resources"]["devices"]
    with pytest.raises(SystemFailure, match="error gathering device information"):
        build(devices=(DeviceMapping("/dev/not-there", "/dev/x"),))


def test_asked_mounts_stand_in_for_default_ones() -> None:
    shm = MountPoint("tmpfs", "/dev/shm", options=("size=1m",))
    config = build(mounts=(shm, MountPoint("bind", "/a/b", "/x", rw=False), MountPoint("bind", "/a", "/y")))
    assert [mount["destination"] for mount in config["mounts"]].count("/dev/shm") == 1
    assert mounts_of(config)["/dev/shm"]["options"] == ["size=1m", "rw"]
    order = [mount["destination"] for mount in config["mounts"]]
    assert order.index("/a") < order.index("/a/b")
    assert mounts_of(config)["/a/b"]["options"] == ["rbind", "rro", "rprivate"]
    dev = build(mounts=(MountPoint("bind", "/dev", "/dev"),))
    assert "/dev/pts" not in mounts_of(dev)


def test_limits_are_written_in_the_kernels_units() -> None:
    resources = build(memory=64 << 20, nano_cpus=500_000_000)["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert resources["cpu"] == {"period": 100_000, "quota": 50_000}
    assert "pids" not in build(pids_limit=None)["linux"]["resources"]
    assert build(pids_limit=0)["linux"]["resources"]["pids"] == {"limit": -1}  # an update took the limit away


def test_network_sysctls_are_left_to_the_network() -> None:
    assert build(sysctls={"net.core.somaxconn": "9", "kernel.sem": "1"})["linux"]["sysctl"] == {"kernel.sem": "1"}


def test_shared_memory_of_others_is_bound() -> None:
    given = replace(inputs(), shm=Path("/other/shm"))
    assert mounts_of(bundle.build(given))["/dev/shm"]["source"] == "/other/shm"
