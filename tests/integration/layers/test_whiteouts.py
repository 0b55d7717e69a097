"""What a layer takes away from those below it, seen through a mounted overlay."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.layers.archive import directory, member
from tests.integration.layers.conftest import Layer
from wherry.native import NativeError

MERGE = """
import json, os, sys
from wherry import native
upper_layer, lower, scratch = sys.argv[1:]
for name in ("upper", "work", "merged"):
    os.mkdir(f"{scratch}/{name}")
native.mount_overlay(f"{scratch}/merged", [upper_layer, lower], f"{scratch}/upper", f"{scratch}/work")
print(json.dumps(sorted(
    os.path.relpath(os.path.join(place, name), f"{scratch}/merged")
    for place, _, files in os.walk(f"{scratch}/merged") for name in files)))
"""


def merged(layer: Layer, tmp_path: Path) -> list[str]:
    """Files of the layer over one that has a/1, a/2, b/3 and c."""
    lower, scratch = tmp_path / "lower", tmp_path / "scratch"
    for name in ("a/1", "a/2", "b/3", "c"):
        (lower / name).parent.mkdir(parents=True, exist_ok=True)
        (lower / name).write_text(name)
    scratch.mkdir()
    command = ["unshare", "-m", sys.executable, "-c", MERGE, layer.target, lower, scratch]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    found = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert isinstance(found, list)
    return found


def is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "trusted.overlay.opaque" in os.listxattr(path) and os.getxattr(path, "trusted.overlay.opaque") == b"y"


def test_a_whiteout_hides_a_file_and_a_directory(layer: Layer, tmp_path: Path) -> None:
    layer.unpack(member(b"a/.wh.1"), member(b".wh.b"))
    assert is_whiteout(layer.target / "a/1") and is_whiteout(layer.target / "b")
    assert merged(layer, tmp_path) == ["a/2", "c"]


@pytest.mark.parametrize("first", [True, False])
def test_an_opaque_directory_hides_all_below_it_and_nothing_of_its_own(
    layer: Layer, tmp_path: Path, first: bool
) -> None:
    mark, own = member(b"a/.wh..wh..opq"), member(b"a/new", b"n")
    layer.unpack(directory(b"a"), *((mark, own) if first else (own, mark)))
    assert is_opaque(layer.target / "a")
    assert merged(layer, tmp_path) == ["a/new", "b/3", "c"]


@pytest.mark.parametrize("first", [True, False])
def test_a_whiteout_hides_nothing_of_its_own_layer(layer: Layer, tmp_path: Path, first: bool) -> None:
    marks = [member(b".wh.a"), member(b".wh.c")]
    own = [directory(b"a", mtime=5), member(b"a/new", b"n"), member(b"c", b"own")]
    layer.unpack(*(marks + own if first else own + marks))
    assert merged(layer, tmp_path) == ["a/new", "b/3", "c"]
    assert (layer.target / "c").read_bytes() == b"own"
    assert (layer.target / "a").stat().st_mtime == 5


def test_members_below_a_whiteout_make_its_directory_anew(layer: Layer, tmp_path: Path) -> None:
    layer.unpack(member(b".wh.a"), member(b"a/new", b"n"))
    assert merged(layer, tmp_path) == ["a/new", "b/3", "c"]


def test_a_whiteout_can_come_twice(layer: Layer) -> None:
    layer.unpack(member(b".wh.a"), member(b".wh.a"))
    assert is_whiteout(layer.target / "a")


def test_the_bookkeeping_of_aufs_is_left_out(layer: Layer) -> None:
    layer.unpack(directory(b".wh..wh.plnk"), member(b".wh..wh.plnk/101.45", b"x"), member(b".wh..wh.aufs"))
    assert list(layer.target.iterdir()) == []


@pytest.mark.parametrize("name", [b".wh.", b"a/.wh..", b".wh...", b".wh.a/b"])
def test_a_whiteout_without_a_name_is_refused(layer: Layer, name: bytes) -> None:
    with pytest.raises(NativeError, match="whiteout"):
        layer.unpack(member(name))
