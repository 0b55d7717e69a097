"""A corpus of hostile archives, each unpacked as a layer and as an archive for a container, among witnesses.

Whatever becomes of it, nothing around the directory changes, nothing of the host is reachable by a hard link, and the
error is a clean one. ``refused`` says which of them may not succeed.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import stat
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.integration.layers.archive import END, directory, hard_link, member, number, pax, raw_pax, record, symlink
from tests.integration.layers.conftest import SECRET, Layer
from wherry import native
from wherry.native import NativeError

# From the target to the top of the tree that is watched, and no further: should the code under test ever fail, only
# witnesses are hit. What is absolute leads to this name, which nothing else has.
UP = b"../" * 3
CANARY = b"/tmp/wherry-canary"
CAPABILITY = b"\1\0\0\2" + b"\xff" * 16


def global_pax(text: bytes) -> bytes:
    return member(b"pax_global_header", text, kind=b"g")


def gnu_long(name: bytes, kind: bytes = b"L") -> bytes:
    return member(b"././@LongLink", name + b"\0", kind=kind)


def old_sparse(real_size: int, runs: list[tuple[int, int]], data: bytes) -> bytes:
    header = bytearray(member(b"f", b"", kind=b"S", size=len(data), magic=b"ustar  \0"))
    for index, (offset, length) in enumerate(runs):
        header[386 + 24 * index : 410 + 24 * index] = number(offset, 12) + number(length, 12)
    header[483:495] = number(real_size, 12)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data + bytes(-len(data) % 512)


REFUSED, ANY = True, False
CORPUS: dict[str, tuple[bool, bytes]] = {
    "parent": (REFUSED, member(b"../beside", b"x")),
    "parent-deep": (REFUSED, member(UP + b"etc/passwd", b"x")),
    "parent-in-the-middle": (REFUSED, directory(b"a") + member(b"a/../../beside", b"x")),
    "parent-directory": (REFUSED, directory(b"..", mode=0o777)),
    "parent-directory-mode": (REFUSED, directory(b"a/../..", mode=0o777, uid=99)),
    "parent-with-slashes": (REFUSED, member(b"//..//beside", b"x")),
    "parent-by-prefix": (REFUSED, member(b"beside", b"x", prefix=b"..")),
    "parent-by-pax": (REFUSED, pax({b"path": b"../beside"}) + member(b"innocent", b"x")),
    "parent-by-global-pax": (REFUSED, global_pax(record(b"path", b"../beside")) + member(b"innocent", b"x")),
    "parent-by-long-name": (REFUSED, gnu_long(b"../beside") + member(b"innocent", b"x")),
    "parent-by-sparse-name": (
        REFUSED,
        pax({b"GNU.sparse.name": b"../beside", b"GNU.sparse.map": b"0,1", b"GNU.sparse.size": b"1"})
        + member(b"i", b"x"),
    ),
    "absolute": (ANY, member(CANARY, b"x")),
    "absolute-device": (ANY, member(CANARY, kind=b"4", device=(8, 0), mode=0o600)),
    "link-then-write": (ANY, symlink(b"l", UP + b"etc") + member(b"l/passwd", b"x")),
    "link-absolute-then-write": (ANY, symlink(b"l", b"/tmp") + member(b"l/wherry-canary", b"x")),
    "link-then-directory": (ANY, symlink(b"l", UP) + directory(b"l/etc", mode=0o777, uid=99)),
    "link-then-same-name": (ANY, symlink(b"l", UP + b"etc/passwd") + member(b"l", b"x")),
    "link-then-fifo": (ANY, symlink(b"l", UP + b"etc/passwd") + member(b"l", kind=b"6", mode=0o777)),
    "link-then-chmod": (ANY, symlink(b"l", UP + b"etc") + directory(b"l", mode=0o777)),
    "link-then-whiteout": (ANY, symlink(b"l", UP + b"etc") + member(b"l/.wh.passwd")),
    "link-then-opaque": (ANY, symlink(b"l", UP + b"etc") + member(b"l/.wh..wh..opq")),
    "link-then-hard-link": (ANY, symlink(b"l", UP + b"etc") + hard_link(b"h", b"l/passwd") + member(b"h", b"x")),
    "link-chain": (
        ANY,
        symlink(b"a", b"b/..") + symlink(b"b", b"c/..") + directory(b"c") + symlink(b"d", b"a/../../..")
        + member(b"d/x", b"x"),
    ),
    "link-loop": (REFUSED, symlink(b"a", b"b") + symlink(b"b", b"a") + member(b"a/x", b"x")),
    "link-to-proc": (ANY, symlink(b"l", b"/proc/self/root/tmp") + member(b"l/wherry-canary", b"x")),
    "link-to-descriptor": (ANY, symlink(b"l", b"/proc/self/cwd") + member(b"l/wherry-canary", b"x")),
    "link-of-a-link": (ANY, symlink(b"a", UP) + hard_link(b"b", b"a") + member(b"b/beside", b"x")),
    "link-dangling-parent": (ANY, symlink(b"l", b"nowhere/../..") + member(b"l/beside", b"x")),
    "hard-link-out": (REFUSED, hard_link(b"h", UP + b"etc/passwd")),
    "hard-link-absolute": (REFUSED, hard_link(b"h", b"/dev/null")),
    "hard-link-by-pax": (REFUSED, pax({b"linkpath": UP + b"etc/shadow"}) + hard_link(b"h", b"f")),
    "hard-link-by-long-link": (REFUSED, gnu_long(UP + b"etc/passwd", b"K") + hard_link(b"h", b"f")),
    "hard-link-to-a-later-member": (REFUSED, hard_link(b"h", b"f") + member(b"f", b"x")),
    "hard-link-to-a-directory": (REFUSED, directory(b"d") + hard_link(b"h", b"d")),
    "hard-link-to-the-root": (REFUSED, hard_link(b"h", b".")),
    "hard-link-then-append": (ANY, symlink(b"s", UP + b"etc/passwd") + hard_link(b"h", b"s") + member(b"h", b"x")),
    "whiteout-of-parent": (ANY, directory(b"a") + member(b"a/.wh...")),
    "whiteout-of-self": (ANY, member(b".wh..")),
    "whiteout-of-nothing": (ANY, member(b".wh.")),
    "whiteout-outside": (REFUSED, member(b"../.wh.beside")),
    "whiteout-opaque-outside": (REFUSED, member(b"../.wh..wh..opq")),
    "whiteout-as-directory": (ANY, member(b".wh.a/b", b"x")),
    "whiteout-upper-case": (ANY, member(b".WH.beside") + member(b".wh..WH..opq")),
    "root-is-a-link": (REFUSED, symlink(b".", CANARY)),
    "root-is-a-file": (REFUSED, member(b"./", b"x")),
    "root-attributes": (ANY, directory(b"./", mode=0o777, uid=99)),
    "uid-overflow": (REFUSED, member(b"f", uid=2**32)),
    "uid-by-pax": (REFUSED, pax({b"uid": b"18446744073709551616"}) + member(b"f")),
    "gid-negative": (REFUSED, member(b"f", gid=-1)),
    "size-lies": (REFUSED, member(b"f", b"x", size=2**40)),
    "size-negative": (REFUSED, member(b"f", b"x", size=-(2**40))),
    "size-of-a-header": (REFUSED, member(b"p", b"", kind=b"x", size=2**50) + member(b"f")),
    "size-of-a-directory": (ANY, member(b"d", kind=b"5", size=2**40) + member(b"f", b"x")),
    "sparse-beyond-the-end": (REFUSED, old_sparse(10, [(2**62, 1)], b"x")),
    "sparse-overlapping": (REFUSED, old_sparse(10, [(5, 1), (0, 1)], b"xy")),
    "sparse-without-end": (
        REFUSED,
        pax({b"GNU.sparse.major": b"1", b"GNU.sparse.realsize": b"1"}) + member(b"f", b"9" * 512),
    ),
    "sparse-of-exabytes": (REFUSED, old_sparse(2**62, [(0, 1)], b"x")),
    "duplicates": (
        ANY,
        member(b"f", b"1") + directory(b"f") + member(b"f/g", b"2") + symlink(b"f", CANARY) + member(b"f", b"3"),
    ),
    "directory-becomes-a-link": (
        ANY,
        directory(b"d") + member(b"d/f", b"1") + symlink(b"d", UP + b"etc") + member(b"d/passwd", b"x"),
    ),
    "devices": (
        ANY,
        member(b"d", kind=b"4", device=(254, 0), mode=0o666) + member(b"m", kind=b"3", device=(1, 1), mode=0o666),
    ),
    "device-as-directory": (REFUSED, member(b"d", kind=b"3", device=(1, 5)) + member(b"d/f", b"x")),
    "setuid-shell": (ANY, member(b"sh", b"\x7fELF", mode=0o6755)),
    "capabilities": (
        ANY,
        pax({b"SCHILY.xattr.security.capability": CAPABILITY}) + member(b"sh", b"\x7fELF", mode=0o755),
    ),
    "overlay-redirect": (ANY, pax({b"SCHILY.xattr.trusted.overlay.redirect": b"/a"}) + directory(b"d")),
    "security-label": (ANY, pax({b"SCHILY.xattr.security.selinux": b"unconfined_t"}) + member(b"f")),
    "name-with-nul": (REFUSED, raw_pax(record(b"path", b"a\0../../beside")) + member(b"f")),
    "name-with-newline": (ANY, member(b"a\nb", b"x")),
    "name-too-long": (REFUSED, pax({b"path": b"n" * 300}) + member(b"f")),
    "a-hundred-thousand-directories-in-a-name": (REFUSED, pax({b"path": b"d/" * 100_000}) + directory(b"x")),
    "unknown-kind": (REFUSED, member(b"f", b"x", kind=b"V")),
    "continued-from-another-volume": (REFUSED, member(b"f", b"x", kind=b"M")),
    "headers-without-end": (ANY, pax({b"comment": b"x"}) * 3),
    "endless-global-headers": (REFUSED, global_pax(record(b"comment", b"x")) * 1000 + member(b"f")),
    "checksum-wrong": (REFUSED, member(b"../beside", b"x", checksum=7)),
    "zeros-inside": (REFUSED, member(b"a") + bytes(512) + member(b"../beside", b"x")),
}  # fmt: skip


def tree(top: Path, *, beside: Path) -> str:
    """A digest of everything about every file around a directory."""
    digest = hashlib.sha256()
    for place, directories, files in os.walk(top):
        if Path(place) == beside:
            directories.clear()
            continue
        directories.sort()
        for name in sorted((*directories, *files)):
            path = Path(place, name)
            status = path.lstat()
            digest.update(repr((str(path), status.st_mode, status.st_uid, status.st_gid, status.st_ino)).encode())
            if path.is_file():
                digest.update(path.read_bytes() + repr((status.st_mtime_ns, status.st_nlink)).encode())
    return digest.hexdigest()


def test_the_corpus_is_as_large_as_it_is_meant_to_be() -> None:
    assert len(CORPUS) >= 70


@pytest.mark.parametrize("as_layer", [True, False], ids=["layer", "archive"])
@pytest.mark.parametrize("name", CORPUS)
def test_nothing_outside_changes(layer: Layer, name: str, as_layer: bool) -> None:
    refused, members = CORPUS[name]
    before = tree(layer.top, beside=layer.target)
    descriptor = os.memfd_create("archive")
    os.write(descriptor, members + END)
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        if as_layer:
            native.unpack_layer(descriptor, layer.target, max_bytes=2**30)
        else:
            native.unpack_archive(descriptor, layer.target, "/", max_bytes=2**30)
        assert not refused, "it was unpacked without an error"
    except NativeError as error:
        assert error.errno > 0 and str(error), error
    finally:
        os.close(descriptor)
    assert tree(layer.top, beside=layer.target) == before
    assert not Path(os.fsdecode(CANARY)).exists() and not Path("wherry-canary").exists()
    for place, _, files in os.walk(layer.target):
        for file in files:
            path = Path(place, file)
            if path.is_file() and not path.is_symlink():
                assert path.read_bytes() != SECRET and path.stat().st_size < 2**20
            assert "trusted.overlay.redirect" not in os.listxattr(path, follow_symlinks=False)


def test_directories_nested_far_beyond_what_a_name_can_say() -> None:
    """Links shorten the names: each begins where the last 2,000 directories ended."""
    segment, links = b"/".join([b"d"] * 2000), 8
    members = [pax({b"path": segment}) + directory(b"x"), pax({b"linkpath": segment}) + symlink(b"l1", b"")]
    for index in range(1, links):
        start = b"l%d/" % index
        members += [
            pax({b"path": start + segment}) + directory(b"x"),
            pax({b"linkpath": start + segment}) + symlink(b"l%d" % (index + 1), b""),
        ]
    place = Path(tempfile.mkdtemp(dir="/dev/shm"))  # on a disk each of them is a block of its own
    archive = os.memfd_create("archive")
    try:
        os.write(archive, b"".join(members) + END)
        os.lseek(archive, 0, os.SEEK_SET)
        native.unpack_layer(archive, place)
        assert deepest(place) >= 2000 * links
    finally:
        os.close(archive)
        native.remove_tree(place)
    assert not place.exists()


def deepest(top: Path) -> int:
    """How many directories called d are in each other."""
    place, depth = os.open(top, os.O_RDONLY), 0
    while True:
        try:
            deeper = os.open("d", os.O_RDONLY | os.O_NOFOLLOW, dir_fd=place)
        except FileNotFoundError:
            os.close(place)
            return depth
        os.close(place)
        place, depth = deeper, depth + 1


def test_a_tree_is_removed_without_following_links(tmp_path: Path) -> None:
    doomed, kept = tmp_path / "doomed", tmp_path / "kept"
    (doomed / "a/b").mkdir(parents=True)
    kept.mkdir()
    (kept / "file").write_bytes(SECRET)
    (doomed / "a/link").symlink_to(kept)
    (doomed / "a/b/up").symlink_to("../../..")
    os.mkfifo(doomed / "fifo")
    native.remove_tree(doomed)
    native.remove_tree(doomed)
    assert list(tmp_path.iterdir()) == [kept] and (kept / "file").read_bytes() == SECRET
    with pytest.raises(NativeError) as caught:
        native.remove_tree(kept / "file")
    assert caught.value.errno == errno.ENOTDIR


def test_millions_of_empty_files_end_at_the_limit_that_was_set(layer: Layer) -> None:
    many = gzip.compress(member(b"f") * 20_000, 1)
    with pytest.raises(NativeError, match="more than the 10000 members"):
        layer.unpack_bytes(many, max_entries=10_000)
    assert [path.name for path in layer.target.iterdir()] == ["f"]


def test_special_bits_and_devices_are_kept_as_the_archive_has_them(layer: Layer) -> None:
    for name in ("devices", "setuid-shell", "capabilities"):
        layer.unpack(CORPUS[name][1])
    assert stat.S_IMODE((layer.target / "sh").stat().st_mode) == 0o755
    assert os.getxattr(layer.target / "sh", "security.capability") == CAPABILITY
    assert (layer.target / "d").stat().st_rdev == os.makedev(254, 0)
    subprocess.run(["rm", "-rf", layer.target / "d"], check=True)
