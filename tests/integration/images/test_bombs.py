"""Layers that unpack to far more than they weigh: the pull ends, the disk is given back, the agent stays quick."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Content, digest_of

MIB = 1024 * 1024
DISK = 900  # MiB of the agent's data root
GROWTH = 64  # MiB that a pull may add to the agent's resident memory


@pytest.fixture(scope="module")
def host() -> Iterator[PrivateAgent]:
    """An agent whose data lies on a small disk of its own."""
    with PrivateAgent() as running:
        running.stop()
        running.run("mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=710", "tmpfs", str(running.data_root))
        running.start()
        yield running
        running.stop()
        running.run("umount", str(running.data_root))
        running.start()


def zeros(size: int) -> bytes:
    """A gzip stream of a tar with one file of ``size`` MiB of zeros, made without compressing them all."""
    head = bytearray(512)
    head[0:4], head[100:107], head[124:136] = b"bomb", b"0000644", b"%011o\0" % (size * MIB)
    head[156:157], head[257:265] = b"0", b"ustar\00000"
    head[148:156] = b"%06o\0 " % (sum(head) + 8 * 32)
    piece = bytes(MIB)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = packer.compress(bytes(head)) + packer.flush(zlib.Z_FULL_FLUSH)
    middle = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(bytes(1024)) + packer.flush(zlib.Z_FINISH)
    check = zlib.crc32(bytes(head))
    for _ in range(size):
        check = zlib.crc32(piece, check)
    check = zlib.crc32(bytes(1024), check)
    length = (512 + size * MIB + 1024) & 0xFFFFFFFF
    trailer = check.to_bytes(4, "little") + length.to_bytes(4, "little")
    return b"\x1f\x8b\x08\0\0\0\0\0\2\xff" + first + middle * size + last + trailer


def offer(content: Content, layer: bytes) -> None:
    """Puts an image of one packed layer under the tag latest; its diff ID is a guess, which comes to nothing."""
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(b"?")]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, **content.add_blob(json.dumps(config).encode())},
        "layers": [{"mediaType": OCI_LAYER, **content.add_blob(layer)}],
    }
    content.add_manifest(manifest, OCI_MANIFEST, "latest")


def resident(pid: int) -> int:
    """MiB that a process has in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // MIB


def used(host: PrivateAgent) -> int:
    """MiB of the agent's disk that are in use."""
    printed = host.run("df", "--output=used", "-B1M", str(host.data_root)).stdout.split()
    return int(printed[-1])


def ping(path: Path) -> float:
    """Seconds until the agent has answered."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", "/_ping")
    assert connection.getresponse().read() == b"OK"
    connection.close()
    return time.monotonic() - started


def test_compressed_zeros_end_at_the_limit_and_the_agent_stays_small_and_quick(
    host: PrivateAgent, faulty: FaultyRegistry
) -> None:
    offer(faulty.content, zeros(10 * 1024))
    faulty.serve()
    before, disk = resident(host.pid), used(host)
    idle = sorted(ping(host.socket) for _ in range(20))[17]  # on a busy machine that is long, too
    pull = subprocess.Popen(
        host.enter(["docker", "pull", f"{faulty.address}/bomb"]), env=host.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    delays, peak = [], before
    while pull.poll() is None:
        delays.append(ping(host.socket))
        peak = max(peak, resident(host.pid))
        time.sleep(0.02)
    assert pull.stderr is not None
    said = pull.stderr.read().decode()
    assert pull.returncode == 1 and len(said.strip().splitlines()) == 1, said
    assert peak - before < GROWTH
    # Both cores may be busy with other tests: a stray delay is theirs, a usual one is ours.
    assert sorted(delays)[len(delays) * 9 // 10] < max(0.1, 20 * idle) and sorted(delays)[len(delays) // 2] < 1
    assert used(host) <= disk + 1
    assert host.docker("image", "inspect", f"{faulty.address}/bomb", check=False).returncode == 1


def test_import_of_more_than_the_disk_holds_fails_and_gives_it_back(host: PrivateAgent) -> None:
    disk = used(host)
    done = host.docker("import", "-", "bomb", input=zeros(2048), check=False)
    assert done.returncode == 1
    assert used(host) <= disk + 1


@pytest.mark.parametrize("left", [100, 270])  # MiB: less than is kept free, and hardly more
def test_pull_onto_a_full_disk_says_so_and_works_when_there_is_space(
    host: PrivateAgent, faulty: FaultyRegistry, left: int
) -> None:
    faulty.content.add_image("latest", [{"noise": os.urandom(40 * MIB)}])
    faulty.serve()
    name, filler = f"{faulty.address}/full", str(host.data_root / "filler")
    host.run("fallocate", "-l", f"{DISK - used(host) - left}M", filler)
    failed = host.docker("pull", name, check=False)
    host.run("rm", filler)
    assert failed.returncode == 1 and "no space left below" in failed.stderr.decode(), failed.stderr
    assert host.docker("image", "inspect", name, check=False).returncode == 1
    host.out("pull", name)
    host.out("rmi", name)
