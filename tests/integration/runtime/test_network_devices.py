"""linux.netDevices: devices of the host that go into the container's network namespace."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


class Host:
    """A network namespace that stands for the host's, in which the runtime runs."""

    def __init__(self) -> None:
        self._holder = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo; exec sleep 1000"], stdout=subprocess.PIPE)
        assert self._holder.stdout is not None
        self._holder.stdout.readline()
        self.enter = ["nsenter", f"--net=/proc/{self._holder.pid}/ns/net"]

    def ip(self, *words: str) -> str:
        """Runs ip(8) in it."""
        return _output([*self.enter, "ip", *words])

    def stop(self) -> None:
        """Ends it, and with it what is in it."""
        self._holder.kill()
        self._holder.wait()


def _output(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def host(runtime: Runtime) -> Iterator[Host]:
    """A host with the device net0, which is up and has addresses."""
    one = Host()
    one.ip("link", "add", "net0", "address", "02:00:00:00:00:07", "mtu", "1400", "type", "veth", "peer", "name", "net1")
    one.ip("addr", "add", "192.0.2.7/24", "broadcast", "+", "dev", "net0")
    one.ip("addr", "add", "192.0.2.8/24", "dev", "net0")
    one.ip("addr", "add", "198.51.100.1", "peer", "198.51.100.2/32", "metric", "42", "dev", "net0")
    one.ip("addr", "add", "2001:db8::7/64", "dev", "net0", "nodad", "noprefixroute")
    one.ip("addr", "add", "192.0.2.99/24", "valid_lft", "1000", "preferred_lft", "1000", "dev", "net0")
    one.ip("addr", "add", "169.254.1.1/16", "scope", "link", "dev", "net0")
    one.ip("link", "set", "net0", "up")
    runtime.prefix = one.enter
    yield one
    runtime.clean()
    runtime.prefix = []
    one.stop()


KEPT = {"192.0.2.7/24", "192.0.2.8/24", "198.51.100.1/32", "2001:db8::7/64"}


def _inside(runtime: Runtime, name: str) -> dict[str, Any]:
    """What ip(8) tells about a device of the container."""
    pid = runtime.state()["pid"]
    told: list[dict[str, Any]] = json.loads(_output(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-j", "addr"]))
    return next(link for link in told if link["ifname"] == name)


def _global(link: dict[str, Any]) -> set[str]:
    return {f"{one['local']}/{one['prefixlen']}" for one in link["addr_info"] if one["scope"] == "global"}


def test_a_device_comes_with_its_attributes_and_permanent_global_addresses(
    runtime: Runtime, bundle: Bundle, host: Host
) -> None:
    bundle.linux["netDevices"] = {"net0": {}}
    runtime.start()
    link = _inside(runtime, "net0")
    assert "UP" in link["flags"]
    assert (link["address"], link["mtu"]) == ("02:00:00:00:00:07", 1400)
    assert _global(link) == KEPT
    told = {one["local"]: one for one in link["addr_info"]}
    assert told["192.0.2.7"]["broadcast"] == "192.0.2.255"
    assert (told["198.51.100.1"]["address"], told["198.51.100.1"]["metric"]) == ("198.51.100.2", 42)
    assert told["2001:db8::7"]["nodad"] is True
    assert told["2001:db8::7"]["noprefixroute"] is True
    assert "169.254.1.1" not in told
    assert "192.0.2.99" not in told
    assert "net0" not in host.ip("-br", "link").replace("net1@net0", "")


@pytest.mark.parametrize(("wanted", "name"), [("eth0", "eth0"), ("eth%d", "eth0"), ("net0", "net0")])
def test_a_device_is_renamed(runtime: Runtime, bundle: Bundle, host: Host, wanted: str, name: str) -> None:
    bundle.linux["netDevices"] = {"net0": {"name": wanted}}
    runtime.start()
    assert _global(_inside(runtime, name)) == KEPT


def test_a_template_takes_the_first_number_that_is_free(runtime: Runtime, bundle: Bundle, host: Host) -> None:
    bundle.linux["netDevices"] = {"net0": {"name": "eth%d"}, "net1": {"name": "eth%d"}}
    runtime.start()
    assert _global(_inside(runtime, "eth0")) == KEPT
    assert _global(_inside(runtime, "eth1")) == set()


def test_a_device_goes_into_a_namespace_that_is_joined(runtime: Runtime, bundle: Bundle, host: Host) -> None:
    other = Host()
    try:
        other.ip("link", "add", "eth0", "type", "veth", "peer", "name", "eth7")
        bundle.namespace("network", other.enter[1].removeprefix("--net="))
        bundle.linux["netDevices"] = {"net0": {"name": "eth%d"}}
        runtime.start()
        assert _global(_inside(runtime, "eth1")) == KEPT
        runtime("delete", "--force", "kept")
        assert "192.0.2.7/24" in other.ip("addr", "show", "eth1"), "it is the namespace's, not the container's"
    finally:
        other.stop()


def test_a_device_goes_with_a_user_namespace(runtime: Runtime, bundle: Bundle, host: Host) -> None:
    bundle.namespace("user")
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 0, "hostID": 0, "size": 65536}]
    bundle.linux["netDevices"] = {"net0": {"name": "eth0"}}
    runtime.start()
    assert _global(_inside(runtime, "eth0")) == KEPT


def test_hooks_find_the_device_in_its_place(runtime: Runtime, bundle: Bundle, host: Host) -> None:
    bundle.linux["netDevices"] = {"net0": {"name": "eth0"}}
    bundle.config["hooks"] = {"createContainer": [{
        "path": "/bin/sh", "args": ["sh", "-c", "ip addr show eth0 | grep -q 192.0.2.7"],
        "env": ["PATH=/usr/sbin:/sbin:/usr/bin:/bin"],
    }]}  # fmt: skip
    runtime.create()


def _unchanged(host: Host) -> None:
    told = json.loads(host.ip("-j", "addr", "show", "net0"))[0]
    assert "UP" in told["flags"]
    assert _global(told) >= KEPT
    assert told["address"] == "02:00:00:00:00:07"


@pytest.mark.parametrize("up", [True, False])
def test_a_container_that_does_not_come_about_gives_the_device_back(
    runtime: Runtime, bundle: Bundle, host: Host, up: bool
) -> None:
    if not up:
        host.ip("link", "set", "net1", "down")
    bundle.linux["netDevices"] = {"net0": {"name": "eth0"}, "net1": {"name": "eth1"}}
    bundle.config["hooks"] = {"createRuntime": [{"path": "/bin/false"}]}
    assert "createRuntime hook /bin/false" in runtime.create(check=False).stderr
    _unchanged(host)
    assert "UP" not in json.loads(host.ip("-j", "link", "show", "net1"))[0]["flags"]


def test_a_name_that_is_taken_inside_is_refused_and_changes_nothing(
    runtime: Runtime, bundle: Bundle, host: Host
) -> None:
    bundle.linux["netDevices"] = {"net0": {"name": "eth0"}, "net1": {"name": "eth0"}}
    done = runtime.create(check=False)
    assert "linux.netDevices.net1.name: eth0: in the container's network namespace: File exists" in done.stderr
    _unchanged(host)
    assert "net1" in host.ip("-br", "link")


def test_a_device_that_cannot_be_moved_is_told(runtime: Runtime, bundle: Bundle, host: Host) -> None:
    bundle.linux["netDevices"] = {"lo": {"name": "lo7"}}
    done = runtime.create(check=False)
    assert "linux.netDevices.lo: move into the container's network namespace: Invalid argument" in done.stderr


def test_a_device_needs_a_network_namespace(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [one for one in bundle.linux["namespaces"] if one["type"] != "network"]
    bundle.linux["netDevices"] = {"net0": {}}
    assert "linux.netDevices: needs a network namespace" in runtime.create(check=False).stderr
