"""A directory becomes an archive that every reader of the field takes, and that says all of it."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import os
import shutil
import socket
import stat
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.layers.conftest import Layer
from wherry import native
from wherry.native import IdMaps, IdRange, LayerSummary, NativeError, PackSettings

LISTING = ["find", ".", "-mindepth", "1", "-printf", "%P %y %m %U %G %T@ %n %s %l\n"]
CAP_NET_RAW = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)


def pack(function: Callable[..., LayerSummary], *arguments: Any, **options: Any) -> tuple[bytes, LayerSummary]:
    """The archive that a packing function writes to its descriptor, whose place among the arguments is ``...``."""
    names = {field.name for field in dataclasses.fields(PackSettings)}
    settings = PackSettings(**{name: options.pop(name) for name in names & options.keys()})
    with open("/var/tmp", "rb+", opener=lambda place, _: os.open(place, os.O_TMPFILE | os.O_RDWR)) as file:
        packed = function(*(file.fileno() if each is ... else each for each in arguments), settings, **options)
        file.seek(0)
        return file.read(), packed


def descriptors() -> int:
    """How many this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def listing(directory: Path) -> list[bytes]:
    """Everything that find(1) says of what is in a directory; of directories not their sizes."""
    lines = subprocess.run(LISTING, cwd=directory, capture_output=True, check=True).stdout.splitlines()
    return sorted(line for line in lines)


def members(archive: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        return opened.getnames()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one of everything."""
    top = tmp_path / "tree"
    (top / "d/empty").mkdir(parents=True)
    (top / "d/file").write_bytes(b"content")
    os.link(top / "d/file", top / "d/same")
    (top / "link").symlink_to("/etc/passwd")
    (top / "long-link").symlink_to("../" * 60 + "etc/passwd")
    os.mkfifo(top / "fifo", 0o620)
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(259, 70000))
    (top / "setuid").write_bytes(b"x")
    os.chown(top / "setuid", 1000, 2000)
    (top / "setuid").chmod(0o6755)
    (top / "large-ids").write_bytes(b"")
    os.chown(top / "large-ids", 3_000_000_000, 4_294_967_290)
    (top / "ping").write_bytes(b"x")
    os.setxattr(top / "ping", "security.capability", CAP_NET_RAW)
    os.setxattr(top / "ping", "user.mime", b"a\0b=c\n")
    os.setxattr(top / "d", "user.of-a-directory", b"")
    deep = top / ("n" * 90) / ("m" * 90) / ("o" * 90)
    deep.mkdir(parents=True)
    (deep / ("p" * 120)).write_bytes(b"deep")
    (top / ("q" * 60) / ("r" * 60)).mkdir(parents=True)
    (top / ("q" * 60) / ("r" * 60) / "split").write_bytes(b"by prefix")
    (top / "new\nline").write_bytes(b"")
    Path(os.fsdecode(bytes(top) + b"/\xff\xfe")).write_bytes(b"no UTF-8")
    with (top / "sparse").open("wb") as file:
        file.seek(3_000_000)
        file.write(b"middle")
        file.truncate(9_000_001)
    for number, path in enumerate(sorted(top.rglob("*"))):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number * 10**9), follow_symlinks=False)
    os.utime(top / "fifo", ns=(0, -1_250_000_000))
    os.utime(top / "null", ns=(0, 5 * 10**9))
    return top


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_what_is_packed_unpacks_to_the_same(layer: Layer, tree: Path, compression: str) -> None:
    archive, packed = pack(native.pack_layer, tree, ..., compression=compression)
    plain = {"none": lambda data: data, "gzip": gzip.decompress, "zstd": unzstd}[compression](archive)
    assert packed == LayerSummary(sha256(plain), sha256(archive), len(archive), len(plain), packed.entries)
    assert layer.unpack_bytes(archive) == packed
    assert listing(layer.target) == listing(tree)
    nodes = ["-x", "fifo", "-x", "null", "-x", "disk"]
    subprocess.run(["diff", "-r", "--no-dereference", *nodes, tree, layer.target], check=True)
    assert os.getxattr(layer.target / "ping", "security.capability") == CAP_NET_RAW
    assert os.getxattr(layer.target / "ping", "user.mime") == b"a\0b=c\n"
    assert os.getxattr(layer.target / "d", "user.of-a-directory") == b""
    assert (layer.target / "null").stat().st_rdev == os.makedev(1, 3)
    assert (layer.target / "disk").stat().st_rdev == os.makedev(259, 70000)


def unzstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-d", "-c"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("reader", ["tar", "bsdtar"])
def test_other_readers_unpack_the_same(tree: Path, tmp_path: Path, reader: str) -> None:
    if shutil.which(reader) is None:
        pytest.skip(f"{reader} is not installed")
    archive, _ = pack(native.pack_layer, tree, ...)
    other = tmp_path / "other"
    other.mkdir()
    options = ["--xattrs", "--xattrs-include=*"] if reader == "tar" else ["--xattrs"]
    subprocess.run(
        [reader, "-x", "-p", "--numeric-owner", *options, "-f", "-", "-C", other],
        input=archive, check=True, capture_output=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    theirs, ours = listing(other), listing(tree)
    if reader == "bsdtar":  # it is in doubt about a name that is no UTF-8, and drops the nanoseconds of negative times
        theirs, ours = ([line for line in lines if b"fifo" not in line] for lines in (theirs, ours))
    assert theirs == ours
    assert os.getxattr(other / "ping", "security.capability") == CAP_NET_RAW
    assert os.getxattr(other / "ping", "user.mime") == b"a\0b=c\n"


def test_pythons_tarfile_reads_the_same(tree: Path) -> None:
    archive, packed = pack(native.pack_layer, tree, ...)
    with tarfile.open(fileobj=io.BytesIO(archive), errors="surrogateescape") as opened:
        found = {member.name: member for member in opened}
        assert len(found) == packed.entries
        assert opened.extractfile("sparse").read() == (tree / "sparse").read_bytes()  # type: ignore[union-attr]
    names = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    assert set(found) == names
    assert found["d/same"].islnk() and found["d/same"].linkname == "d/file"
    assert (found["large-ids"].uid, found["large-ids"].gid) == (3_000_000_000, 4_294_967_290)
    assert found["long-link"].linkname == "../" * 60 + "etc/passwd"
    assert float(found["fifo"].mtime) == -1.25
    assert found["setuid"].mode == 0o6755


def test_umoci_takes_a_packed_layer(tree: Path, tmp_path: Path) -> None:
    if shutil.which("umoci") is None:
        pytest.skip("umoci is not installed")
    layer_file = tmp_path / "layer.tar"
    layer_file.write_bytes(pack(native.pack_layer, tree, ...)[0])
    layout, bundle = tmp_path / "layout", tmp_path / "bundle"
    for command in (
        ["umoci", "init", "--layout", layout],
        ["umoci", "new", "--image", f"{layout}:test"],
        ["umoci", "raw", "add-layer", "--image", f"{layout}:test", layer_file],
        ["umoci", "unpack", "--image", f"{layout}:test", bundle],
    ):
        subprocess.run(command, check=True, capture_output=True)
    theirs, ours = listing(bundle / "rootfs"), listing(tree)
    assert theirs == ours
    assert os.getxattr(bundle / "rootfs/ping", "security.capability") == CAP_NET_RAW


def test_the_same_tree_gives_the_same_bytes(tree: Path, tmp_path: Path) -> None:
    archive, _ = pack(native.pack_layer, tree, ...)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", tree, copy], check=True)
    for path in sorted(copy.iterdir(), reverse=True):  # another order on disk
        stamp = copy.stat().st_mtime_ns
        path.rename(tmp_path / path.name).rename(path)
        os.utime(copy, ns=(stamp, stamp))
    assert pack(native.pack_layer, copy, ...)[0] == archive
    names = members(pack(native.pack_tree, copy, ...)[0])
    assert names == sorted(names, key=lambda name: os.fsencode(name).split(b"/"))


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_the_number_of_threads_does_not_change_the_bytes(tmp_path: Path, compression: str) -> None:
    (tmp_path / "tree").mkdir()
    text = b"".join(b"%d lines of text %d\n" % (number, number * number) for number in range(150_000))
    (tmp_path / "tree/file").write_bytes(text)
    first, one = pack(native.pack_layer, tmp_path / "tree", ..., compression=compression, threads=1)
    second, several = pack(native.pack_layer, tmp_path / "tree", ..., compression=compression, threads=3)
    assert first == second and one == several
    assert one.size > 10 * 256 * 1024 and one.compressed_size < one.size / 3
    if compression == "gzip":
        assert first[:4] == b"\x1f\x8b\x08\0" and first[4:8] == bytes(4)
        assert subprocess.run(["gzip", "-t"], input=first, check=False).returncode == 0


def test_levels_are_used_and_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_bytes(b"".join(b"%d\n" % (number * 7919) for number in range(50_000)))
    for compression, low, high, beyond in (("gzip", 1, 9, 10), ("zstd", 1, 19, 99)):
        sizes = [
            pack(native.pack_layer, tmp_path / "tree", ..., compression=compression, level=level)[1].compressed_size
            for level in (low, high)
        ]
        assert sizes[0] > sizes[1]
        with pytest.raises(NativeError, match=f"{compression}: level {beyond} is not between 1 and"):
            pack(native.pack_layer, tmp_path / "tree", ..., compression=compression, level=beyond)


def test_holes_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree/file").open("wb") as file:
        file.write(b"begin")
        file.truncate(2**33)
    with pytest.raises(NativeError, match="larger than the 1000000 bytes that are allowed"):
        pack(native.pack_layer, tmp_path / "tree", ..., max_bytes=1_000_000)
    with (tmp_path / "tree/file").open("r+b") as file:
        file.truncate(2**27)
        file.seek(2**26)
        file.write(b"middle")
    before = read_so_far()
    archive, packed = pack(native.pack_layer, tmp_path / "tree", ..., compression="zstd")
    assert packed.size > 2**27 and len(archive) < 2**20
    assert read_so_far() - before < 2**22
    data = unzstd(archive)
    assert data.count(b"\0") > 2**27 - 1000 and b"middle" in data


def read_so_far() -> int:
    """Bytes that this process had from read(2)."""
    return int(Path("/proc/self/io").read_text().split()[1])


def test_sockets_are_left_out(tmp_path: Path, layer: Layer) -> None:
    (tmp_path / "tree").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "tree/socket"))
    (tmp_path / "tree/z").write_bytes(b"")
    archive, packed = pack(native.pack_layer, tmp_path / "tree", ...)
    listener.close()
    assert members(archive) == ["z"] and packed.entries == 1


def access_list(uid: int, gid: int) -> bytes:
    """Read rights of one more user and one more group (linux/posix_acl_xattr.h)."""
    nobody = 2**32 - 1
    entries = [(1, 6, nobody), (2, 4, uid), (4, 4, nobody), (8, 4, gid), (16, 4, nobody), (32, 4, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def test_owners_are_shifted_both_ways(layer: Layer, tmp_path: Path) -> None:
    ids = IdMaps((IdRange(0, 100_000, 1000), IdRange(1000, 500, 1)), (IdRange(0, 200_000, 65536),))
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "root").write_bytes(b"")
    (tree / "d/user").write_bytes(b"")
    os.chown(tree / "d/user", 1000, 33)
    (tree / "capable").write_bytes(b"")
    os.setxattr(tree / "capable", "security.capability", CAP_NET_RAW)
    os.setxattr(tree / "root", "system.posix_acl_access", access_list(7, 8))
    archive, packed = pack(native.pack_layer, tree, ...)
    layer.unpack_bytes(archive, ids=ids)
    owners = {
        name: ((layer.target / name).stat().st_uid, (layer.target / name).stat().st_gid)
        for name in ("root", "d/user", "d")
    }
    assert owners == {"root": (100_000, 200_000), "d/user": (500, 200_033), "d": (100_000, 200_000)}
    # Version 3: they hold in the user namespace whose root is that user.
    capability = os.getxattr(layer.target / "capable", "security.capability")
    assert capability == struct.pack("<6I", 0x03000001, 1 << 13, 0, 0, 0, 100_000)
    assert os.getxattr(layer.target / "root", "system.posix_acl_access") == access_list(100_007, 200_008)
    again, summary = pack(native.pack_layer, layer.target, ..., ids=ids)
    assert again == archive and summary == packed


def test_an_owner_outside_the_map_is_an_error(layer: Layer, tree: Path) -> None:
    ids = IdMaps((IdRange(0, 0, 5),), (IdRange(0, 0, 5),))
    with pytest.raises(NativeError, match="owner 3000000000 on disk is not in the map"):
        pack(native.pack_layer, tree, ..., ids=ids)
    archive, _ = pack(native.pack_layer, tree, ...)
    with pytest.raises(NativeError, match="large-ids: owner 3000000000 is not in the map"):
        layer.unpack_bytes(archive, ids=ids)


def test_a_directory_deeper_than_names_can_be_is_an_error(tmp_path: Path) -> None:
    top = tmp_path / "tree"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(2500):
        os.mkdir("dd", dir_fd=place)
        deeper = os.open("dd", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = deeper
    os.close(place)
    before = descriptors()
    with pytest.raises(NativeError, match="File name too long"):
        pack(native.pack_layer, top, ...)
    assert descriptors() == before
    subprocess.run(["rm", "-rf", top], check=True)


def test_a_tree_deeper_than_descriptors_are_kept_is_packed_whole(layer: Layer, tmp_path: Path) -> None:
    deep = tmp_path / "tree" / "/".join(["d"] * 200)
    deep.mkdir(parents=True)
    for directory in (deep, *deep.parents):
        if tmp_path / "tree" in directory.parents:
            (directory / "after").write_bytes(b"x")
    archive, packed = pack(native.pack_layer, tmp_path / "tree", ...)
    assert packed.entries == 400
    layer.unpack_bytes(archive)
    assert listing(layer.target) == listing(tmp_path / "tree")


def test_a_name_that_a_layer_cannot_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/.wh.x").write_bytes(b"")
    with pytest.raises(NativeError, match=r"d/\.wh\.x: a layer cannot hold this name"):
        pack(native.pack_layer, tmp_path, ...)
    archive, _ = pack(native.pack_tree, tmp_path, ...)
    assert members(archive) == ["d", "d/.wh.x"]


def test_a_target_that_cannot_be_written_is_an_error(tree: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with pytest.raises(NativeError, match="write the archive: Broken pipe"):
        native.pack_layer(tree, write_end, PackSettings(compression="gzip"))
    os.close(write_end)
    with Path("/dev/full").open("wb") as full, pytest.raises(NativeError, match="No space left"):
        native.pack_layer(tree, full.fileno())
