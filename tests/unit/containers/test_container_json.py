"""Bodies of container requests, as the docker command, docker-py and careless clients send them."""

from __future__ import annotations

import pytest

from wherry.api.container_fields import CONFIG_FIELDS, HOST_FIELDS
from wherry.api.container_json import parse_create, parse_exec, parse_update
from wherry.api.json_fields import read_fields, write_fields
from wherry.containers.model import HostConfig, HostPort, RestartPolicy
from wherry.errors import InvalidParameter

LATEST = (1, 51)
DOCKER_COMMAND_BODY = {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": False, "AttachStdout": True, "AttachStderr": True,
    "Tty": False, "OpenStdin": False, "StdinOnce": False, "Env": None, "Cmd": ["true"], "Image": "busybox",
    "Volumes": {}, "WorkingDir": "", "Entrypoint": None, "OnBuild": None, "Labels": {},
    "HostConfig": {
        "Binds": None, "ContainerIDFile": "", "LogConfig": {"Type": "", "Config": {}}, "NetworkMode": "default",
        "PortBindings": {}, "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}, "AutoRemove": True,
        "VolumeDriver": "", "VolumesFrom": None, "ConsoleSize": [24, 80], "CapAdd": None, "CapDrop": None,
        "CgroupnsMode": "", "Dns": [], "DnsOptions": [], "DnsSearch": [], "ExtraHosts": None, "GroupAdd": None,
        "IpcMode": "", "Cgroup": "", "Links": None, "OomScoreAdj": 0, "PidMode": "", "Privileged": False,
        "PublishAllPorts": False, "ReadonlyRootfs": False, "SecurityOpt": None, "UTSMode": "", "UsernsMode": "",
        "ShmSize": 0, "Isolation": "", "CpuShares": 0, "Memory": 0, "NanoCpus": 0, "CgroupParent": "",
        "BlkioWeight": 0, "BlkioWeightDevice": [], "BlkioDeviceReadBps": [], "BlkioDeviceWriteBps": [],
        "BlkioDeviceReadIOps": [], "BlkioDeviceWriteIOps": [], "CpuPeriod": 0, "CpuQuota": 0,
        "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0, "CpusetCpus": "", "CpusetMems": "", "Devices": [],
        "DeviceCgroupRules": None, "DeviceRequests": None, "MemoryReservation": 0, "MemorySwap": 0,
        "MemorySwappiness": -1, "OomKillDisable": False, "PidsLimit": 0, "Ulimits": [], "CpuCount": 0,
        "CpuPercent": 0, "IOMaximumIOps": 0, "IOMaximumBandwidth": 0, "MaskedPaths": None, "ReadonlyPaths": None,
    },
    "NetworkingConfig": {"EndpointsConfig": {"default": {
        "IPAMConfig": None, "Links": None, "Aliases": None, "MacAddress": "", "DriverOpts": None, "GwPriority": 0,
        "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
        "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": None,
    }}},
}  # fmt: skip


def test_the_docker_commands_own_body_is_all_understood() -> None:
    request = parse_create(DOCKER_COMMAND_BODY, "web", "", LATEST)
    assert request.name == "web"
    assert request.config.cmd == ("true",)
    assert request.host_config.auto_remove
    assert request.host_config.memory_swappiness is None
    assert list(request.networking.endpoints) == ["default"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("CpuCount", 1), ("KernelMemory", 1 << 20), ("Isolation", "hyperv"),
        ("SomethingOfTomorrow", "x"),
    ],
)  # fmt: skip
def test_host_config_that_is_not_honoured_is_refused_by_name(key: str, value: object) -> None:
    with pytest.raises(InvalidParameter, match=f"HostConfig.{key}"):
        parse_create({"Image": "x", "HostConfig": {key: value}}, "", "", LATEST)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"Cmd": 5}, "Cmd"),
        ({"Env": "A=1"}, "Env"),
        ({"Env": ["A", 5]}, r"Env\[1\]"),
        ({"Tty": "yes"}, "Tty"),
        ({"User": "a\0b"}, "User"),
        ({"HostConfig": []}, "HostConfig"),
        ({"HostConfig": {"Memory": "1g"}}, "HostConfig.Memory"),
        ({"HostConfig": {"Memory": 1 << 64}}, "HostConfig.Memory"),
        ({"HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": 80}]}}}, "HostPort"),
        ({"HostConfig": {"Mounts": [{"Type": "bind", "Whatever": 1}]}}, r"Mounts\[0\].Whatever"),
        ({"HostConfig": {"Ulimits": [{"Soft": 1}]}}, r"Ulimits\[0\]"),
    ],
)
def test_wrong_types_are_named(body: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidParameter, match=field):
        parse_create({"Image": "x", **body}, "", "", LATEST)


def test_a_command_may_be_one_string() -> None:
    assert parse_create({"Cmd": "date", "Entrypoint": ""}, "", "", LATEST).config.cmd == ("date",)


def test_records_come_back_from_their_json() -> None:
    given = HostConfig(
        port_bindings={"80/tcp": (HostPort("127.0.0.1", "8080"),)},
        restart_policy=RestartPolicy("on-failure", 3),
        ulimits=(),
        console_size=(24, 80),
        memory=1 << 30,
        pids_limit=10,
        cap_add=("NET_ADMIN",),
    )
    assert HostConfig(**read_fields(HOST_FIELDS, write_fields(HOST_FIELDS, given), "")) == given


def test_no_two_keys_share_a_field() -> None:
    for fields in (CONFIG_FIELDS, HOST_FIELDS):
        assert len({field.name for field in fields}) == len({field.key for field in fields}) == len(fields)


def test_update_leaves_alone_what_is_zero() -> None:
    change = parse_update({"Memory": 0, "CpuShares": 512, "RestartPolicy": {"Name": ""}, "CpusetCpus": ""}, LATEST)
    assert dict(change.limits) == {"cpu_shares": 512}
    assert change.restart_policy is None
    with pytest.raises(InvalidParameter, match="Image"):
        parse_update({"Image": "other"}, LATEST)


def test_exec_needs_a_command() -> None:
    with pytest.raises(InvalidParameter, match="No exec command specified"):
        parse_exec({"AttachStdout": True})
