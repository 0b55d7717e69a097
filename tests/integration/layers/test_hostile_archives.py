"""Archives that want out of their directory, or more than there is; the fixture sees that nothing outside changes."""

from __future__ import annotations

import errno
import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.layers.archive import END, directory, hard_link, member, number, pax, raw_pax, record, symlink
from tests.integration.layers.conftest import SECRET, Layer
from wherry.native import NativeError

UP = b"../" * 12


@pytest.mark.parametrize(
    "name", [b"../beside", b"a/../../beside", b"..", b"a/../..", b"./../beside", b"/../beside", b"a//..//../beside"]
)
@pytest.mark.parametrize("kind", [b"0", b"5", b"6", b"2"])
def test_a_name_that_leaves_the_layer_is_refused(layer: Layer, name: bytes, kind: bytes) -> None:
    with pytest.raises(NativeError, match="leaves the layer"):
        layer.unpack(member(name, kind=kind, link=b"x"))


@pytest.mark.parametrize(
    "members",
    [
        [pax({b"path": b"../beside"}), member(b"innocent", b"x")],
        [member(b"././@LongLink", b"../beside\0", kind=b"L"), member(b"innocent", b"x")],
        [member(b"beside", b"x", prefix=b"..")],
        [
            pax({b"GNU.sparse.name": b"../beside", b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"1"}),
            member(b"i", b"x"),
        ],
        [directory(b"a"), member(b"a/.wh...", b"")],
        [member(b"../.wh.beside", b"")],
        [member(b"../.wh..wh..opq", b"")],
    ],
)
def test_no_form_of_a_name_leaves_the_layer(layer: Layer, members: list[bytes]) -> None:
    with pytest.raises(NativeError, match=r"leaves the layer|whiteout"):
        layer.unpack(*members)


def test_an_absolute_name_is_taken_relative(layer: Layer) -> None:
    outside = layer.top / "etc/passwd"
    name = bytes(outside)
    layer.unpack(pax({b"path": name}) + member(b"x", b"mine"))
    assert outside.read_bytes() == SECRET
    assert (layer.target / str(outside).lstrip("/")).read_bytes() == b"mine"


@pytest.mark.parametrize("target", [b"/", b"/etc", UP + b"etc", b"..", b"/proc/self/root", b"/proc/self/cwd", b"."])
def test_writing_through_a_link_stays_in_the_layer(layer: Layer, target: bytes) -> None:
    try:
        layer.unpack(symlink(b"l", target), member(b"l/wh-file", b"x"), directory(b"l/wh-new"), member(b"l/.wh.x"))
    except NativeError as error:
        assert error.errno in (errno.ELOOP, errno.ENOENT, errno.ENOTDIR)
    for name in ("wh-file", "wh-new"):
        for place in (Path("/"), Path("/etc"), Path(), layer.target.parent):
            assert not (place / name).exists()


def test_a_link_to_a_directory_outside_is_not_opaque_or_chmodded(layer: Layer) -> None:
    outside = bytes(layer.top / "etc")
    with pytest.raises(NativeError):
        layer.unpack(pax({b"linkpath": outside}), symlink(b"l", b"x"), member(b"l/.wh..wh..opq"))
    layer.unpack(pax({b"linkpath": outside}), symlink(b"l", b"x"), directory(b"l", mode=0o777, uid=99))
    assert (layer.target / "l").is_dir() and not (layer.target / "l").is_symlink()


def test_a_chain_of_links_stays_in_the_layer(layer: Layer) -> None:
    links = [symlink(b"a", b"b/.."), symlink(b"b", b"c/.."), directory(b"c"), symlink(b"d", b"a/../../../..")]
    layer.unpack(*links, member(b"d/etc/passwd", b"x"))
    assert (layer.target / "etc/passwd").read_bytes() == b"x"


@pytest.mark.parametrize("target", [UP + b"etc/passwd", b"../beside", b"a/../../beside"])
def test_a_hard_link_to_a_name_outside_is_refused(layer: Layer, target: bytes) -> None:
    with pytest.raises(NativeError, match="leaves the layer"):
        layer.unpack(hard_link(b"mine", target))


def test_a_hard_link_does_not_reach_outside_by_a_link(layer: Layer) -> None:
    with pytest.raises(NativeError, match="hard link to"):
        layer.unpack(symlink(b"l", UP + b"etc"), hard_link(b"mine", b"l/passwd"))
    with pytest.raises(NativeError, match="hard link to"):
        layer.unpack(hard_link(b"mine", bytes(layer.top / "etc/passwd")))
    assert not (layer.target / "mine").exists()


def test_a_file_over_a_hard_link_leaves_the_linked_content(layer: Layer) -> None:
    layer.unpack(symlink(b"s", bytes(layer.top / "etc/passwd")[-90:]), hard_link(b"h", b"s"), member(b"h", b"mine"))
    assert (layer.target / "h").read_bytes() == b"mine"
    assert (layer.target / "s").is_symlink()


@pytest.mark.parametrize("over", [b"0", b"6"])
def test_a_link_in_the_way_is_replaced_and_not_followed(layer: Layer, over: bytes) -> None:
    outside = layer.top / "etc/passwd"
    layer.unpack(pax({b"linkpath": bytes(outside)}), symlink(b"x", b""), member(b"x", kind=over, mode=0o777))
    assert not (layer.target / "x").is_symlink()
    assert outside.read_bytes() == SECRET


@pytest.mark.parametrize(
    "members",
    [
        [member(b"f", b"x", size=10**6)],
        [member(b"f", b"x" * 600, size=1024 * 1024), END],
        [member(b"f", b"x", size=2**62)],
        [member(b"f", b"x", size=-5)],
        [pax({b"size": b"999999999999"}), member(b"f", b"x")],
        [pax({b"size": b"99999999999999999999999"}), member(b"f", b"x")],
        [pax({b"size": b"-1"}), member(b"f", b"x")],
        [member(b"PaxHeaders", b"", kind=b"x", size=2**40), member(b"f")],
        [member(b"././@LongLink", b"", kind=b"L", size=2**40), member(b"f")],
        [member(b"f", b"x", checksum=1)],
        [member(b"f", uid=2**32)],
        [member(b"f", uid=2**32 - 1)],
        [member(b"f", gid=-1)],
        [pax({b"uid": b"4294967296"}), member(b"f")],
        [pax({b"uid": b"-1"}), member(b"f")],
        [pax({b"mtime": b"12.3x"}), member(b"f")],
        [bytes(512), member(b"f")],
    ],
)
def test_numbers_that_lie_are_an_error(layer: Layer, members: list[bytes]) -> None:
    with pytest.raises(NativeError):
        layer.unpack(*members, end=b"")
    found = layer.target / "f"
    assert not found.exists() or found.stat().st_size < 4096


@pytest.mark.parametrize(
    "text",
    [
        b"x",
        b"0 path=a\n",
        b"3 a\n",
        b"5 a=b\n",
        b"99999999999999999999999 path=a\n",
        b"100 path=a\n",
        b"10 path=ab",
        b"8 =abcd\n",
        b"\n" * 20,
        record(b"pa\0th", b"x"),
        record(b"path", b"a\0b"),
        record(b"linkpath", b"\0"),
        record(b"path", b"ok") + b"junk",
        b"".join(record(b"SCHILY.xattr.user.%d" % index, b"") for index in range(300)),
    ],
)
def test_a_malformed_extended_header_is_an_error(layer: Layer, text: bytes) -> None:
    with pytest.raises(NativeError, match="extended header"):
        layer.unpack(raw_pax(text), member(b"f"))


def sparse(real_size: int, *runs: tuple[int, int], data: bytes = b"x") -> bytes:
    """An old GNU sparse file with any map."""
    header = bytearray(member(b"f", b"", kind=b"S", size=len(data), magic=b"ustar  \0"))
    for index, (offset, length) in enumerate(runs):
        header[386 + 24 * index : 410 + 24 * index] = number(offset, 12) + number(length, 12)
    header[483:495] = number(real_size, 12)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


@pytest.mark.parametrize(
    "members",
    [
        [sparse(10, (20, 1))],
        [sparse(10, (2**62, 1))],
        [sparse(10, (0, 2))],
        [sparse(10, (5, 1), (0, 1), data=b"xy")],
        [sparse(-1, (0, 1))],
        [pax({b"GNU.sparse.map": b"0,1,x", b"GNU.sparse.size": b"1"}), member(b"f", b"x")],
        [pax({b"GNU.sparse.offset": b"0", b"GNU.sparse.size": b"1"}), member(b"f", b"x")],
        [raw_pax(record(b"GNU.sparse.offset", b"0") * 2), member(b"f", b"x")],
        [pax({b"GNU.sparse.major": b"1", b"GNU.sparse.realsize": b"1"}), member(b"f", b"99999999\n0\n")],
        [pax({b"GNU.sparse.major": b"1", b"GNU.sparse.realsize": b"1"}), member(b"f", b"no number")],
        [pax({b"GNU.sparse.major": b"2", b"GNU.sparse.realsize": b"1"}), member(b"f", b"x")],
    ],
)
def test_a_map_of_a_sparse_file_that_lies_is_an_error(layer: Layer, members: list[bytes]) -> None:
    with pytest.raises(NativeError, match=r"sparse|realsize"):
        layer.unpack(*members)


def test_a_sparse_file_larger_than_the_limit_is_an_error(layer: Layer) -> None:
    with pytest.raises(NativeError) as caught:
        layer.unpack(sparse(2**40, (0, 1)), max_bytes=2**20)
    assert caught.value.errno == errno.EFBIG


def test_a_kind_that_is_not_known_is_refused_by_name(layer: Layer) -> None:
    with pytest.raises(NativeError, match='weird: member of a kind that is not supported \\("V"\\)'):
        layer.unpack(member(b"weird", kind=b"V"))


def test_a_root_that_is_no_directory_is_refused(layer: Layer) -> None:
    with pytest.raises(NativeError, match="names the root"):
        layer.unpack(symlink(b".", b"/etc"))
    layer.unpack(directory(b"./", mode=0o777, uid=99))
    assert layer.target.stat().st_uid == os.getuid()


def test_names_that_are_too_long_are_an_error(layer: Layer) -> None:
    for name in (b"/".join([b"d"] * 100_000), b"n" * 300, b"n" * 5000):
        with pytest.raises(NativeError) as caught:
            layer.unpack(pax({b"path": name}), directory(b"x"))
        assert caught.value.errno == errno.ENAMETOOLONG


def test_odd_names_are_kept_as_they_are(layer: Layer) -> None:
    names = [b"new\nline", b"\xff\xfe", b"-rf", b"a:b", b"...", b" ", b"\\", b"wh.x", b"..x"]
    layer.unpack(*(member(name) for name in names))
    assert sorted(bytes(path.relative_to(layer.target)) for path in layer.target.iterdir()) == sorted(names)


def test_a_file_where_a_directory_is_needed_is_an_error(layer: Layer) -> None:
    for first in (member(b"f", b"x"), member(b"f", kind=b"6"), member(b"f", kind=b"3", device=(1, 3))):
        with pytest.raises(NativeError, match="f/g"):
            layer.unpack(first, member(b"f/g"))


def test_a_file_larger_than_the_limit_is_not_begun(layer: Layer) -> None:
    with pytest.raises(NativeError, match="zeros: larger than the 1048576 bytes") as caught:
        layer.unpack(member(b"zeros", b"", size=2**33), max_bytes=2**20)
    assert caught.value.errno == errno.EFBIG
    assert not (layer.target / "zeros").exists()


@pytest.mark.parametrize(
    "members", [b"", b"".join(member(b"%d" % index, size=2**19)[:512] + bytes(2**19) for index in range(9))]
)
def test_a_bomb_ends_at_the_limit(layer: Layer, members: bytes) -> None:
    bomb = gzip.compress(members + bytes(200 * 2**20), 1)
    assert len(bomb) < 2**20
    with pytest.raises(NativeError, match="layer: larger than the 1048576 bytes") as caught:
        layer.unpack_bytes(bomb, max_bytes=2**20)
    assert caught.value.errno == errno.EFBIG
    assert sum(file.stat().st_size for file in layer.target.iterdir()) <= 2**20 + 2**18


def test_more_members_than_allowed_are_an_error(layer: Layer) -> None:
    members = [member(b"%d" % index) for index in range(50)]
    with pytest.raises(NativeError, match="more than the 10 members") as caught:
        layer.unpack(*members, max_entries=10)
    assert caught.value.errno == errno.E2BIG
    assert len(list(layer.target.iterdir())) == 10


MEASURE = """
import os, resource, sys
from wherry import native
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    native.unpack_layer(0, sys.argv[1], max_bytes=2**28 - 1)
except native.NativeError as error:
    assert "larger than" in str(error), error
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize(
    "packer", [["gzip", "-1"], ["zstd", "-q", "-1"], ["zstd", "-q", "--ultra", "-20", "--long=26"]]
)
def test_memory_stays_bounded_however_large_the_layer(layer: Layer, packer: list[str]) -> None:
    data = member(b"zeros", size=2**27)[:512] + bytes(2**28)
    packed = subprocess.run([*packer, "-c"], input=data, capture_output=True, check=True).stdout
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", MEASURE, layer.target], input=packed, env=environment, capture_output=True, check=True
    )
    assert int(run.stdout) * 1024 < 72 * 2**20


def test_descriptors_do_not_run_out_in_a_deep_and_wide_tree(layer: Layer) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    layer.unpack(*(member(b"%d/%d/%d/f" % (i, i, i)) for i in range(3000)))
    with pytest.raises(NativeError):
        layer.unpack(member(b"0/0/0/f/g"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
