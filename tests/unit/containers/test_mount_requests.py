"""Binds, mounts and tmpfs as clients write them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wherry.containers.model import BindOptions, HostConfig, MountSpec, TmpfsOptions, VolumeOptions
from wherry.containers.mount_requests import image_volumes, parse_all, parse_bind, parse_mount, parse_tmpfs
from wherry.errors import InvalidParameter


@pytest.mark.parametrize(
    ("text", "kind", "source", "destination", "writable"),
    [
        ("/host:/in", "bind", "/host", "/in", True),
        ("/host/../etc:/in/./x:ro", "bind", "/etc", "/in/x", False),
        ("data:/in:rw,nocopy", "volume", "", "/in", True),
        ("/in", "volume", "", "/in", True),
    ],
)
def test_bind_forms(text: str, kind: str, source: str, destination: str, writable: bool) -> None:
    point = parse_bind(text, "")
    assert (point.type, point.source, point.destination, point.rw) == (kind, source, destination, writable)


@pytest.mark.parametrize(
    "text",
    [
        "/a:/b:/c:/d",
        ":/b",
        "/a:",
        "",
        "/a:b",
        "/a:/",
        "/a:/../..",
        "x/y:/b",
        "../etc:/b",
        "/a:/b:xx",
        "/a:/b:ro,rw",
        "-x:/b",
    ],
)
def test_malformed_bind_is_refused_and_named(text: str) -> None:
    with pytest.raises(InvalidParameter):
        parse_bind(text, "")


def test_bind_propagation_is_kept() -> None:
    assert parse_bind("/a:/b:rslave,ro", "").propagation == "rslave"


def test_two_mounts_for_one_place_conflict() -> None:
    with pytest.raises(InvalidParameter, match="Duplicate mount point: /x"):
        parse_all(HostConfig(binds=("/a:/x",), tmpfs={"/x/": ""}))


def test_tmpfs_is_restricted_until_told_otherwise() -> None:
    assert parse_tmpfs("/t", "").options == ("noexec", "nosuid", "nodev")
    assert parse_tmpfs("/t", "exec,size=64m").options == ("nosuid", "nodev", "exec", "size=64m")
    with pytest.raises(InvalidParameter, match="invalid tmpfs option"):
        parse_tmpfs("/t", "size=1m,uuid=x")


def test_mount_forms() -> None:
    bind = parse_mount(MountSpec("bind", "/in", "/host", read_only=True, bind=BindOptions("rshared", True)), 0)
    assert (bind.source, bind.rw, bind.propagation, bind.recursive, bind.create_source) == (
        "/host", False, "rshared", False, False,
    )  # fmt: skip
    volume = parse_mount(MountSpec("volume", "/in", "data", volume=VolumeOptions(no_copy=True)), 0)
    assert (volume.name, volume.copy_up, volume.anonymous) == ("data", False, False)
    tmpfs = parse_mount(MountSpec("tmpfs", "/in", tmpfs=TmpfsOptions(4096, 0o700)), 0)
    assert tmpfs.options == ("noexec", "nosuid", "nodev", "size=4096", "mode=700")


@pytest.mark.parametrize(
    "mount",
    [
        MountSpec("bind", ""),
        MountSpec("bind", "/in", "relative"),
        MountSpec("npipe", "/in"),
        MountSpec("volume", "/in", "../x"),
        MountSpec("tmpfs", "/in", "/source"),
        MountSpec("bind", "/in", "/a", volume=VolumeOptions()),
        MountSpec("bind", "/in", "/a", bind=BindOptions("sideways")),
    ],
)
def test_mount_that_cannot_be_is_refused(mount: MountSpec) -> None:
    with pytest.raises(InvalidParameter):
        parse_mount(mount, 0)


def test_volume_paths_of_an_image_stay_in_its_root() -> None:
    points = image_volumes(["/../../../etc", "data", "/taken"], "", {"/taken": replace(parse_bind("/a:/taken", ""))})
    assert [point.destination for point in points] == ["/etc", "/data"]
