"""Archives of paths inside a container's root, in both directions: nothing outside of it is read or changed.

The root's owner is hostile: links in it point anywhere, and a process swaps them while archives are copied
(CVE-2018-15664, CVE-2019-14271 and their kind).
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import lzma
import os
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.layers.archive import END, directory, hard_link, member, pax, symlink
from tests.integration.layers.test_packing import descriptors, pack
from tests.integration.layers.test_streams import zstd
from wherry import native
from wherry.native import IdMaps, IdRange, LayerSummary, NativeError

SECRET = b"the host's own\n"
UP = "../" * 12  # to read by; what is written by leads no further than to the witnesses around the root


class Root:
    """A container's root file system, with the host's files around it."""

    def __init__(self, top: Path) -> None:
        self.host = top
        self.path = top / "containers" / "rootfs"
        for name in ("dir/sub", "etc", "tmp"):
            (self.path / name).mkdir(parents=True)
        (self.path / "dir/file").write_bytes(b"inside")
        (self.path / "dir/sub/deep").write_bytes(b"deeper")
        (self.path / "etc/passwd").write_bytes(b"the container's\n")
        (top / "etc").mkdir()
        for name in ("etc/passwd", "secret", "containers/beside"):
            (top / name).write_bytes(SECRET)
            (top / name).chmod(0o640)
        self.before = self.outside()

    def outside(self) -> dict[str, tuple[object, ...]]:
        """Everything about every file around the root."""
        found: dict[str, tuple[object, ...]] = {}
        for place, directories, files in os.walk(self.host):
            if Path(place) == self.path:
                directories.clear()
                continue
            for name in (*directories, *files):
                path = Path(place, name)
                status = path.lstat()
                content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
                times = () if path == self.path else (status.st_mtime_ns, status.st_nlink)
                found[str(path)] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, content, *times)
        return found

    def put(self, path: str, *members: bytes, **options: Any) -> LayerSummary:
        return self.put_bytes(path, b"".join(members) + END, **options)

    def put_bytes(self, path: str, archive: bytes, **options: Any) -> LayerSummary:
        memory = os.memfd_create("archive")
        try:
            os.write(memory, archive)
            os.lseek(memory, 0, os.SEEK_SET)
            return native.unpack_archive(memory, self.path, path, **options)
        finally:
            os.close(memory)

    def get(self, path: str, name: str, **options: Any) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.get_bytes(path, name, **options))) as opened:
            return {entry.name: entry for entry in opened}

    def get_bytes(self, path: str, name: str, **options: Any) -> bytes:
        return pack(lambda target, settings: native.pack_path(self.path, path, name, target, settings), ..., **options)[
            0
        ]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Root]:
    """A root; after the test nothing around it may have changed, and no descriptor is left."""
    made, before = Root(tmp_path / "host"), descriptors()
    yield made
    assert made.outside() == made.before
    assert descriptors() == before


def test_a_file_and_a_directory_are_packed_under_the_name_that_was_asked_for(root: Root) -> None:
    assert list(root.get("/dir/file", "renamed")) == ["renamed"]
    assert list(root.get("dir", "other")) == ["other", "other/file", "other/sub", "other/sub/deep"]
    assert list(root.get("/dir/../dir/sub/", "sub")) == ["sub", "sub/deep"]
    assert list(root.get("/dir/.", "")) == ["file", "sub", "sub/deep"]
    assert "etc/passwd" in root.get("/", "")


def test_the_last_link_is_packed_as_a_link_unless_a_slash_follows_it(root: Root) -> None:
    (root.path / "link").symlink_to("/dir")
    (root.path / "to-file").symlink_to("dir/file")
    assert root.get("/link", "link")["link"].linkname == "/dir"
    assert list(root.get("/link/", "link")) == ["link", "link/file", "link/sub", "link/sub/deep"]
    assert list(root.get("/link/file", "f")) == ["f"]
    with pytest.raises(NativeError) as caught:
        root.get("/to-file/", "x")
    assert caught.value.errno == errno.ENOTDIR


@pytest.mark.parametrize("form", ["{host}/etc", "../../etc", "/proc/self/root{host}/etc", "dir/../../../etc"])
def test_links_are_followed_inside_the_root_only(root: Root, form: str) -> None:
    (root.path / "out").symlink_to(form.format(host=root.host))
    with contextlib.suppress(NativeError):
        assert SECRET not in root.get_bytes("/out/passwd", "p")
    with contextlib.suppress(NativeError):
        assert SECRET not in root.get_bytes("/out/", "p")
    with contextlib.suppress(NativeError):
        root.put("/out", member(b"new", b"x"), member(b"passwd", b"root::0:0"), directory(b"d", mode=0o777))


def test_dots_and_absolute_paths_stay_in_the_root(root: Root) -> None:
    for path in (UP + "secret", str(root.host / "secret"), "/dir/" + UP + "secret"):
        with pytest.raises(NativeError) as caught:
            root.get(path, "secret")
        assert caught.value.errno == errno.ENOENT


def test_devices_and_fifos_are_packed_without_being_opened(root: Root) -> None:
    os.mkfifo(root.path / "dir/fifo")
    os.mknod(root.path / "dir/tty", stat.S_IFCHR | 0o600, os.makedev(5, 0))
    found = root.get("/dir", "dir")
    assert found["dir/fifo"].isfifo() and found["dir/tty"].ischr()


def test_what_is_missing_is_an_error(root: Root) -> None:
    for call in (lambda: root.get("/nowhere", "x"), lambda: root.put("/nowhere", member(b"f"))):
        with pytest.raises(NativeError) as caught:
            call()
        assert caught.value.errno == errno.ENOENT
    with pytest.raises(NativeError) as caught:
        root.put("/dir/file", member(b"f"))
    assert caught.value.errno == errno.ENOTDIR
    with pytest.raises(NativeError, match="only a directory can be packed without a name"):
        root.get("/dir/file", "")


def test_an_archive_is_unpacked_into_a_directory_of_the_root(root: Root) -> None:
    (root.path / "link").symlink_to("/dir")
    root.put(
        "/link",
        directory(b"./"),
        member(b"file", b"new", mode=0o4711, uid=7, gid=8),
        directory(b"sub", mode=0o700),
        symlink(b"sub/link", b"/etc/passwd"),
        hard_link(b"sub/hard", b"file"),
        member(b".wh.deep", b"no whiteout"),
        member(b"sub/.wh..wh..opq", b""),
        pax({b"mtime": b"5.25"}) + member(b"made/on/the/way", b"x"),
        member(b"fifo", kind=b"6", mode=0o622),
    )
    place = root.path / "dir"
    status = (place / "file").stat()
    assert (place / "file").read_bytes() == b"new"
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_nlink) == (0o4711, 7, 8, 2)
    assert (place / "sub/deep").read_bytes() == b"deeper" and stat.S_IMODE((place / "sub").stat().st_mode) == 0o700
    assert (place / ".wh.deep").read_bytes() == b"no whiteout" and (place / "sub/.wh..wh..opq").exists()
    assert (place / "made/on/the/way").stat().st_mtime == 5.25
    assert stat.S_IMODE((place / "fifo").stat().st_mode) == 0o622


@pytest.mark.parametrize("form", [gzip.compress, zstd])
def test_compressed_archives_are_unpacked_by_nothing_that_lies_in_the_root(root: Root, form: Any) -> None:
    trojan = f"#!/bin/sh\necho pwned >{root.host}/secret\n"
    for name in ("xz", "unpigz", "gzip", "zstd", "tar", "libnss_files.so.2", "libisal.so.2"):
        for place in ("usr/bin", "bin", "lib", "lib/x86_64-linux-gnu", "lib64", "usr/lib"):
            (root.path / place).mkdir(parents=True, exist_ok=True)
            (root.path / place / name).write_text(trojan)
            (root.path / place / name).chmod(0o755)
    root.put_bytes("/tmp", form(member(b"f", b"x") + END))
    assert (root.path / "tmp/f").read_bytes() == b"x"
    with pytest.raises(NativeError, match="compressed by xz, where gzip, zstd or nothing is taken"):
        root.put_bytes("/tmp", lzma.compress(member(b"f", b"x") + END))


@pytest.mark.parametrize("name", [b"../beside", b"sub/../../../x", b"/../../x"])
def test_names_that_leave_the_directory_are_refused(root: Root, name: bytes) -> None:
    with pytest.raises(NativeError, match="leaves the layer"):
        root.put("/dir", member(name, b"x"))


def test_directories_and_others_give_way_unless_told_not_to(root: Root) -> None:
    with pytest.raises(NativeError, match="sub: cannot overwrite directory with non-directory") as caught:
        root.put("/dir", member(b"sub", b"x"), no_overwrite_dir_non_dir=True)
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(NativeError, match="file: cannot overwrite non-directory with directory"):
        root.put("/dir", directory(b"file"), no_overwrite_dir_non_dir=True)
    root.put("/dir", directory(b"sub"), member(b"file", b"again"), no_overwrite_dir_non_dir=True)
    assert (root.path / "dir/sub/deep").exists() and (root.path / "dir/file").read_bytes() == b"again"
    root.put("/dir", member(b"sub", b"x"), directory(b"file"))
    assert (root.path / "dir/sub").read_bytes() == b"x" and (root.path / "dir/file").is_dir()


def test_an_owner_can_be_given_and_is_shifted(root: Root) -> None:
    ids = IdMaps((IdRange(0, 100_000, 65536),), (IdRange(0, 200_000, 65536),))
    root.put("/dir", member(b"a/f", b"x", uid=5), symlink(b"l", b"x"), member(b"p", kind=b"6"), owner=(33, 44), ids=ids)
    for name in ("a/f", "l", "p"):
        status = (root.path / "dir" / name).lstat()
        assert (status.st_uid, status.st_gid) == (100_033, 200_044)
    assert (root.path / "dir/a").stat().st_uid == 100_033
    assert root.get("/dir/a", "a", ids=ids)["a/f"].uid == 33


def test_mounts_are_seen_through_the_root_of_a_process(root: Root) -> None:
    script = f"mount -t tmpfs t {root.path}/tmp; echo mounted >{root.path}/tmp/f; echo ready; read end"
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-euc", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.readline() == "ready\n"
    opened = os.open(f"/proc/{process.pid}/root{root.path}", os.O_PATH | os.O_DIRECTORY)
    try:
        archive, _ = pack(lambda target, settings: native.pack_path(opened, "/", "all", target, settings), ...)
        assert b"mounted\n" in archive
    finally:
        os.close(opened)
        process.communicate("end\n")
    assert not (root.path / "tmp/f").exists()


SWAP = """
import ctypes, os, sys
libc = ctypes.CDLL(None)
one, other = (os.fsencode(name) for name in sys.argv[1:])
print("ready", flush=True)
while True:
    libc.renameat2(-100, one, -100, other, 2)  # RENAME_EXCHANGE
"""

REPLACE = """
import os, sys
place, target = sys.argv[1:]
print("ready", flush=True)
while True:
    for name in ("fifo", "file", "made"):
        try:
            os.symlink(target, f"{place}/.new")
            os.rename(f"{place}/.new", f"{place}/{name}")
        except OSError:
            try:
                os.unlink(f"{place}/.new")
            except OSError:
                pass
"""


@contextlib.contextmanager
def racing(script: str, *arguments: str | Path) -> Iterator[None]:
    """A process of the container that changes its file system without pause."""
    process = subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("target", ["..", "/"])
def test_a_directory_swapped_for_a_link_is_never_a_way_out(root: Root, target: str) -> None:
    (root.path / "dir/link").symlink_to("../../.." if target == ".." else root.host)
    (root.path / "dir/sub/etc").mkdir()
    (root.path / "dir/sub/etc/passwd").write_bytes(b"the container's\n")
    inside = [member(b"etc/new", b"x"), directory(b"etc", mode=0o777), member(b"etc/passwd", b"x", mode=0o666)]
    done, deadline = 0, time.monotonic() + 20
    with racing(SWAP, root.path / "dir/sub", root.path / "dir/link"):
        while done < 250 and time.monotonic() < deadline:
            with contextlib.suppress(NativeError):
                root.put("/dir/sub", *inside)
            with contextlib.suppress(NativeError):
                root.put("/dir", *(member(b"sub/" + name, b"x") for name in (b"secret", b"etc/passwd")))
            for path in ("/dir/sub/etc/passwd", "/dir/sub/", "/dir", "/dir/sub/secret"):
                with contextlib.suppress(NativeError):
                    assert SECRET not in root.get_bytes(path, "x")
            done += 1
    assert done > 50


def test_a_file_swapped_for_a_link_while_it_is_made_leads_nowhere(root: Root) -> None:
    place = root.path / "dir"
    members = [
        member(b"fifo", kind=b"6", mode=0o777, uid=9),
        member(b"file", b"new", mode=0o777, uid=9),
        directory(b"made", mode=0o777, uid=9),
    ]
    with racing(REPLACE, place, root.host / "secret"):
        for _ in range(250):
            with contextlib.suppress(NativeError):
                root.put("/dir", *members)
            assert SECRET not in root.get_bytes("/dir", "x")


GROW = """
import os, sys
place = sys.argv[1]
print("ready", flush=True)
number = 0
while True:
    number += 1
    try:
        os.makedirs(f"{place}/{number}/deeper")
    except OSError:
        pass
"""


def test_a_directory_that_keeps_filling_up_does_not_hold_the_copy_forever(root: Root) -> None:
    with racing(GROW, root.path / "dir/sub"):
        started = time.monotonic()
        with contextlib.suppress(NativeError):  # busy in the end, there again at the wrong moment, or made
            root.put("/dir", member(b"sub", b"x"), max_entries=5000)
        assert time.monotonic() - started < 10
