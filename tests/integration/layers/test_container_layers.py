"""What a container wrote becomes a layer, or a list of changes: seen through real overlays."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.layers.conftest import Layer
from tests.integration.layers.test_packing import descriptors, listing, members, pack
from wherry import native
from wherry.native import Change, ChangeKind, NativeError

MOUNT = """
import subprocess, sys
from wherry import native
top, options, script = sys.argv[1:]
lowers = [f"{top}/lower2", f"{top}/lower1"]
if options:
    options += f",lowerdir={':'.join(lowers)},upperdir={top}/upper,workdir={top}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", f"{top}/merged"], check=True)
else:
    native.mount_overlay(f"{top}/merged", lowers, f"{top}/upper", f"{top}/work")
subprocess.run(["sh", "-euc", script], cwd=f"{top}/merged", check=True)
subprocess.run(["cp", "-a", f"{top}/merged", f"{top}/copy"], check=True)
"""


class Container:
    """Two layers and an upper directory over them; what the container sees is left as a copy."""

    def __init__(self, top: Path) -> None:
        self.top = top
        for name in ("lower1", "lower2", "upper", "work", "merged"):
            (top / name).mkdir(parents=True)
        for name in (
            "lower1/a/1",
            "lower1/a/2",
            "lower1/b/3",
            "lower1/b/sub/4",
            "lower1/c",
            "lower2/a/5",
            "lower2/e/6",
        ):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text(name)
        (top / "lower1/gone").write_text("")
        os.mknod(top / "lower2/gone", 0o20000, 0)
        self.lower = [top / "lower2", top / "lower1"]

    @property
    def upper(self) -> Path:
        return self.top / "upper"

    def run(self, script: str, options: str = "") -> None:
        """Runs a script with the merged tree as its directory."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run(
            ["unshare", "-m", sys.executable, "-c", MOUNT, self.top, options, script], env=environment, check=True
        )

    def changes(self) -> list[tuple[str, str]]:
        return [("MAD"[change.kind], change.path) for change in native.changes(self.upper, self.lower)]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "container")


SCRIPTS = {
    "files": "echo x >new; echo y >>c; rm a/1; chmod 700 b; mkdir -p d/e; echo z >d/e/f; ln d/e/f d/link",
    "directories": "rm -r b; mkdir b; echo n >b/new; rm -r e; rm -r a; echo file >a",
    "again": "rm c; mkdir c; rm a/2; echo other >a/2; mv e moved; touch -d @5 b/3",
    "nothing": ":",
    "renames": "mkdir k; mv a/1 k/; mv c a/c; rm -r b; ln -s /etc b",
}


def merged(layer: Layer, container: Container, tmp_path: Path) -> list[bytes]:
    """What a container sees that is made anew from the two layers and the packed one."""
    again = Container(tmp_path / "again")
    shutil.rmtree(again.top)
    subprocess.run(["cp", "-a", container.top, again.top], check=True)
    for name in ("upper", "work", "copy", "merged"):
        shutil.rmtree(again.top / name)
        if name != "copy":
            (again.top / name).mkdir()
    shutil.rmtree(again.top / "lower1/unpacked", ignore_errors=True)
    subprocess.run(
        ["unshare", "-m", sys.executable, "-c",
         "import sys\nfrom wherry import native\n"
         "native.mount_overlay(sys.argv[2], sys.argv[3:])\n"
         "import subprocess\nsubprocess.run(['cp', '-a', sys.argv[2], sys.argv[1]], check=True)",
         again.top / "copy", again.top / "merged", layer.target, again.top / "lower2", again.top / "lower1"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True,
    )  # fmt: skip
    return listing(again.top / "copy")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_an_upper_directory_becomes_a_layer_that_shows_the_same(
    layer: Layer, container: Container, tmp_path: Path, script: str
) -> None:
    container.run(script)
    layer.unpack_bytes(pack(native.pack_layer, container.upper, ...)[0])
    assert merged(layer, container, tmp_path) == listing(container.top / "copy")


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_whole_tree_held_against_layers_becomes_a_layer_that_shows_the_same(
    layer: Layer, container: Container, tmp_path: Path, script: str
) -> None:
    container.run(script)
    archive, packed = pack(native.pack_layer, container.top / "copy", ..., lower=container.lower)
    layer.unpack_bytes(archive)
    assert merged(layer, container, tmp_path) == listing(container.top / "copy")
    if script == ":":
        assert packed.entries == 0
    assert not any(name.endswith(("b/sub/4", "b/3")) for name in members(archive)) or "b/3" in script


def test_whiteouts_come_before_their_siblings_in_the_archives_form(container: Container) -> None:
    container.run("rm c; rm -r b; mkdir b; echo x >b/0; echo x >aa")
    names = members(pack(native.pack_layer, container.upper, ...)[0])
    assert names == [".wh.c", "aa", "b", "b/.wh..wh..opq", "b/0"]


def test_directories_above_a_change_come_with_their_own_attributes(container: Container) -> None:
    (container.top / "lower1/b").chmod(0o750)
    os.chown(container.top / "lower1/b", 7, 8)
    os.utime(container.top / "lower1/b", (5, 5))
    container.run("echo changed >b/sub/4; touch -d @5 b")
    archive, _ = pack(native.pack_layer, container.top / "copy", ..., lower=container.lower)
    listed = subprocess.run(
        ["tar", "-tv", "--numeric-owner", "--utc"], input=archive, capture_output=True, check=True
    ).stdout.decode()
    assert members(archive) == ["b", "b/sub", "b/sub/4"]
    assert "drwxr-x--- 7/8" in listed and "1970-01-01 00:00 b/" in listed


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (":", []),
        ("echo x >new", [("A", "/new")]),
        ("echo x >>c", [("M", "/c")]),
        ("rm c", [("D", "/c")]),
        ("chmod 600 c", [("M", "/c")]),
        ("chmod 700 b", [("M", "/b")]),
        ("rm a/1", [("M", "/a"), ("D", "/a/1")]),
        ("echo x >b/sub/new", [("M", "/b/sub"), ("A", "/b/sub/new")]),
        ("echo x >>b/sub/4", [("M", "/b/sub/4")]),
        ("mkdir -p d/e; echo x >d/e/f", [("A", "/d"), ("A", "/d/e"), ("A", "/d/e/f")]),
        ("rm -r b", [("D", "/b")]),
        ("rm -r b; mkdir b; echo x >b/3", [("M", "/b"), ("D", "/b/sub"), ("M", "/b/3")]),
        (
            "rm -r b; mkdir -p b/sub; echo x >b/sub/n",
            [("M", "/b"), ("D", "/b/3"), ("M", "/b/sub"), ("D", "/b/sub/4"), ("A", "/b/sub/n")],
        ),
        ("rm -r a; echo x >a", [("M", "/a")]),
        ("rm c; mkdir c; echo x >c/x", [("M", "/c"), ("A", "/c/x")]),
        ("echo x >gone", [("A", "/gone")]),
        ("mkdir gone; rmdir gone", []),
        ("ln -s c link; mkfifo fifo; mknod null c 1 3", [("A", "/fifo"), ("A", "/link"), ("A", "/null")]),
        ("echo x >a/5; rm a/2", [("M", "/a"), ("D", "/a/2"), ("M", "/a/5")]),
        ("echo 'odd' >'new\nline'", [("A", "/new\nline")]),
    ],
)  # fmt: skip
def test_changes_as_the_engine_api_tells_them(
    container: Container, script: str, expected: list[tuple[str, str]]
) -> None:
    container.run(script)
    assert container.changes() == expected


def test_changes_are_frozen_records(container: Container) -> None:
    container.run("rm c")
    assert native.changes(container.upper, container.lower) == [Change(ChangeKind.DELETED, "/c")]


def test_attributes_of_user_namespaces(layer: Layer, container: Container, tmp_path: Path) -> None:
    container.run("rm -r b; mkdir b; echo n >b/new; rm c", options="userxattr")
    assert os.getxattr(container.upper / "b", "user.overlay.opaque") == b"y"
    archive, _ = pack(native.pack_layer, container.upper, ..., user_xattr=True)
    assert members(archive) == [".wh.c", "b", "b/.wh..wh..opq", "b/new"]
    # Otherwise it is what any user can set on a directory: no content, no meaning.
    assert "b/.wh..wh..opq" not in members(pack(native.pack_layer, container.upper, ...)[0])
    layer.unpack_bytes(archive, user_xattr=True)
    assert os.getxattr(layer.target / "b", "user.overlay.opaque") == b"y"
    found = native.changes(container.upper, container.lower, user_xattr=True)
    assert [("MAD"[change.kind], change.path) for change in found] == [
        ("M", "/b"), ("D", "/b/3"), ("D", "/b/sub"), ("A", "/b/new"), ("D", "/c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "script", "named"),
    [
        ("redirect_dir=on", "mv b moved", "trusted.overlay.redirect"),
        ("metacopy=on,redirect_dir=on", "chmod 600 c", "trusted.overlay.metacopy"),
    ],
)
def test_what_an_upper_directory_does_not_hold_is_refused_by_name(
    container: Container, options: str, script: str, named: str
) -> None:
    container.run(script, options)
    with pytest.raises(NativeError, match=named):
        pack(native.pack_layer, container.upper, ...)


def test_a_lower_layer_that_is_missing_is_an_error(container: Container) -> None:
    missing = container.top / "missing"
    calls: list[Callable[[], object]] = [
        lambda: native.changes(container.upper, [missing]),
        lambda: pack(native.pack_layer, container.upper, ..., lower=[missing]),
        lambda: native.changes(missing, container.lower),
        lambda: pack(native.pack_layer, missing, ...),
        lambda: pack(native.pack_tree, container.top / "lower1/c", ...),
    ]
    before = descriptors()
    for call in calls:
        with pytest.raises(NativeError, match=r"missing: No such file|Not a directory"):
            call()
    assert descriptors() == before


def test_the_archive_of_a_deleted_tree_stays_small(container: Container) -> None:
    container.run("rm -r a b c e")
    archive, packed = pack(native.pack_layer, container.upper, ...)
    assert members(archive) == [".wh.a", ".wh.b", ".wh.c", ".wh.e"] and packed.entries == 4
    assert json.dumps(container.changes()) == json.dumps([("D", "/a"), ("D", "/b"), ("D", "/c"), ("D", "/e")])
