"""Bad input is refused with option, value and what is allowed; good input is read by what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wherry.containers.model import HostPort
from wherry.engine.documents import parse_all
from wherry.engine.documents.container import ContainerDocument
from wherry.errors import InvalidParameter

CONTAINER = {"kind": "container", "name": "web", "image": "busybox"}


def container(**options: Any) -> ContainerDocument:
    (document,) = parse_all([{**CONTAINER, **options}])
    assert isinstance(document, ContainerDocument)
    return document


def refusal(resource: dict[str, Any]) -> str:
    with pytest.raises(InvalidParameter) as caught:
        parse_all([resource])
    return str(caught.value)


BAD_CONTAINERS: list[tuple[dict[str, Any], str]] = [
    ({"published_ports": ["80", "99999:80"]}, 'published_ports[1]: "99999:80": host port must be between 1 and 65535'),
    ({"published_ports": ["80:0"]}, 'published_ports[0]: "80:0": container port must be between 1 and 65535'),
    (
        {"published_ports": ["80-90:80-85"]},
        'published_ports[0]: "80-90:80-85": the two port ranges have different lengths',
    ),
    (
        {"published_ports": ["90-80:80"]},
        'published_ports[0]: "90-80:80": host port range must have its lower end first',
    ),
    ({"published_ports": ["80/icmp"]}, 'published_ports[0]: "80/icmp": unknown protocol "icmp"; tcp, udp or sctp'),
    ({"published_ports": ["1.2.3:80:80"]}, 'published_ports[0]: "1.2.3:80:80": "1.2.3" is not an IP address'),
    (
        {"published_ports": ["web:80:80:80"]},
        'published_ports[0]: "web:80:80:80": is not a port to publish; "[[IP:]HOST_PORT:]CONTAINER_PORT[/PROTOCOL]", '
        "ports "
        "may be ranges",
    ),
    (
        {"memory": "12x"},
        'memory: "12x": is not a size; a number with B, K, M, G, T or P behind it, such as "512M"',
    ),
    ({"memory": "1M"}, 'memory: "1M": is below the smallest memory limit; at least 6M'),
    ({"cpus": "many"}, 'cpus: "many": is not a number of CPUs; such as "1.5"'),
    ({"cpuset_cpus": "3-1"}, 'cpuset_cpus: "3-1": is not a list of numbers; such as "0-3,6"'),
    (
        {"image": "Busy Box"},
        'image: "Busy Box": is not an image\'s name (invalid reference format: repository name must be lowercase); '
        "[REGISTRY/]NAME[:TAG][@DIGEST], lower case",
    ),
    (
        {"name": "-web"},
        'name: "-web": is not a container\'s name; two or more of a-z, A-Z, 0-9, _, . and -, a letter or digit first',
    ),
    ({"env": {"COUNT": 1}}, 'env.COUNT: "1": must be a string; put it in quotes'),
    ({"labels": {"a": True}}, 'labels.a: "True": must be a string; put it in quotes'),
    ({"state": "running"}, 'state: "running": unknown choice; one of absent, present, started, healthy, stopped'),
    ({"healthcheck": {"retries": -1}}, 'healthcheck.retries: "-1": must be at least 0'),
    ({"init": "perhaps"}, 'init: "perhaps": must be true or false'),
    (
        {"volumes": ["pages"]},
        'volumes[0]: "pages": is not a volume; "/PATH", "VOLUME:/PATH[:MODE]" or "/HOST_PATH:/PATH[:MODE]"',
    ),
    (
        {"mounts": [{"type": "bind", "target": "/a", "source": "b"}]},
        'mounts[0].source: "b": must be an absolute path on the host',
    ),
    ({"mounts": [{"type": "tmpfs"}]}, "mounts[0].target: is required"),
    ({"ulimits": ["nofile"]}, 'ulimits[0]: "nofile": is not a limit; "NAME:SOFT[:HARD]", such as "nofile:1024:2048"'),
    ({"devices": ["sda"]}, 'devices[0]: "sda": is not a device; "PATH_ON_HOST[:PATH_IN_CONTAINER][:rwm]"'),
    (
        {"networks": [{"name": "a", "ipv4_address": "10.0.0"}]},
        'networks[0].ipv4_address: "10.0.0": is not an IPv4 address',
    ),
    (
        {"restart_policy": "sometimes"},
        'restart_policy: "sometimes": unknown choice; one of no, always, on-failure, unless-stopped',
    ),
    ({"restart_retries": 3}, 'restart_retries: "3": is only for restart_policy on-failure'),
    (
        {"comparisons": {"memory": "allow_more_present"}},
        'comparisons.memory: "allow_more_present": unknown choice; strict or ignore, for the option is a single value',
    ),
    ({"comparisons": {"colour": "strict"}}, "comparisons.colour: is not an option that is compared"),
    ({"stop_signal": "SIGNOT"}, 'stop_signal: "SIGNOT": is not a signal; such as SIGTERM or 15'),
    ({"env_file": "/nonexistent/env"}, 'env_file: "/nonexistent/env": cannot be read: No such file or directory'),
]

BAD_RESOURCES: list[tuple[dict[str, Any], str]] = [
    (
        {"kind": "pod"},
        'kind: "pod": unknown kind of resource; '
        "one of registry_mirror, registry_login, image, network, volume, container",
    ),
    (
        {"kind": "image", "name": "x", "source": "pull", "proxies": {"https_proxy": "ftp://p"}},
        'proxies: "ftp://p": bad proxy; http://, https://, socks5:// or socks5h://[user:password@]host:port',
    ),
    (
        {"kind": "image", "name": "x", "source": "local", "proxies": {"https_proxy": "http://p"}},
        "proxies: are only for source pull",
    ),
    ({"kind": "image", "name": "busybox"}, "source: is required for state present; one of pull, load, import, local"),
    ({"kind": "image", "name": "busybox", "source": "import"}, "path: is required for source import"),
    (
        {"kind": "image", "name": "a", "source": "import", "path": "rootfs.tar"},
        'path: "rootfs.tar": must be an absolute path on the host',
    ),
    (
        {"kind": "network", "name": "n", "ipam_config": [{"subnet": "10.0.0.1/24"}]},
        'ipam_config[0].subnet: "10.0.0.1/24": has host bits set; address/prefix length, such as 10.88.0.0/24',
    ),
    (
        {"kind": "network", "name": "n", "ipam_config": [{"subnet": "10.0.0.0/24", "gateway": "10.0.1.1"}]},
        'ipam_config[0].gateway: "10.0.1.1": is not in the subnet 10.0.0.0/24',
    ),
    ({"kind": "network", "name": "bridge"}, 'name: "bridge": is a predefined network that cannot be declared'),
    (
        {"kind": "volume", "name": "../etc"},
        'name: "../etc": is not a volume\'s name; two or more of a-z, A-Z, 0-9, _, . and -, a letter or digit first',
    ),
    (
        {"kind": "registry_mirror", "registry": "docker.io", "mirrors": [{"url": "ftp://mirror"}]},
        'mirrors[0].url: "ftp://mirror": not a registry\'s address; [http[s]://]host[:port][/path], port 1 to 65535',
    ),
    (
        {"kind": "registry_mirror", "registry": "docker.io", "mirrors": [{"url": "m", "username": "u"}]},
        "mirrors[0].password: username and password go together",
    ),
]


@pytest.mark.parametrize(("options", "message"), BAD_CONTAINERS, ids=lambda value: str(value)[:40])
def test_bad_container_options_are_named(options: dict[str, Any], message: str) -> None:
    assert refusal({**CONTAINER, **options}) == message


@pytest.mark.parametrize(("resource", "message"), BAD_RESOURCES, ids=lambda value: str(value)[:40])
def test_bad_resources_are_named(resource: dict[str, Any], message: str) -> None:
    assert refusal(resource) == message


@pytest.mark.parametrize(
    "resource",
    [
        CONTAINER,
        {"kind": "image", "name": "a", "source": "pull"},
        {"kind": "network", "name": "n"},
        {"kind": "volume", "name": "vv"},
        {"kind": "registry_mirror", "registry": "docker.io"},
    ],
    ids=lambda resource: resource["kind"],
)
def test_an_unknown_option_is_refused_by_name(resource: dict[str, Any]) -> None:
    assert refusal({**resource, "colour": "red"}).startswith("colour: unknown option; known are ")


def test_of_many_resources_the_one_at_fault_is_named() -> None:
    with pytest.raises(InvalidParameter, match=r'^resources\[1\]\.cpus: "x"'):
        parse_all([{"kind": "volume", "name": "vv"}, {**CONTAINER, "cpus": "x"}])


def test_the_same_resource_twice_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="declared twice"):
        parse_all([CONTAINER, {**CONTAINER, "name": "/web"}])


@pytest.mark.parametrize(
    ("entry", "port", "host"),
    [
        ("80", "80/tcp", HostPort()),
        ("8080:80", "80/tcp", HostPort("", "8080")),
        ("53:53/udp", "53/udp", HostPort("", "53")),
        ("127.0.0.1:8080:80", "80/tcp", HostPort("127.0.0.1", "8080")),
        ("127.0.0.1::80", "80/tcp", HostPort("127.0.0.1", "")),
        ("[::1]:8080:80", "80/tcp", HostPort("::1", "8080")),
        ("8000-9000:80", "80/tcp", HostPort("", "8000-9000")),
    ],
)
def test_published_ports_in_every_form(entry: str, port: str, host: HostPort) -> None:
    assert container(published_ports=[entry]).declared["published_ports"].bindings == {port: (host,)}


def test_port_ranges_are_published_one_by_one() -> None:
    bindings = container(published_ports=["9000-9002:80-82/udp"]).declared["published_ports"].bindings
    assert bindings == {f"{80 + n}/udp": (HostPort("", f"{9000 + n}"),) for n in range(3)}


def test_all_publishes_what_the_image_exposes() -> None:
    assert container(published_ports=["all"]).declared["published_ports"].every


@pytest.mark.parametrize(
    ("text", "size"), [("1g", 1 << 30), ("512MiB", 512 << 20), ("1.5G", 3 << 29), (1 << 24, 1 << 24)]
)
def test_sizes_are_read_in_every_spelling(text: object, size: int) -> None:
    assert container(memory=text).declared["memory"] == size


def test_env_wins_over_env_file(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# a comment\nA=from file\n\nB=from file\n")
    declared = container(env={"B": "from env"}, env_file=str(file)).declared
    assert set(declared["env"]) == {"A=from file", "B=from env"}
