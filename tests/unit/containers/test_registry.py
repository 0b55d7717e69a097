"""Looking containers up, naming them, and the table behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wherry.containers.model import (
    Container,
    ContainerConfig,
    ContainerState,
    EndpointSettings,
    HostConfig,
    HostPort,
    MountPoint,
    MountSpec,
    NetworkingConfig,
    TmpfsOptions,
    Ulimit,
)
from wherry.containers.registry import Registry
from wherry.errors import Conflict, InvalidParameter, NotFound
from wherry.events import Events
from wherry.state.containers import ContainersTable, Phase
from wherry.state.database import Database

Make = Callable[..., Container]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(tmp_path / "state.db")


@pytest.fixture
def registry(database: Database) -> Registry:
    return Registry(ContainersTable(database), Events(database))


def container(identity: str, name: str) -> Container:
    return Container(
        identity, name, "2024-01-01T00:00:00Z", "sha256:0", "sh", ("-c", "x"),
        ContainerConfig(cmd=("x",), labels={"a": "b"}, stop_timeout=3),
        HostConfig(
            port_bindings={"80/tcp": (HostPort("", "8080"),)}, ulimits=(Ulimit("nofile", 1, 2),),
            mounts=(MountSpec("tmpfs", "/t", tmpfs=TmpfsOptions(1, 2, (("noexec",), ("size", "3")))),),
        ),
        NetworkingConfig({"net": EndpointSettings(aliases=("x",))}),
        (MountPoint("tmpfs", "/t", options=("noexec",)),),
        ContainerState("exited", exit_code=7),
    )  # fmt: skip


def test_found_by_id_name_and_unambiguous_prefix(registry: Registry) -> None:
    registry.add(container("ab" + "0" * 62, "one"))
    registry.add(container("ac" + "0" * 62, "ac"))
    assert registry.find("one").name == registry.find("/one").name == registry.find("ab").name == "one"
    assert registry.find("ac").name == "ac"
    with pytest.raises(InvalidParameter, match="multiple IDs found with provided prefix: a"):
        registry.find("a")
    with pytest.raises(NotFound, match="No such container: zzz"):
        registry.find("zzz")


def test_a_name_is_given_once(registry: Registry) -> None:
    registry.add(container("a" * 64, "web"))
    with pytest.raises(Conflict, match=r'^Conflict\. The container name "/web" is already in use by container "aaaa'):
        registry.free_name("/web")
    assert registry.free_name("other") == "other"
    assert registry.free_name("") not in ("", "web")


@pytest.mark.parametrize("name", ["a", "-ab", "a b", "../x", "a/b", "é" * 3, "a\n", "//ab", "ab\0"])
def test_malformed_names_are_refused(registry: Registry, name: str) -> None:
    with pytest.raises(InvalidParameter, match="Invalid container name"):
        registry.free_name(name)


def test_everything_survives_the_table(registry: Registry, database: Database) -> None:
    first = container("a" * 64, "web")
    registry.add(first)
    registry.change(replace(first, name="renamed"))
    registry.set_phase(first.id, Phase.STARTING)
    again = Registry(ContainersTable(database), Events(database))
    assert again.load() == [(replace(first, name="renamed"), Phase.STARTING)]
    again.change_state(first.id, replace(first.state, status="running", pid=5))
    third = Registry(ContainersTable(database), Events(database))
    [(loaded, phase)] = third.load()
    assert (loaded.state.pid, loaded.state.exit_code, phase) == (5, 7, Phase.STARTING)
    third.forget(loaded)
    assert third.free_name("renamed") == "renamed"
    assert not list(ContainersTable(database).all())
