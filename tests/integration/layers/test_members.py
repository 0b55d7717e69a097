"""Every kind of member arrives on disk as the archive describes it."""

from __future__ import annotations

import io
import os
import shutil
import stat
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.integration.layers.archive import END, directory, hard_link, member, pax, record, symlink
from tests.integration.layers.conftest import Layer
from wherry.native import NativeError

LONG = "/".join(f"{number:03}-" + "d" * 90 for number in range(20))
CAP_NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)


def test_files_keep_content_mode_owner_and_time(layer: Layer) -> None:
    layer.unpack(member(b"bin/su", b"program", mode=0o4755, uid=1000, gid=50, mtime=1_234_567_890))
    status = (layer.target / "bin/su").stat()
    assert (layer.target / "bin/su").read_bytes() == b"program"
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4755, 1000, 50)
    assert status.st_mtime_ns == 1_234_567_890 * 10**9


def test_a_file_larger_than_any_buffer_arrives_whole(layer: Layer) -> None:
    data = os.urandom(3_000_001)
    layer.unpack(member(b"large", data), member(b"next", b"x"))
    assert (layer.target / "large").read_bytes() == data
    assert (layer.target / "next").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        (b"1700000000.123456789", 1700000000_123456789),
        (b"1.5", 1_500000000),
        (b"-1.25", -1_250000000),
        (b"7", 7 * 10**9),
    ],
)
def test_times_are_kept_to_the_nanosecond(layer: Layer, text: bytes, nanoseconds: int) -> None:
    layer.unpack(pax({b"mtime": text}), member(b"file"))
    assert (layer.target / "file").stat().st_mtime_ns == nanoseconds


def test_directories_keep_their_times_whatever_the_order_of_members(layer: Layer) -> None:
    layer.unpack(
        directory(b"a", mtime=1000),
        directory(b"a/b", mtime=2000),
        member(b"a/b/one", b"1"),
        member(b"late/file", b"2"),
        member(b"a/two", b"2"),
        directory(b"late", mtime=3000),
        member(b"a/b/three", b"3"),
        directory(b"a/b/implied/deep", mtime=4000),
        member(b"a/.wh.gone"),
        hard_link(b"late/link", b"a/two"),
    )
    times = {name: int((layer.target / name).stat().st_mtime) for name in ("a", "a/b", "late", "a/b/implied/deep")}
    assert times == {"a": 1000, "a/b": 2000, "late": 3000, "a/b/implied/deep": 4000}


def test_links_fifos_and_devices(layer: Layer) -> None:
    layer.unpack(
        member(b"file", b"data"),
        hard_link(b"dir/hard", b"./file"),
        symlink(b"absolute", b"/etc/passwd"),
        symlink(b"dangling", b"../../nowhere"),
        hard_link(b"link-to-link", b"absolute"),
        member(b"fifo", kind=b"6", mode=0o620, uid=5),
        member(b"null", kind=b"3", device=(1, 3), mode=0o666),
        member(b"disk", kind=b"4", device=(259, 70000), mode=0o660, gid=6),
    )
    root = layer.target
    assert (root / "file").stat().st_ino == (root / "dir/hard").stat().st_ino
    assert (root / "absolute").readlink() == Path("/etc/passwd")
    assert (root / "dangling").readlink() == Path("../../nowhere")
    assert (root / "link-to-link").readlink() == Path("/etc/passwd")
    assert (root / "absolute").lstat().st_mtime == 1_700_000_000
    fifo, null, disk = (root / "fifo").lstat(), (root / "null").lstat(), (root / "disk").lstat()
    assert (stat.S_ISFIFO(fifo.st_mode), stat.S_IMODE(fifo.st_mode), fifo.st_uid) == (True, 0o620, 5)
    assert (stat.S_ISCHR(null.st_mode), null.st_rdev, stat.S_IMODE(null.st_mode)) == (True, os.makedev(1, 3), 0o666)
    assert (stat.S_ISBLK(disk.st_mode), disk.st_rdev, disk.st_gid) == (True, os.makedev(259, 70000), 6)


def test_capabilities_and_user_attributes_are_restored_with_an_owner_that_is_not_root(layer: Layer) -> None:
    attributes = {b"SCHILY.xattr.security.capability": CAP_NET_RAW, b"SCHILY.xattr.user.mime": b"a\0b=c\n"}
    layer.unpack(pax(attributes), member(b"ping", b"x", uid=7, mode=0o2755), pax(attributes), directory(b"dir"))
    assert os.getxattr(layer.target / "ping", "security.capability") == CAP_NET_RAW
    assert os.getxattr(layer.target / "ping", "user.mime") == b"a\0b=c\n"
    assert stat.S_IMODE((layer.target / "ping").stat().st_mode) == 0o2755


def test_an_attribute_is_the_next_members_alone(layer: Layer) -> None:
    layer.unpack(pax({b"SCHILY.xattr.user.x": b"1", b"mtime": b"5"}), member(b"one"), member(b"two"))
    assert os.listxattr(layer.target / "two") == []
    assert (layer.target / "two").stat().st_mtime == 1_700_000_000


@pytest.mark.parametrize(
    "name", ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque", "security.ima"]
)
def test_attributes_that_steer_overlayfs_or_the_host_are_left_out(layer: Layer, name: str) -> None:
    layer.unpack(pax({b"SCHILY.xattr." + name.encode(): b"y"}), directory(b"dir"))
    assert os.listxattr(layer.target / "dir") == []


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_and_links_of_every_form(layer: Layer, form: int) -> None:
    names = ["short", "p" * 120 + "/" + "n" * 99] if form == tarfile.USTAR_FORMAT else ["ü" * 60, LONG + "/file"]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.LNKTYPE, names[0]
        archive.addfile(link)
    unpacked = layer.unpack_bytes(buffer.getvalue())
    assert unpacked.entries == 3
    assert all((layer.target / name).read_bytes() == b"abc" for name in (*names, "link"))


def test_numbers_beyond_octal(layer: Layer) -> None:
    layer.unpack(
        member(b"owned", uid=3_000_000_000, gid=2_100_000, mtime=-86400),
        pax({b"uid": b"4294967294", b"gid": b"70000000"}),
        member(b"by-pax", uid=1),
    )
    owned, by_pax = (layer.target / "owned").stat(), (layer.target / "by-pax").stat()
    assert (owned.st_uid, owned.st_gid, owned.st_mtime) == (3_000_000_000, 2_100_000, -86400)
    assert (by_pax.st_uid, by_pax.st_gid) == (4294967294, 70000000)


def test_size_of_an_extended_header_counts(layer: Layer) -> None:
    layer.unpack(pax({b"size": b"5"}), member(b"file", b"12345", size=0), member(b"next", b"n"))
    assert (layer.target / "file").read_bytes() == b"12345"
    assert (layer.target / "next").read_bytes() == b"n"


def test_headers_older_than_ustar(layer: Layer) -> None:
    layer.unpack(member(b"old/", kind=b"\0", magic=bytes(8)), member(b"old/file", b"1", kind=b"\0", magic=bytes(8)))
    assert (layer.target / "old/file").read_bytes() == b"1"


def test_a_global_header_is_no_member(layer: Layer) -> None:
    comment = member(b"pax_global_header", b"52 comment=0123456789012345678901234567890123456789\n", kind=b"g")
    assert layer.unpack(comment, member(b"file")).entries == 1
    assert [entry.name for entry in layer.target.iterdir()] == ["file"]


def test_the_later_of_two_members_of_one_name_counts(layer: Layer) -> None:
    layer.unpack(
        member(b"a", b"1"),
        member(b"a", b"2"),
        directory(b"b/c/d"),
        member(b"b/c/d/e", b"deep"),
        symlink(b"b", b"a"),
        symlink(b"c", b"a"),
        directory(b"c"),
        member(b"c/file", b"3"),
        directory(b"d", mode=0o700),
        member(b"d/kept", b"4"),
        directory(b"d", mode=0o711),
        hard_link(b"a", b"a"),
        hard_link(b"d/kept", b"c/file"),
    )
    root = layer.target
    assert (root / "a").read_bytes() == b"2"
    assert (root / "b").readlink() == Path("a")
    assert (root / "c").is_dir() and not (root / "c").is_symlink()
    assert (root / "d/kept").read_bytes() == b"3"
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o711


def test_a_deep_tree_is_replaced_by_a_file(layer: Layer) -> None:
    names = [b"/".join([b"d"] * depth) for depth in range(1, 1500)]
    layer.unpack(
        *(directory(name) if len(name) < 100 else pax({b"path": name}) + directory(b"x") for name in names),
        member(b"d", b"1"),
    )
    assert (layer.target / "d").read_bytes() == b"1"
    assert [entry.name for entry in layer.target.iterdir()] == ["d"]


def test_links_of_the_layer_are_followed_within_it(layer: Layer) -> None:
    layer.unpack(
        directory(b"usr/lib"),
        symlink(b"lib", b"/usr/lib"),
        member(b"lib/libc.so", b"elf"),
        directory(b"lib/x", mtime=9),
    )
    assert (layer.target / "usr/lib/libc.so").read_bytes() == b"elf"
    assert (layer.target / "usr/lib/x").stat().st_mtime == 9


@pytest.mark.parametrize(
    "options",
    [["--format=gnu"], *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0"))],
)
def test_sparse_files_of_gnu_tar(layer: Layer, tmp_path: Path, options: list[str]) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        for offset in range(0, 40 * 262144, 262144):
            file.seek(offset)
            file.write(b"%d" % offset)
        file.truncate(11_000_003)
    packed = subprocess.run(
        ["tar", "-c", "--sparse", *options, "-C", source, "sparse"], capture_output=True, check=True
    ).stdout
    assert len(packed) < 1_000_000
    layer.unpack_bytes(packed)
    unpacked = layer.target / "sparse"
    assert unpacked.read_bytes() == (source / "sparse").read_bytes()
    assert unpacked.stat().st_blocks * 512 < 1_000_000


def test_a_tree_arrives_as_gnu_tar_unpacks_it(layer: Layer, tmp_path: Path) -> None:
    archive, other = tmp_path / "tree.tar", tmp_path / "other"
    other.mkdir()
    subprocess.run(["tar", "-c", "--format=posix", "-C", "/usr/include", "-f", archive, "linux"], check=True)
    subprocess.run(["tar", "-x", "--numeric-owner", "-p", "-C", other, "-f", archive], check=True)
    layer.unpack_bytes(archive.read_bytes())
    listing = ["find", ".", "-mindepth", "1", "-printf", "%P %y %m %U %G %T@ %n %l\n"]
    ours, theirs = (
        sorted(subprocess.run(listing, cwd=place, capture_output=True, check=True).stdout.splitlines())
        for place in (layer.target, other)
    )
    assert ours == theirs and len(ours) > 300
    subprocess.run(["diff", "-r", layer.target, other], check=True)


@pytest.mark.parametrize("archive", [END, b"", bytes(512)])
def test_an_empty_archive_is_a_layer(layer: Layer, archive: bytes) -> None:
    unpacked = layer.unpack_bytes(archive)
    assert (unpacked.entries, unpacked.size, list(layer.target.iterdir())) == (0, len(archive), [])


def test_a_global_header_holds_until_a_member_says_otherwise(layer: Layer) -> None:
    held = record(b"mtime", b"7.5") + record(b"uid", b"1234") + record(b"SCHILY.xattr.user.who", b"all")
    layer.unpack(
        member(b"before"),
        member(b"pax_global_header", held, kind=b"g"),
        member(b"held", b"x"),
        pax({b"mtime": b"9"}) + member(b"own", b"x"),
        pax({b"mtime": b"", b"uid": b""}) + member(b"taken-back", b"x", uid=5, mtime=11),
        member(b"pax_global_header", record(b"mtime", b"8"), kind=b"g"),
        member(b"later", b"x"),
    )
    found = {path.name: (path.stat().st_mtime, path.stat().st_uid) for path in layer.target.iterdir()}
    assert found == {
        "before": (1_700_000_000, 0), "held": (7.5, 1234), "own": (9, 1234), "taken-back": (11, 5), "later": (8, 1234),
    }  # fmt: skip
    assert os.getxattr(layer.target / "own", "user.who") == b"all" and os.listxattr(layer.target / "before") == []


def test_a_hard_link_to_a_later_member_is_refused_by_name(layer: Layer) -> None:
    with pytest.raises(NativeError, match="early: hard link to late: No such file or directory"):
        layer.unpack(hard_link(b"early", b"late"), member(b"late", b"x"))


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
@pytest.mark.parametrize("form", ["ustar", "pax", "gnu", "v7"])
def test_archives_of_other_writers_arrive_as_they_were(layer: Layer, tmp_path: Path, tool: str, form: str) -> None:
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    form = {"tar": {"pax": "posix"}, "bsdtar": {"gnu": "gnutar"}}[tool].get(form, form)
    tree = tmp_path / "tree"
    (tree / "d/e").mkdir(parents=True)
    (tree / "d/file").write_bytes(b"content" * 1000)
    os.link(tree / "d/file", tree / "d/hard")
    (tree / "link").symlink_to("d/file")
    (tree / "d/e/exec").write_bytes(b"#!/bin/sh\n")
    (tree / "d/e/exec").chmod(0o4755)
    if form != "v7":
        (tree / ("n" * 80) / ("m" * 80)).mkdir(parents=True)
        os.mkfifo(tree / "fifo")
    for path in (*tree.rglob("*"), tree):
        os.utime(path, (5, 1_500_000_000), follow_symlinks=False)
    written = subprocess.run(
        [tool, "-c", "--format", form, "--numeric-owner", "-f", "-", "-C", tree, "."], capture_output=True, check=True
    ).stdout
    layer.unpack_bytes(written)
    listing = ["find", ".", "-mindepth", "1", "-printf", "%P %y %m %U %G %T@ %n %l\n"]
    ours, theirs = (
        sorted(subprocess.run(listing, cwd=place, capture_output=True, check=True).stdout.splitlines())
        for place in (layer.target, tree)
    )
    assert ours == theirs
    subprocess.run(["diff", "-r", "-x", "fifo", tree, layer.target], check=True)
