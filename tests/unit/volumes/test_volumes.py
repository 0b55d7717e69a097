"""Volumes: names, options, use, filters and prune, on a data root of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from wherry.errors import Conflict, InvalidParameter, NotFound
from wherry.events import Events
from wherry.paths import Paths
from wherry.state.database import Database
from wherry.state.volumes import Phase, VolumesTable
from wherry.volumes.loop import parse_size
from wherry.volumes.model import Volume, VolumeSpec
from wherry.volumes.service import Volumes


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    made = Paths(tmp_path / "data", tmp_path / "run")
    made.create()
    return made


@pytest.fixture
def database(paths: Paths) -> Iterator[Database]:
    opened = Database(paths.database)
    yield opened
    opened.close()


@pytest.fixture
async def volumes(paths: Paths, database: Database) -> Volumes:
    return await started(paths, database)


async def started(paths: Paths, database: Database) -> Volumes:
    noun = Volumes(paths, database, Events(database))
    await noun.start()
    return noun


async def test_a_volume_is_a_directory_that_others_of_the_host_cannot_list(volumes: Volumes) -> None:
    volume = await volumes.create(VolumeSpec("data", labels={"a": "b"}))

    assert volumes.find("data") == volume
    assert Path(volume.mountpoint).stat().st_mode & 0o777 == 0o755
    assert Path(volume.mountpoint).parent.stat().st_mode & 0o777 == 0o701
    assert Path(volume.mountpoint).parents[1].stat().st_mode & 0o777 == 0o700


async def test_creating_the_same_volume_again_gives_the_one_that_exists(volumes: Volumes) -> None:
    first = await volumes.create(VolumeSpec("data", labels={"a": "b"}))

    assert await volumes.create(VolumeSpec("data", labels={"other": "label"})) == first
    with pytest.raises(Conflict, match="a volume named data already exists with other options"):
        await volumes.create(VolumeSpec("data", options={"type": "tmpfs", "device": "tmpfs"}))


@pytest.mark.parametrize("name", ["../etc", "a/b", "/abs", ".hidden", "a b", "x" * 260, "a"])
async def test_a_bad_name_is_refused_and_nothing_made(volumes: Volumes, paths: Paths, name: str) -> None:
    with pytest.raises(InvalidParameter, match="volume name"):
        await volumes.create(VolumeSpec(name))

    assert list(paths.volumes.iterdir()) == []


async def test_the_words_for_a_bad_name_are_dockers(volumes: Volumes) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await volumes.create(VolumeSpec("a/b"))

    assert str(refused.value) == (
        'create a/b: "a/b" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are '
        "allowed. If you intended to pass a host directory, use absolute path"
    )


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"size": "10G"}, InvalidParameter, "quota size requested but no quota support"),
        ({"type": "none", "o": "bind", "device": "relative"}, InvalidParameter, "device.*absolute path"),
        ({"o": "bind", "device": "/srv"}, InvalidParameter, 'missing required option: "type"'),
        ({"colour": "red"}, InvalidParameter, 'invalid option: "colour"'),
        ({"type": "nfs", "o": "addr=192.0.2.1"}, InvalidParameter, 'missing required option: "device"'),
        ({"device": "tmpfs"}, InvalidParameter, 'missing required option: "type"'),
    ],
)
async def test_bad_options_are_refused_by_name(
    volumes: Volumes, options: dict[str, str], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await volumes.create(VolumeSpec("data", options=options))
    assert volumes.list() == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, 'missing required option: "size"'),
        ({"size": "1g", "mkfs": "-m 5"}, 'invalid option: "mkfs"; one of size, fstype'),
        ({"size": "huge"}, 'size: "huge": is not a size'),
        ({"size": "1m"}, 'size: "1m": is no size for a volume; ext4 takes 16m to 1024t'),
        ({"size": "200m", "fstype": "xfs"}, "xfs takes 300m"),
        ({"size": "-1"}, "is not a size"),
        ({"size": "1g", "fstype": "vfat"}, 'fstype: "vfat": is no file system for a volume; one of ext4, xfs'),
    ],
)
async def test_bad_options_of_loop_volumes_are_refused_by_name(
    volumes: Volumes, options: dict[str, str], words: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        await volumes.create(VolumeSpec("data", "loop", options=options))
    assert words in str(refused.value)
    assert volumes.list() == []


@pytest.mark.parametrize(
    ("text", "size"),
    [("1g", 1 << 30), ("1024MiB", 1 << 30), ("1.5 gb", 3 << 29), ("33554433", 33558528), ("16384K", 1 << 24)],
)
def test_sizes_are_bytes_in_whole_blocks(text: str, size: int) -> None:
    assert parse_size(text) == size


async def test_one_name_has_one_driver(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("data"))
    for driver in ("loop", "convoy"):
        with pytest.raises(Conflict, match="create data: volume name must be unique"):
            await volumes.create(VolumeSpec("data", driver, options={"size": "1g"}))


async def test_what_a_container_made_of_its_volume_stays_at_the_next_mount(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("data"))
    path = await volumes.mount("data", "c1")
    path.chmod(0o700)
    await volumes.unmount("data", "c1")
    await volumes.mount("data", "c1")
    assert path.stat().st_mode & 0o777 == 0o700


async def test_a_prune_leaves_volumes_whose_content_lies_elsewhere(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("share", options={"type": "nfs", "device": ":/srv", "o": "addr=192.0.2.1"}))
    pruned = await volumes.prune({"all": ["true"]})
    assert pruned.names == ()
    assert [volume.name for volume in volumes.list()] == ["share"]


async def test_another_driver_is_refused_by_name(volumes: Volumes) -> None:
    with pytest.raises(NotFound, match="error looking up volume plugin convoy"):
        await volumes.create(VolumeSpec("data", driver="convoy"))


async def test_a_volume_in_use_is_not_removed(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("data"))
    (await volumes.mount("data", "c1") / "file").write_text("kept")
    with pytest.raises(Conflict, match=r"remove data: volume is in use - \[c1\]"):
        await volumes.remove("data", force=True)
    await volumes.unmount("data", "c1")
    volumes.in_use = lambda name: ["c2"] if name == "data" else []
    with pytest.raises(Conflict, match=r"volume is in use - \[c2\]"):
        await volumes.remove("data")
    volumes.in_use = lambda name: []

    await volumes.remove("data")

    with pytest.raises(NotFound, match="get data: no such volume"):
        volumes.find("data")
    await volumes.remove("data", force=True)


async def test_a_removal_takes_the_content_and_nothing_that_links_point_to(
    volumes: Volumes, paths: Paths, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    (canary / "file").write_text("alive")
    volume = await volumes.create(VolumeSpec("data"))
    (Path(volume.mountpoint) / "link").symlink_to(canary)

    await volumes.remove("data")

    assert (canary / "file").read_text() == "alive"
    assert list(paths.volumes.iterdir()) == []


async def test_a_name_is_free_while_its_last_bearer_goes(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("data"))

    await asyncio.gather(volumes.remove("data"), volumes.create(VolumeSpec("data")))

    assert Path(volumes.find("data").mountpoint).is_dir()


async def test_users_outlive_the_agent(volumes: Volumes, paths: Paths, database: Database) -> None:
    await volumes.create(VolumeSpec("data"))
    await volumes.mount("data", "c1")

    later = await started(paths, database)

    with pytest.raises(Conflict, match="c1"):
        await later.remove("data")


@pytest.mark.parametrize("phase", [Phase.MAKING, Phase.REMOVING])
async def test_what_a_crash_cut_short_is_undone(paths: Paths, database: Database, phase: Phase) -> None:
    half = Volume("half", str(paths.volumes / "half" / "_data"), "2026-01-01T00:00:00Z")
    VolumesTable(database).save(half, phase)
    Path(half.mountpoint).mkdir(parents=True)
    (paths.volumes / ".removing-half").mkdir()

    later = await started(paths, database)

    assert later.list() == []
    assert list(paths.volumes.iterdir()) == []


async def test_filters(volumes: Volumes) -> None:
    await volumes.create(VolumeSpec("one", labels={"tier": "db"}))
    await volumes.create(VolumeSpec("two"))
    await volumes.mount("two", "c1")

    def names(**filters: list[str]) -> list[str]:
        return [volume.name for volume in volumes.list(filters)]

    assert names() == ["one", "two"]
    assert names(dangling=["true"]) == ["one"]
    assert names(dangling=["0"]) == ["two"]
    assert names(label=["tier"]) == ["one"]
    assert names(label=["tier=web"]) == []
    assert names(name=["w"]) == ["two"]
    assert names(driver=["local"]) == ["one", "two"]
    assert names(driver=["other"]) == []
    with pytest.raises(InvalidParameter, match="invalid filter 'colour'"):
        names(colour=["red"])


async def test_prune_takes_unused_anonymous_volumes_unless_told_otherwise(volumes: Volumes) -> None:
    named = await volumes.create(VolumeSpec("named"))
    anonymous = await volumes.create(VolumeSpec())
    used = await volumes.create(VolumeSpec(anonymous=True))
    (Path(anonymous.mountpoint) / "file").write_bytes(b"x" * 100_000)
    await volumes.mount(used.name, "c1")

    pruned = await volumes.prune()
    assert pruned.names == (anonymous.name,)
    assert pruned.reclaimed >= 100_000
    assert (await volumes.prune({"all": ["true"], "label!": ["nothing"]})).names == (named.name,)
    assert [volume.name for volume in volumes.list()] == [used.name]
