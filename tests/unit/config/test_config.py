"""wherryd's configuration: file, flags, conflicts, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wherry import config
from wherry.cli.daemon_options import parse
from wherry.config import AddressPool, Config, RuntimeChoice, Ulimit
from wherry.errors import InvalidParameter


def load(tmp_path: Path, content: object, *arguments: str) -> Config:
    file = tmp_path / "wherryd.yml"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return config.load(parse(["--config-file", str(file), *arguments]).flags)


def test_existing_daemon_json_is_valid(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        {
            "data-root": "/srv/data",
            "hosts": ["unix:///run/x.sock"],
            "debug": True,
            "registry-mirrors": ["https://mirror.example/"],
            "insecure-registries": ["10.0.0.0/8", "registry.lan:5000"],
            "log-driver": "json-file",
            "log-opts": {"max-size": "10m", "max-file": "3"},
            "storage-driver": "overlay2",
            "live-restore": True,
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "default-address-pools": [{"base": "10.10.0.0/16", "size": 24}],
            "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 64000, "Soft": 1024}},
            "runtimes": {"crun": {"path": "/usr/bin/crun", "runtimeArgs": ["--debug"]}},
            "default-runtime": "crun",
            "bip": "10.5.0.1/16",
            "mtu": 1400,
            "default-shm-size": "128M",
            "proxies": {"http-proxy": "http://proxy:3128", "no-proxy": "localhost"},
            "features": {},
        },
    )
    assert found.data_root == Path("/srv/data") and found.debug and found.mtu == 1400
    assert found.registry_mirrors == ("https://mirror.example",)
    assert found.default_address_pools == (AddressPool("10.10.0.0/16", 24),)
    assert found.default_ulimits == (Ulimit("nofile", 1024, 64000),)
    assert found.runtimes == {"crun": RuntimeChoice("/usr/bin/crun", ("--debug",))}
    assert found.default_shm_size == 128 * 1024**2
    assert (found.http_proxy, found.no_proxy) == ("http://proxy:3128", "localhost")


def test_yaml_is_read_too(tmp_path: Path) -> None:
    assert load(tmp_path, "debug: true\nlabels:\n  - rack=7\n").labels == ("rack=7",)


@pytest.mark.parametrize(
    ("options", "systemd"),
    [([], False), (["native.cgroupdriver=cgroupfs"], False), (["native.cgroupdriver=systemd"], True),
     (["native.cgroupdriver=systemd", "native.cgroupdriver=cgroupfs"], False)],
)  # fmt: skip
def test_the_cgroup_driver_is_an_exec_option(tmp_path: Path, options: list[str], systemd: bool) -> None:
    assert load(tmp_path, {"exec-opts": options}).systemd_cgroups == systemd
    assert load(tmp_path, "", *(f"--exec-opt={one}" for one in options)).systemd_cgroups == systemd


def test_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "").listen == ("unix:///run/wherry/wherry.sock",)


def test_flags_mean_what_dockerds_do(tmp_path: Path) -> None:
    found = load(
        tmp_path, "",
        "-H", "unix:///run/a.sock", "--host=fd://", "-D", "--ip-masq=false", "--default-ulimit", "nofile=1:2",
        "--default-address-pool", "base=10.0.0.0/8,size=24", "--log-opt", "max-size=1m", "--add-runtime", "x=/bin/x",
        "-l", "warn", "--mtu", "9000", "--insecure-registry", "a:5000", "--insecure-registry=b", "-b", "br7",
    )  # fmt: skip
    assert found.hosts == ("unix:///run/a.sock", "fd://") and found.debug and not found.ip_masq
    assert found.default_ulimits == (Ulimit("nofile", 1, 2),)
    assert found.default_address_pools == (AddressPool("10.0.0.0/8", 24),)
    assert (found.log_opts, found.runtimes["x"].path) == ({"max-size": "1m"}, "/bin/x")
    assert (found.log_level, found.mtu, found.bridge) == ("warn", 9000, "br7")
    assert found.insecure_registries == ("a:5000", "b")


@pytest.mark.parametrize(
    ("content", "arguments", "words"),
    [
        ({"nix": 1, "debug": True}, [], ["the following directives don't match any configuration option: nix"]),
        ({"debug": True}, ["--debug"], ["specified both as a flag and in the configuration file", "debug"]),
        ({"mtu": "big"}, [], ["mtu", "big", "a number from 68"]),
        ({"mtu": True}, [], ["mtu", "a number from 68"]),
        ({"debug": "yes"}, [], ["debug", "yes", "true or false"]),
        ({"bip": "10.5.0.0/16"}, [], ["bip", "10.5.0.0/16", "10.5.0.1/16"]),
        ({"bip": "10.5.0.1"}, [], ["bip", "10.5.0.1/16"]),
        ({"exec-opts": ["native.cgroupdriver=runit"]}, [], ["exec-opts", "native.cgroupdriver=systemd"]),
        ({"storage-driver": "zfs"}, [], ["storage-driver", "zfs", "overlay2"]),
        ({"iptables": False}, [], ["iptables", "nftables"]),
        ({"userland-proxy": True}, [], ["userland-proxy", "without proxy processes"]),
        ({"cri-containerd": True}, [], ["cri-containerd", "no containerd"]),
        ({"log-driver": "gelf"}, [], ["log-driver", "gelf", "json-file"]),
        ({"hosts": ["tcp://0.0.0.0:2375"]}, [], ["tcp://0.0.0.0:2375", "root on this host", "tlsverify"]),
        ({"hosts": ["http://x"]}, [], ["hosts", "unix:///path"]),
        ({"registry-mirrors": ["mirror"]}, [], ["registry-mirrors", "http://host"]),
        ({"insecure-registries": ["http://x"]}, [], ["insecure-registries", "without a scheme"]),
        ({"default-ulimits": {"nofile": {"Soft": 5, "Hard": 2}}}, [], ["nofile", "soft limit 5 is above hard limit 2"]),
        ({"default-runtime": "runsc"}, [], ["default-runtime", "runsc", "wherry-runtime"]),
        ({"bridge": "br0", "bip": "10.0.0.1/8"}, [], ["bridge and bip exclude each other"]),
        ({"default-address-pools": [{"base": "10.0.0.0/16", "size": 8}]}, [], ["from 16 to 32"]),
        ({"proxies": {"ftp": "x"}}, [], ["proxies", "http-proxy"]),
        ({"labels": ["rack"]}, [], ["labels", "key=value"]),
        ("[1, 2]", [], ["is not a mapping"]),
        ("a: [", [], ["neither YAML nor JSON"]),
        ({}, ["--iptables=false"], ["iptables", "nftables"]),
        ({}, ["--debug=maybe"], ["--debug", "maybe", "true or false"]),
        ({}, ["--mtu", "big"], ["mtu", "big"]),
        ({}, ["--default-ulimit", "nofile"], ["--default-ulimit", "name=value"]),
    ],
)
def test_bad_configuration_names_key_value_and_what_is_allowed(
    tmp_path: Path, content: Any, arguments: list[str], words: list[str]
) -> None:
    with pytest.raises(InvalidParameter) as caught:
        load(tmp_path, content, *arguments)
    for word in words:
        assert word in str(caught.value)


def test_missing_file_is_an_error_only_when_it_was_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match="no such file"):
        config.load({"config-file": str(tmp_path / "nix.yml")})


def test_reload_takes_what_it_can_and_tells_the_rest(tmp_path: Path) -> None:
    flags = {"config-file": str(tmp_path / "wherryd.yml")}
    running = load(tmp_path, {"mtu": 1500})
    (tmp_path / "wherryd.yml").write_text('{"mtu": 1400, "debug": true, "registry-mirrors": ["http://m"]}')
    fresh, later = config.reload(running, flags)
    assert fresh.debug and fresh.registry_mirrors == ("http://m",)
    assert (fresh.mtu, later) == (1500, ("mtu",))
