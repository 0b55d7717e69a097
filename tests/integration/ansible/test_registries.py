"""Images from real registries, declared by playbooks: check mode asks the registry and tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.integration.ansible.conftest import Play, Task
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry

Docker = Callable[..., CompletedProcess[bytes]]
PORT = 5077
ORIGIN = f"127.0.0.1:{PORT}/team/app:1"
MIRRORED = "origin.example.com/team/app:1"
CONTAINER = {"name": "pulled", "image": ORIGIN, "command": "sleep 1000", "pull": "always", "stop_timeout": 0}


@pytest.fixture(scope="module")
def registry(agent: PrivateAgent) -> Iterator[Registry]:
    with Registry(agent.enter, PORT) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(docker: Docker, registry: Registry, busybox: str) -> Iterator[None]:
    """The registry has the image, the host has not; afterwards neither has a trace of the test."""
    del registry
    publish(docker, busybox)
    yield
    docker("rm", "-f", "pulled", check=False)
    for name in (ORIGIN, MIRRORED, "newer:1"):
        docker("image", "rm", "-f", name, check=False)


def publish(docker: Docker, image: str) -> None:
    """Makes the registry's tag stand for an image of this host, which then forgets that name."""
    docker("tag", image, ORIGIN)
    docker("push", ORIGIN)
    docker("image", "rm", ORIGIN)


@pytest.fixture
def rootfs(rootfs_archive: Path) -> bytes:
    """The archive that the image is made of."""
    return rootfs_archive.read_bytes()


def test_a_pull_is_foretold_with_the_id_that_it_brings(play: Play) -> None:
    task = {"name": ORIGIN, "source": "pull"}
    check, run, again, forced = play([
        Task("image", task, check=True), Task("image", task), Task("image", task),
        Task("image", {**task, "force_source": True}),
    ])  # fmt: skip
    assert [step["changed"] for step in (check, run, again, forced)] == [True, True, False, False]
    assert check["actions"] == run["actions"]
    assert check["actions"][0]["after"]["image_id"] == run["image"]["Id"]


def test_a_container_follows_its_tag_when_told_to(play: Play, docker: Docker, rootfs: bytes) -> None:
    first, same = play([Task("container", CONTAINER), Task("container", CONTAINER)])
    docker("import", "-c", "ENV NEWER=1", "-", "newer:1", input=rootfs)
    docker("tag", "newer:1", ORIGIN)
    docker("push", ORIGIN)
    docker("tag", "busybox:test", ORIGIN)  # here the name still is the old image
    check, follow, settled = play([
        Task("container", CONTAINER, check=True), Task("container", CONTAINER), Task("container", CONTAINER),
    ])  # fmt: skip
    assert [step.get("changed") for step in (first, same, check, follow, settled)] == [True, False, True, True, False]
    assert check["actions"] == follow["actions"]
    assert [action["action"] for action in follow["actions"]] == ["pull", "recreate", "start"]
    assert "NEWER=1" in follow["container"]["Config"]["Env"]


def test_a_declared_mirror_is_asked_at_once(play: Play) -> None:
    rule = {"registry": "origin.example.com", "mirrors": [{"url": f"http://127.0.0.1:{PORT}"}], "fallback": False}
    declared, pulled, found, gone = play([
        Task("registry_mirror", rule),
        Task("image", {"name": MIRRORED, "source": "pull"}),
        Task("registry_mirror_info", {"registry": "origin.example.com"}),
        Task("registry_mirror", {"registry": "origin.example.com", "state": "absent"}),
    ])  # fmt: skip
    assert [step["changed"] for step in (declared, pulled, found, gone)] == [True, True, False, True]
    assert MIRRORED in pulled["image"]["RepoTags"]
    assert found["registry_mirrors"][0]["mirrors"][0]["url"] == f"http://127.0.0.1:{PORT}"


def test_an_image_that_the_registry_does_not_have_is_named(play: Play) -> None:
    name = f"127.0.0.1:{PORT}/team/none:1"
    image, container = play([
        Task("image", {"name": name, "source": "pull"}, check=True),
        Task("container", {**CONTAINER, "image": name}, check=True),
    ])  # fmt: skip
    assert image["msg"].startswith(f'name: "{name}": cannot be pulled: ')
    assert container["msg"].startswith(f'image: "{name}": cannot be pulled: ')


def test_a_further_name_follows_the_image(play: Play, docker: Docker) -> None:
    task = {"name": ORIGIN, "source": "pull", "repository": "newer:1"}
    first, again = play([Task("image", task), Task("image", task)])
    assert [first["changed"], again["changed"]] == [True, False]
    assert docker("image", "inspect", "-f", "{{.Id}}", "newer:1").stdout.decode().strip() == first["image"]["Id"]


def test_when_to_pull_is_said_by_one_word(play: Play, docker: Docker, rootfs: bytes, registry: Registry) -> None:
    task = {"name": ORIGIN, "source": "pull"}
    never, missing, kept = play([
        Task("image", {**task, "pull": "never"}), Task("image", {**task, "pull": {"policy": "missing"}}),
        Task("image", {**task, "pull": "never"}),
    ])  # fmt: skip
    assert "no such image on the host, and pull is never" in never["msg"]
    assert [missing["changed"], kept["changed"]] == [True, False]
    assert missing["bytes"] > 0 and missing["endpoints"][0]["endpoint"] == f"127.0.0.1:{PORT}"
    docker("import", "-c", "ENV NEWER=1", "-", "newer:1", input=rootfs)
    docker("tag", "newer:1", ORIGIN)
    docker("push", ORIGIN)
    docker("tag", "busybox:test", ORIGIN)
    stays, check, follow = play([
        Task("image", {**task, "pull": "missing"}), Task("image", {**task, "pull": "newer"}, check=True),
        Task("image", {**task, "pull": "newer"}),
    ])  # fmt: skip
    assert [step["changed"] for step in (stays, check, follow)] == [False, True, True]
    assert "NEWER=1" in follow["image"]["Config"]["Env"]
    registry.stop()
    try:
        content, asked = play([Task("image", {**task, "pull": "newer"}), Task("image", {**task, "pull": "always"})])
    finally:
        registry.start()
    assert content["changed"] is False and "cannot be asked" in content["actions"][0]["reason"]
    assert "cannot be pulled" in asked["msg"]


def test_a_name_is_pinned_to_a_digest_whatever_the_tag_becomes(play: Play, docker: Docker, rootfs: bytes) -> None:
    (first,) = play([Task("image", {"name": ORIGIN, "source": "pull"})])
    docker("import", "-c", "ENV NEWER=1", "-", "newer:1", input=rootfs)
    docker("tag", "newer:1", ORIGIN)
    docker("push", ORIGIN)
    pinned = {"name": ORIGIN, "source": "pull", "digest": first["digest"]}
    check, back, again, wrong, bad = play([
        Task("image", pinned, check=True), Task("image", pinned), Task("image", pinned),
        Task("image", {**pinned, "digest": "sha256:" + "0" * 64}), Task("image", {**pinned, "digest": "sha256:0"}),
    ])  # fmt: skip
    assert [step["changed"] for step in (check, back, again)] == [True, True, False]
    assert check["actions"] == back["actions"]
    assert back["image"]["Id"] == first["image"]["Id"] and ORIGIN in back["image"]["RepoTags"]
    assert "not found" in wrong["msg"]
    assert 'digest: "sha256:0": is not a digest' in bad["msg"]
