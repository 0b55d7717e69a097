"""A layer is read from any descriptor, however it is compressed, and hashed on both sides while it is."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import subprocess
import threading
import zlib
from collections.abc import Callable

import pytest

from tests.integration.layers.archive import END, member
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
