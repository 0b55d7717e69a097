"""A layer is read from any descriptor, however it is compressed, and hashed on both sides while it is."""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.layers.archive import END, directory, member, pax
from tests.integration.layers.conftest import Layer
from wherry import native
from wherry.native import NativeError

CONTENT = b"".join(b"%d lines of text\n" % number for number in range(60_000))
TAR = member(b"text", CONTENT) + member(b"random", os.urandom(100_000)) + END


def plain(data: bytes) -> bytes:
    return data


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=data, capture_output=True, check=True).stdout


def gzip_members(data: bytes) -> bytes:
    return b"".join(gzip.compress(data[start : start + 40_001]) for start in range(0, len(data), 40_001))


def gzip_with_name(data: bytes) -> bytes:
    """The optional fields of RFC 1952: extra, name, comment and header checksum."""
    header = b"\x1f\x8b\x08\x1e" + bytes(4) + b"\0\x03" + b"\x04\0abcd" + b"layer.tar\0" + b"comment\0"
    header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + gzip.compress(data, mtime=0)[10:]


def zstd_frames(data: bytes) -> bytes:
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0meta"
    return skippable + zstd(data[:300_000]) + skippable + zstd(data[300_000:])


FORMS = [plain, gzip.compress, gzip_members, gzip_with_name, zstd, zstd_frames]


def sha256(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("form", FORMS)
def test_digests_and_sizes_of_both_sides(layer: Layer, form: Callable[[bytes], bytes]) -> None:
    packed = form(TAR)
    unpacked = layer.unpack_bytes(packed)
    assert unpacked == native.LayerSummary(sha256(TAR), sha256(packed), len(packed), len(TAR), 2)
    assert (layer.target / "text").read_bytes() == CONTENT


@pytest.mark.parametrize("form", FORMS)
def test_a_pipe_that_gives_a_few_bytes_at_a_time(layer: Layer, form: Callable[[bytes], bytes]) -> None:
    packed = form(TAR)
    read_end, write_end = os.pipe()

    def dribble() -> None:
        for start in range(0, len(packed), 1021):
            os.write(write_end, packed[start : start + 1021])
        os.close(write_end)

    writer = threading.Thread(target=dribble)
    writer.start()
    unpacked = native.unpack_layer(read_end, layer.target)
    writer.join()
    os.close(read_end)
    assert (unpacked.diff_id, unpacked.digest) == (sha256(TAR), sha256(packed))


def test_a_socket_that_does_not_block_is_waited_for(layer: Layer) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    sender = threading.Timer(0.2, lambda: (theirs.sendall(TAR), theirs.close()))
    sender.start()
    assert native.unpack_layer(ours.fileno(), layer.target).diff_id == sha256(TAR)
    sender.join()
    ours.close()


def test_the_digest_covers_what_follows_the_end_of_the_archive(layer: Layer) -> None:
    archive = TAR + bytes(10 * 512)
    packed = gzip.compress(archive) + bytes(600)
    unpacked = layer.unpack_bytes(packed)
    assert (unpacked.diff_id, unpacked.digest) == (sha256(archive), sha256(packed))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", [0.02, 0.5, 0.9])
def test_a_stream_that_ends_early_is_an_error(layer: Layer, form: Callable[[bytes], bytes], part: float) -> None:
    packed = form(TAR)
    with pytest.raises(NativeError, match=r"ends in the middle|checksum"):
        layer.unpack_bytes(packed[: int(len(packed) * part)])


@pytest.mark.parametrize("form", [gzip.compress, zstd])
def test_a_last_byte_that_is_missing_is_an_error(layer: Layer, form: Callable[[bytes], bytes]) -> None:
    with pytest.raises(NativeError, match="ends in the middle"):
        layer.unpack_bytes(form(TAR)[:-1])


@pytest.mark.parametrize("form", [gzip.compress, zstd])
def test_a_byte_that_changed_is_an_error(layer: Layer, form: Callable[[bytes], bytes]) -> None:
    packed = bytearray(form(TAR))
    packed[-2] ^= 0x40
    with pytest.raises(NativeError, match=r"gzip|zstd"):
        layer.unpack_bytes(bytes(packed))


def test_bytes_after_the_end_of_gzip_are_an_error(layer: Layer) -> None:
    with pytest.raises(NativeError, match="after the end"):
        layer.unpack_bytes(gzip.compress(TAR) + b"\0\0garbage")


@pytest.mark.parametrize(
    "data", [b"not a layer" * 100, b"\x1f\x8b\x08" + os.urandom(500), b"\x28\xb5\x2f\xfd" + bytes(40)]
)
def test_what_is_no_layer_is_an_error(layer: Layer, data: bytes) -> None:
    with pytest.raises(NativeError, match=r"tar|gzip|zstd|compressed"):
        layer.unpack_bytes(data)
    assert list(layer.target.iterdir()) == []


def test_a_descriptor_that_cannot_be_read_is_an_error(layer: Layer) -> None:
    descriptor = os.open(layer.target, os.O_RDONLY)
    try:
        with pytest.raises(NativeError, match="read the layer: Is a directory"):
            native.unpack_layer(descriptor, layer.target)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("form", FORMS)
def test_chunks_are_unpacked_as_they_come(layer: Layer, form: Callable[[bytes], bytes]) -> None:
    packed = form(TAR)
    with native.LayerUnpacker(layer.target) as unpacker:
        for start in range(0, len(packed), 70_001):
            unpacker.feed(memoryview(packed)[start : start + 70_001])
        unpacked = unpacker.finish()
    assert unpacked == native.LayerSummary(sha256(TAR), sha256(packed), len(packed), len(TAR), 2)
    assert (layer.target / "text").read_bytes() == CONTENT


def test_files_are_there_before_the_last_chunk_has_come(layer: Layer) -> None:
    with native.LayerUnpacker(layer.target) as unpacker:
        unpacker.feed(member(b"first", b"1") + member(b"second", b"2"))
        deadline = time.monotonic() + 10
        while not (layer.target / "second").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert (layer.target / "first").read_bytes() == b"1"
        unpacker.feed(END)
        assert unpacker.finish().entries == 2


def test_whoever_feeds_a_bad_layer_is_told(layer: Layer) -> None:
    with native.LayerUnpacker(layer.target) as unpacker, pytest.raises(NativeError, match="leaves the layer"):
        unpacker.feed(member(b"../beside", b"x"))
        while True:
            unpacker.feed(bytes(2**20))


def test_limits_hold_for_chunks(layer: Layer) -> None:
    with native.LayerUnpacker(layer.target, max_bytes=2**20) as unpacker, pytest.raises(NativeError) as caught:
        unpacker.feed(gzip.compress(bytes(2**27), 1))
        unpacker.finish()
    assert caught.value.errno == errno.EFBIG


def test_an_abort_ends_it_without_a_result_or_a_leak(layer: Layer) -> None:
    before, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    for chunk in (TAR[:600], gzip.compress(TAR)[:1000], b"", END):
        with native.LayerUnpacker(layer.target) as unpacker:
            unpacker.feed(chunk)
            unpacker.abort()
    with pytest.raises(RuntimeError, match="the download broke"), native.LayerUnpacker(layer.target) as unpacker:
        unpacker.feed(TAR[:5000])
        raise RuntimeError("the download broke")
    assert len(list(Path("/proc/self/fd").iterdir())) == before and threading.active_count() == threads


def test_several_layers_at_once_have_their_own_modes_under_any_umask(layer: Layer) -> None:
    archive = b"".join(
        member(b"%d/f" % number, b"x", mode=0o666) + directory(b"%d" % number, mode=0o777) for number in range(300)
    )
    before = os.umask(0o077)
    try:
        targets = [layer.target / str(number) for number in range(4)]
        for target in targets:
            target.mkdir()
        unpackers = [native.LayerUnpacker(target) for target in targets]
        for unpacker in unpackers:
            unpacker.feed(archive + END)
        assert [unpacker.finish().entries for unpacker in unpackers] == [600] * 4
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for target in targets for path in target.rglob("*") if path.is_file()}
    assert modes == {0o666}
    assert {path.stat().st_mode & 0o777 for target in targets for path in target.iterdir()} == {0o777}


def test_a_default_access_list_does_not_change_modes(layer: Layer) -> None:
    nobody = 2**32 - 1
    entries = [(1, 7, nobody), (4, 0, nobody), (32, 0, nobody)]
    masked = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(layer.target, "system.posix_acl_default", masked)
    layer.unpack(member(b"d/f", b"x", mode=0o666), directory(b"e", mode=0o777))
    assert (layer.target / "d/f").stat().st_mode & 0o777 == 0o666
    assert (layer.target / "e").stat().st_mode & 0o777 == 0o777
    os.removexattr(layer.target, "system.posix_acl_default")
    own = {b"SCHILY.xattr.system.posix_acl_default": masked}
    layer.unpack(
        pax(own) + directory(b"g", mode=0o777), member(b"g/f", b"x", mode=0o666), directory(b"g/d", mode=0o775)
    )
    assert (layer.target / "g/f").stat().st_mode & 0o777 == 0o666
    assert (layer.target / "g/d").stat().st_mode & 0o777 == 0o775
