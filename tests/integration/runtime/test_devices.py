"""linux.devices: every type, number, mode and owner; in a user namespace; in a /dev that is the host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ({"path": "/dev/sub/fuse", "type": "c", "major": 10, "minor": 229}, "character special a:e5 666 0 0"),
        ({"path": "/dev/u", "type": "u", "major": 1, "minor": 3, "fileMode": 0o600}, "character special 1:3 600 0 0"),
        ({"path": "/dev/disk", "type": "b", "major": 7, "minor": 1048575}, "block special 7:fffff 666 0 0"),
        ({"path": "/dev/pipe", "type": "p", "fileMode": 0o640, "uid": 3, "gid": 4}, "fifo 0:0 640 3 4"),
        ({"path": "/srv/null", "type": "c", "major": 1, "minor": 3, "uid": 5}, "character special 1:3 666 5 0"),
    ],
)  # fmt: skip
def test_a_device_has_its_type_number_mode_and_owner(
    runtime: Runtime, bundle: Bundle, device: dict[str, object], expected: str
) -> None:
    bundle.linux["devices"] = [device]
    assert runtime.output(f"stat -c '%F %t:%T %a %u %g' {device['path']}").replace(" file", "") == expected


def test_a_default_device_can_have_another_mode_and_owner(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        {"path": "/dev/full", "type": "c", "major": 1, "minor": 7, "fileMode": 0o600, "uid": 3, "gid": 4}
    ]
    assert runtime.output("stat -c '%a %u %g' /dev/full; stat -c %a /dev/zero").split() == ["600", "3", "4", "666"]


def test_a_default_device_cannot_be_another_one(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]
    assert "make device /dev/null: something else is there" in runtime.run(check=False).stderr


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ({"path": "/dev/x", "type": "c", "major": 1}, "linux.devices[0]: must have major and minor"),
        ({"path": "/dev/x", "type": "x", "major": 1, "minor": 1}, "linux.devices[0].type: x"),
        ({"path": "dev/x", "type": "c", "major": 1, "minor": 1}, "linux.devices[0].path"),
        ({"path": "/dev/x", "type": "c", "major": 4096, "minor": 1}, "linux.devices[0].major"),
        ({"path": "/dev/x", "type": "c", "major": -1, "minor": -1}, "linux.devices[0].major"),
        ({"path": "/dev/x", "type": "c", "major": 1, "minor": 1, "uid": -1}, "linux.devices[0].uid"),
        ({"path": "/dev/..", "type": "p"}, "/dev/..: names no file"),
    ],
)
def test_a_device_that_makes_no_sense_is_refused(
    runtime: Runtime, bundle: Bundle, device: dict[str, object], message: str
) -> None:
    bundle.linux["devices"] = [device]
    assert message in runtime.run(check=False).stderr


def test_in_a_user_namespace_the_hosts_own_node_is_bound(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]
    if not Path("/dev/fuse").exists():
        pytest.skip("no /dev/fuse here")
    bundle.user_namespace()
    assert runtime.output("stat -c %t:%T /dev/fuse /dev/null; grep -c ' /dev/fuse ' /proc/self/mountinfo").split() == [
        "a:e5", "1:3", "1"
    ]  # fmt: skip


def test_in_a_user_namespace_a_node_that_the_host_has_not_got_is_named(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["devices"] = [{"path": "/dev/nothing-such", "type": "c", "major": 10, "minor": 229}]
    bundle.user_namespace()
    assert "bind device /dev/nothing-such of the host" in runtime.run(check=False).stderr
    bundle.linux["devices"] = [{"path": "/dev/zero", "type": "c", "major": 1, "minor": 7}]
    assert "/dev/zero of the host is another device" in runtime.run(check=False).stderr


def test_nothing_is_made_in_a_dev_that_is_the_hosts(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    dev = tmp_path / "dev"
    dev.mkdir()
    os.mknod(dev / "null", 0o20666, os.makedev(1, 3))
    (dev / "pts").mkdir()
    for mount in bundle.config["mounts"]:
        if mount["destination"] == "/dev":
            mount.update(type="bind", source=str(dev), options=["bind"])
    null = {"path": "/dev/null", "type": "c", "major": 1, "minor": 3}
    bundle.linux["devices"] = [null]
    assert runtime.output("ls /dev").split() == ["null", "pts"]
    bundle.linux["devices"] = [null, {"path": "/dev/made", "type": "c", "major": 1, "minor": 3}]
    assert "linux.devices: open /dev/made" in runtime.run(check=False).stderr
    bundle.linux["devices"] = [{**null, "minor": 5}]
    assert "/dev/null of the bound /dev is another device" in runtime.run(check=False).stderr
    assert sorted(path.name for path in dev.iterdir()) == ["null", "pts"]


def test_a_device_is_not_made_through_a_link_out_of_the_root(runtime: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (bundle.rootfs / "srv").symlink_to(canary)
    bundle.linux["devices"] = [{"path": "/srv/null", "type": "c", "major": 1, "minor": 3}]
    runtime.run("stat /srv/null")
    assert list(canary.iterdir()) == []
