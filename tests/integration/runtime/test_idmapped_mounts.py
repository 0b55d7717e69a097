"""Mounts whose files have other owners than on disk: uidMappings and gidMappings of a mount, idmap, ridmap."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime


def _map(inside: int, outside: int, size: int = 65536) -> list[dict[str, int]]:
    return [{"containerID": inside, "hostID": outside, "size": size}]


def _mount(bundle: Bundle, source: Path, *options: str, **fields: Any) -> None:
    bundle.mount("/target", str(source), *options)
    bundle.config["mounts"][-1].update(fields)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory with files of two owners."""
    path = tmp_path / "source"
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    for owner in (0, 7):
        (path / f"of-{owner}").write_text("")
        os.chown(path / f"of-{owner}", owner, owner + 1)
    return path


STAT = "stat -c '%u %g' /target/of-0 /target/of-7"


def test_a_container_without_a_user_namespace_sees_mapped_owners(
    runtime: Runtime, bundle: Bundle, source: Path
) -> None:
    _mount(bundle, source, "idmap", uidMappings=_map(0, 1000), gidMappings=_map(0, 2000))
    assert runtime.output(STAT).split() == ["1000", "2001", "1007", "2008"]


@pytest.mark.parametrize("options", [[], ["idmap"], ["ridmap"]], ids=["mappings-alone", "idmap", "ridmap"])
def test_a_file_made_on_a_mapped_mount_has_the_owner_of_the_disk(
    runtime: Runtime, bundle: Bundle, source: Path, options: list[str]
) -> None:
    bind = "rbind" if options == ["ridmap"] else "bind"
    _mount(bundle, source, bind, *options, uidMappings=_map(5, 1000, 9), gidMappings=_map(5, 1000, 9))
    bundle.process["user"] = {"uid": 1002, "gid": 1003}
    os.chown(source, 5, 5)
    runtime.run("touch /target/made")
    status = (source / "made").stat()
    assert (status.st_uid, status.st_gid) == (7, 8)


@pytest.mark.parametrize("joined", [False, True], ids=["new", "joined"])
def test_without_mappings_those_of_the_user_namespace_are_taken(
    runtime: Runtime, bundle: Bundle, source: Path, joined: bool
) -> None:
    bundle.user_namespace()
    if joined:
        first = runtime.start()
        bundle.namespace("user", f"/proc/{first}/ns/user")
        del bundle.linux["uidMappings"], bundle.linux["gidMappings"]
        bundle.linux["cgroupsPath"] += "-second"
    _mount(bundle, source, "idmap", "ro", "nosuid")
    assert runtime.output(STAT).split() == ["0", "1", "7", "8"]
    # Without it the owners are nobody's in the container.
    bundle.config["mounts"].pop()
    _mount(bundle, source)
    assert runtime.output(STAT).split() == ["65534"] * 4


def test_a_mapped_mount_can_be_written_by_the_root_of_a_user_namespace(
    runtime: Runtime, bundle: Bundle, source: Path
) -> None:
    source.chmod(0o700)
    bundle.user_namespace()
    _mount(bundle, source, "idmap")
    runtime.run("touch /target/made")
    assert (source / "made").stat().st_uid == 0


def test_own_mappings_go_before_those_of_the_user_namespace(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    bundle.user_namespace()
    _mount(bundle, source, "idmap", uidMappings=_map(0, 100050), gidMappings=_map(0, 100060))
    assert runtime.output(STAT).split() == ["50", "61", "57", "68"]


def test_mappings_may_stand_in_the_option(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    _mount(bundle, source, "idmap=uids=0-1000-1#7-2000-9;gids=0-3000-65536")
    assert runtime.output(STAT).split() == ["1000", "3001", "2000", "3008"]
    bundle.config["mounts"].pop()
    _mount(bundle, source, "rbind", "ridmap=gids=0-0-9;uids=0-5-9;")
    assert runtime.output(STAT).split() == ["5", "1", "12", "8"]


@pytest.mark.parametrize(
    "mappings",
    ["", "uids=0-1-1", "uids=0-1-1;gids=0-1", "uids=0-1-0;gids=0-1-1", "uids=0-1-1;gids=0-1-1;uids=0-1-1",
     "uids=@0-1-1;gids=0-1-1", "uids=-1-1-1;gids=0-1-1", "uids=0-1-1x;gids=0-1-1", "uids=0-1-4294967296;gids=0-1-1",
     "uids=4294967294-1-2;gids=0-1-1", "uids=0-1-1#;gids=0-1-1", "uids=" + "#".join(["0-1-1"] * 400) + ";gids=0-1-1",
     "uids=+0-1-1;gids=0-1-1", "uids= 0-1-1;gids=0-1-1"],
    ids=lambda text: text[:40],
)  # fmt: skip
def test_mappings_in_the_option_that_are_none_are_refused(
    runtime: Runtime, bundle: Bundle, source: Path, mappings: str
) -> None:
    _mount(bundle, source, f"idmap={mappings}")
    done = runtime.run(check=False)
    assert f"mounts[4].options[1]: idmap={mappings}"[:60] in done.stderr
    assert "must be uids=ID-HOSTID-COUNT" in done.stderr or len(mappings) > 1000


def test_mappings_cannot_stand_in_two_places(runtime: Runtime, bundle: Bundle, source: Path) -> None:
    _mount(bundle, source, "idmap=uids=0-1-1;gids=0-1-1", uidMappings=_map(0, 1), gidMappings=_map(0, 1))
    assert "mounts[4].gidMappings: not supported" in runtime.run(check=False).stderr


@pytest.mark.parametrize(("word", "below"), [("idmap", "0"), ("ridmap", "1000")])
def test_only_ridmap_reaches_what_is_mounted_below(
    runtime: Runtime, bundle: Bundle, source: Path, word: str, below: str
) -> None:
    (source / "below").mkdir()
    _mount(bundle, source, "rbind", word, uidMappings=_map(0, 1000), gidMappings=_map(0, 1000))
    bundle.shell("stat -c %u /target/of-0 /target/below/file")
    done = runtime.run_beside(f"mount -t tmpfs tmpfs {source}/below; touch {source}/below/file")
    assert done.stdout.split() == ["1000", below], done.stderr


@pytest.mark.parametrize(
    ("options", "fields", "message"),
    [
        (["idmap"], {}, "idmap: needs uidMappings and gidMappings"),
        (["idmap"], {"uidMappings": [], "gidMappings": []}, "idmap: needs uidMappings and gidMappings"),
        ([], {"uidMappings": _map(0, 1)}, "must be set both or not at all"),
        (["ridmap"], {"uidMappings": _map(0, 1), "gidMappings": _map(0, 1)}, "only for a recursive bind mount"),
        ([], {"uidMappings": _map(0, 1), "gidMappings": _map(0, 2**32 - 1, 2)}, "mounts[4].gidMappings[0]"),
        ([], {"uidMappings": _map(0, 0, 9) + _map(3, 70, 9), "gidMappings": _map(0, 1)}, "uidMappings"),
        ([], {"uidMappings": [{"hostID": 1}], "gidMappings": _map(0, 1)}, "must have containerID, hostID and size"),
        ([], {"uidMappings": _map(0, 1, 1) * 341, "gidMappings": _map(0, 1)}, "at most 340 mappings"),
    ],
)
def test_mappings_that_make_no_sense_are_refused(
    runtime: Runtime, bundle: Bundle, source: Path, options: list[str], fields: dict[str, Any], message: str
) -> None:
    _mount(bundle, source, *options, **fields)
    done = runtime.run(check=False)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_file_system_that_cannot_map_is_named(runtime: Runtime, bundle: Bundle) -> None:
    bundle.mount("/target", "/proc/self", "idmap")
    bundle.config["mounts"][-1].update(uidMappings=_map(0, 1), gidMappings=_map(0, 1))
    done = runtime.run(check=False)
    assert "bind /proc/self on /target: map IDs: the file system (or one below it) cannot do that" in done.stderr
