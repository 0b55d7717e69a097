"""Modules that do one thing to images: pull, push, tag, export, load, remove; and what is left over, by prune."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.integration.ansible.conftest import Play, Task
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.registry import Registry

Docker = Callable[..., CompletedProcess[bytes]]
PORT = 5078
THERE = f"127.0.0.1:{PORT}/team/tool"


@pytest.fixture(scope="module")
def registry(agent: PrivateAgent) -> Iterator[Registry]:
    with Registry(agent.enter, PORT) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(docker: Docker) -> Iterator[None]:
    yield
    for name in (f"{THERE}:1", f"{THERE}:2", "tagged:1", "tagged:2", "other:1"):
        docker("image", "rm", "-f", name, check=False)


def test_a_push_is_a_change_once_and_a_pull_likewise(play: Play, registry: Registry, busybox: str) -> None:
    del registry
    tag, pushed, again, removed, check, pulled, kept, asked = play([
        Task("image_tag", {"name": busybox, "repository": [f"{THERE}:1"]}),
        Task("image_push", {"name": THERE, "tag": "1"}),
        Task("image_push", {"name": f"{THERE}:1"}),
        Task("image_remove", {"name": THERE, "tag": "1"}),
        Task("image_pull", {"name": THERE, "tag": "1"}, check=True),
        Task("image_pull", {"name": THERE, "tag": "1"}),
        Task("image_pull", {"name": THERE, "tag": "1", "pull": "not_present"}),
        Task("image_pull", {"name": THERE, "tag": "1"}),
    ])  # fmt: skip
    steps = (tag, pushed, again, removed, check, pulled, kept, asked)
    assert [step["changed"] for step in steps] == [True, True, False, True, True, True, False, False]
    assert pushed["digest"].startswith("sha256:")
    assert again["digest"] == pushed["digest"]
    assert check["actions"] == pulled["actions"]
    assert pulled["digest"] == pushed["digest"] and pulled["bytes"] > 0 and pulled["seconds"] > 0
    there = {"endpoint": f"127.0.0.1:{PORT}", "mirror": False, "manifests": 1}  # all the rest is on the host
    assert pulled["endpoints"] == [there]
    assert pulled["image"]["Id"] == tag["image"]["Id"]


def test_names_are_given_and_kept(play: Play, docker: Docker, busybox: str) -> None:
    docker("import", "-", "other:1", input=b"\0" * 10240)
    task = {"name": busybox, "repository": ["tagged:1", "tagged:2", "other:1"]}
    keep, check, run, again, wrong = play([
        Task("image_tag", {**task, "repository": ["other:1"], "existing_images": "keep"}),
        Task("image_tag", task, check=True),
        Task("image_tag", task),
        Task("image_tag", task),
        Task("image_tag", {**task, "repository": ["a@sha256:" + "0" * 64]}),
    ])  # fmt: skip
    assert [step["changed"] for step in (keep, check, run, again)] == [False, True, True, False]
    assert check["tagged_images"] == run["tagged_images"] == ["other:1", "tagged:1", "tagged:2"]
    assert check["diff"] == run["diff"]
    assert "is no name with a tag" in wrong["msg"]


def test_a_removal_is_foretold_name_by_name(play: Play, docker: Docker, busybox: str) -> None:
    docker("tag", busybox, "tagged:1")
    docker("import", "-", "other:1", input=b"\0" * 10240)
    steps = []
    for name in ("tagged:1", "other:1", "other:1", "nothing:1"):
        steps += [Task("image_remove", {"name": name}, check=True), Task("image_remove", {"name": name})]
    results = play(steps)
    for check, run in zip(results[::2], results[1::2], strict=True):
        assert [check[key] for key in ("changed", "untagged", "deleted", "diff")] == [
            run[key] for key in ("changed", "untagged", "deleted", "diff")
        ]
    assert [run["changed"] for run in results[1::2]] == [True, True, False, False]
    assert results[1]["untagged"] == ["tagged:1"]
    assert results[1]["deleted"] == []
    assert results[3]["deleted"][0] == results[3]["image"]["Id"]


def test_an_archive_is_written_when_its_images_are_others(
    play: Play, docker: Docker, busybox: str, tmp_path: Path
) -> None:
    docker("tag", busybox, "tagged:1")
    archive = tmp_path / "images.tar"
    task = {"names": ["tagged", busybox], "tag": "1", "path": str(archive)}
    check, run, again, other, forced, missing, nowhere = play([
        Task("image_export", task, check=True),
        Task("image_export", task),
        Task("image_export", task),
        Task("image_export", {**task, "names": ["tagged"]}),
        Task("image_export", {**task, "names": ["tagged"], "force": True}),
        Task("image_export", {**task, "names": ["nothing"]}),
        Task("image_export", {**task, "path": str(tmp_path / "none" / "images.tar")}),
    ])  # fmt: skip
    assert [step["changed"] for step in (check, run, again, other, forced)] == [True, True, False, True, True]
    assert "nothing:1" in missing["msg"]
    assert nowhere["failed"]
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert [entry["RepoTags"] for entry in manifest] == [["tagged:1"]]


def test_an_archive_that_brings_nothing_new_changes_nothing(
    play: Play, docker: Docker, busybox: str, tmp_path: Path
) -> None:
    archive = tmp_path / "images.tar"
    docker("tag", busybox, "tagged:1")
    docker("save", "-o", str(archive), "tagged:1")
    docker("image", "rm", "tagged:1")
    (tmp_path / "broken.tar").write_bytes(b"no archive" * 100)
    loaded, again, broken, missing = play([
        Task("image_load", {"path": str(archive)}),
        Task("image_load", {"path": str(archive)}),
        Task("image_load", {"path": str(tmp_path / "broken.tar")}),
        Task("image_load", {"path": str(tmp_path / "missing.tar")}),
    ])  # fmt: skip
    assert (loaded["changed"], again["changed"]) == (True, False)
    assert loaded["image_names"] == ["tagged:1"]
    assert loaded["images"][0]["RepoTags"].count("tagged:1") == 1
    assert broken["failed"]
    assert "No such file or directory" in missing["msg"]


def test_what_nothing_uses_is_removed_by_kind(play: Play, docker: Docker, busybox: str) -> None:
    docker("create", "--name", "left-over", "--label", "stage=test", busybox, "true")
    docker("network", "create", "--label", "stage=test", "left-over")
    docker("volume", "create", "--label", "stage=test", "left-over")
    docker("import", "--change", "LABEL stage=test", "-", "other:1", input=b"\0" * 10240)
    label = {"label": "stage=test"}
    task = {
        "containers": True, "containers_filters": label, "networks": True, "networks_filters": label,
        "volumes": True, "volumes_filters": {**label, "all": True}, "images": True,
        "images_filters": {"dangling": False, "label": ["stage=test"]},
    }  # fmt: skip
    check, run, again = play([Task("prune", task, check=True), Task("prune", task), Task("prune", task)])
    assert check.get("skipped")
    assert (run["changed"], again["changed"]) == (True, False)
    assert len(run["containers"]) == 1
    assert (run["networks"], run["volumes"]) == (["left-over"], ["left-over"])
    assert {"Untagged": "other:1"} in run["images"]
    assert docker("image", "inspect", busybox).returncode == 0


def test_the_host_and_what_it_has_are_told(play: Play, docker: Docker, busybox: str) -> None:
    docker("create", "--name", "seen", "--label", "role=seen", busybox, "true")
    lists = {"containers": True, "containers_all": True, "containers_filters": {"label": ["role=seen"]}}
    short, verbose, nobody = play([
        Task("host_info", {**lists, "images": True, "networks": True, "volumes": True, "disk_usage": True}),
        Task("host_info", {**lists, "verbose_output": True}),
        Task("host_info", {"agent": "unix:///nowhere.sock"}),
    ])  # fmt: skip
    docker("rm", "seen")
    assert short["can_talk_to_docker"] is True
    assert short["host_info"]["ServerVersion"]
    assert [container["Names"] for container in short["containers"]] == [["/seen"]]
    assert set(short["networks"][0]) == {"Id", "Driver", "Name", "Scope"}
    assert {"LayersSize", "Images", "Containers", "Volumes"} <= set(short["disk_usage"])
    assert verbose["containers"][0]["Labels"] == {"role": "seen"}
    assert (nobody["failed"], nobody["can_talk_to_docker"]) == (True, False)
