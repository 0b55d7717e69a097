"""Tags, lists, history, removal and prune, as Docker's clients see them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker.errors
import pytest

from tests.integration.images.conftest import push_layout
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import Content, layer_tar
from tests.lab.registry import Registry


@pytest.fixture
def image(host: PrivateAgent) -> Iterator[str]:
    """An image of its own for a test."""
    host.docker("import", "-c", "LABEL kind=test", "-", "names:1", input=layer_tar({"f": b"f"}))
    yield "names:1"
    host.docker("rmi", "-f", "names:1", check=False)


def names(host: PrivateAgent, *options: str) -> set[str]:
    """What ``docker images`` lists."""
    return set(host.out("images", "--format", "{{.Repository}}:{{.Tag}}", *options).split())


def test_removing_one_of_two_names_untags_and_the_last_deletes(host: PrivateAgent, image: str) -> None:
    host.out("tag", image, "other/name:2")
    assert names(host) >= {image, "other/name:2"}
    assert host.out("rmi", "other/name:2") == "Untagged: other/name:2"
    printed = host.out("rmi", image).splitlines()
    assert printed[0] == f"Untagged: {image}"
    assert printed[1].startswith("Deleted: sha256:")
    done = host.docker("rmi", image, check=False)
    assert done.stderr.decode().strip() == f"Error response from daemon: No such image: {image}"


def test_id_with_names_in_two_repositories_needs_force(host: PrivateAgent, image: str) -> None:
    image_id = host.out("images", "-q", image)
    host.out("tag", image, "other:1")
    refused = host.docker("rmi", image_id, check=False).stderr.decode()
    assert f"conflict: unable to delete {image_id} (must be forced)" in refused
    assert "image is referenced in multiple repositories" in refused
    host.out("rmi", "-f", image_id)
    assert names(host) == set()


def test_filters_choose_by_reference_label_and_age(host: PrivateAgent, image: str) -> None:
    host.docker("import", "-", "younger:1", input=layer_tar({"g": b"g"}))
    assert names(host, "--filter", "reference=nam*") == {image}
    assert names(host, "names") == {image}
    assert names(host, "--filter", "label=kind=test") == {image}
    assert names(host, "--filter", f"since={image}") == {"younger:1"}
    assert names(host, "--filter", "before=younger:1") == {image}
    bad = host.docker("images", "--filter", "colour=red", check=False).stderr.decode()
    assert "invalid filter" in bad and "colour" in bad
    host.out("rmi", "younger:1")


def test_import_over_a_name_leaves_a_dangling_image_for_prune(host: PrivateAgent, image: str) -> None:
    old = host.out("images", "-q", "--no-trunc", image)
    host.docker("import", "-", image, input=layer_tar({"new": b"new"}))
    assert host.out("images", "-q", "--no-trunc", "--filter", "dangling=true") == old
    printed = host.out("image", "prune", "-f")
    assert f"deleted: {old}" in printed
    assert "Total reclaimed space: 0B" not in printed
    assert names(host) == {image}


def test_history_shows_steps_newest_first(host: PrivateAgent, registry: Registry) -> None:
    content = Content()
    content.add_image("latest", [{"a": b"a" * 100}, {"b": b"b" * 200}])
    name = f"{registry.address}/history"
    push_layout(host, content, "latest", name)
    host.out("pull", name)
    rows = host.client().api.history(name)
    assert [row["CreatedBy"] for row in rows] == ["layer 1", "layer 0"]
    assert rows[0]["Id"].startswith("sha256:") and rows[0]["Tags"] == [f"{name}:latest"]
    assert rows[0]["Size"] > 0
    host.out("rmi", name)


def test_push_sends_an_image_that_others_can_pull(host: PrivateAgent, registry: Registry, image: str) -> None:
    target = f"{registry.address}/pushed:1"
    host.out("tag", image, target)
    printed = host.out("push", target)
    assert "Pushed" in printed and "1: digest: sha256:" in printed
    assert "Layer already exists" in host.out("push", target)
    config = host.run("skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{target}").stdout
    assert json.loads(config)["config"]["Labels"] == {"kind": "test"}
    image_id = host.out("images", "-q", "--no-trunc", image)
    again = f"{registry.address}/elsewhere/pushed:1"
    host.out("tag", image, again)
    assert "Mounted from pushed" in host.out("push", again)
    host.out("rmi", "-f", image_id)
    host.out("pull", target)
    assert host.out("images", "-q", "--no-trunc", target) == image_id
    host.out("rmi", target)


def test_images_survive_a_crash_of_the_agent(host: PrivateAgent, image: str) -> None:
    before = json.loads(host.out("image", "inspect", image))
    (host.data_root / "layers" / ".tmp-left").mkdir()
    (host.data_root / "images/ingest/left.tmp").write_text("left")
    host.restart(crash=True)
    assert json.loads(host.out("image", "inspect", image)) == before
    assert not (host.data_root / "layers" / ".tmp-left").exists()
    assert not (host.data_root / "images/ingest/left.tmp").exists()


def test_old_and_new_clients_get_their_own_fields(host: PrivateAgent, image: str) -> None:
    def listed(version: str) -> dict[str, object]:
        url = f"http://localhost/v{version}/images/json"
        found: list[dict[str, object]] = json.loads(
            host.run("curl", "-s", "--unix-socket", str(host.socket), url).stdout
        )
        return next(row for row in found if image in row["RepoTags"])  # type: ignore[operator]

    assert listed("1.24")["RepoDigests"] == ["<none>@<none>"]
    assert listed("1.24")["VirtualSize"] == listed("1.24")["Size"]
    assert listed("1.51")["RepoDigests"] == []
    assert "VirtualSize" not in listed("1.51")


def test_malformed_names_are_refused_in_dockers_words(host: PrivateAgent, image: str) -> None:
    client = host.client()
    for repository, needle in (("UPPER", "repository name must be lowercase"), ("a..b", "invalid reference format")):
        with pytest.raises(docker.errors.APIError, match=needle):
            client.api.tag(image, repository, "1")


def test_image_that_others_are_made_from_stays_for_them_and_goes_with_the_last(host: PrivateAgent, image: str) -> None:
    del image
    host.docker("import", "-c", "CMD true", "-", "base:1", input=layer_tar({"base": b"base"}))
    base = host.out("images", "-q", "--no-trunc", "base:1")
    host.out("create", "--name", "maker", "base:1")
    child = host.out("commit", "maker", "child:1")
    host.out("rm", "maker")
    assert json.loads(host.out("image", "inspect", "child:1"))[0]["Parent"] == base
    assert [line.split()[0] for line in host.out("history", "-q", "--no-trunc", "child:1").splitlines()] == [
        child,
        base,
    ]
    refused = host.docker("rmi", "-f", base, check=False).stderr.decode()
    assert "(cannot be forced) - image has dependent child images" in refused
    assert host.out("rmi", "base:1") == "Untagged: base:1"
    ids = lambda *options: host.out("images", "-q", "--no-trunc", *options).split()  # noqa: E731
    assert base not in ids() and base in ids("--all")
    assert host.out("image", "prune", "-f") == "Total reclaimed space: 0B"
    host.restart()
    removed = host.out("rmi", "child:1").splitlines()
    assert removed[:3] == ["Untagged: child:1", f"Deleted: {child}", f"Deleted: {base}"]
    assert base not in ids("--all")
