"""Pulling from a real registry with Docker's own clients."""

from __future__ import annotations

import json
import subprocess

import docker
import docker.errors
import pytest

from tests.integration.images.conftest import PASSWORD, USER, FaultyRegistry, push_layout
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import OCI_INDEX, Content
from tests.lab.registry import Registry


def make_image(text: str, *, layers: int = 2) -> Content:
    """An image whose last layer has ``text`` in /text."""
    content = Content()
    below = [{f"layer{number}": b"x" * 1000} for number in range(layers - 1)]
    content.add_image("latest", [*below, {"text": text.encode()}], config={"Cmd": ["/text"], "Labels": {"a": "b"}})
    return content


@pytest.fixture(scope="module")
def pushed(host: PrivateAgent, registry: Registry) -> str:
    """The name of an image in the registry."""
    name = f"{registry.address}/team/app:1.0"
    push_layout(host, make_image("one"), "latest", name)
    return name


def test_pull_by_tag_prints_dockers_lines_and_tags_the_image(host: PrivateAgent, pushed: str) -> None:
    printed = host.out("pull", pushed)
    digest = json.loads(host.out("inspect", "--type=image", pushed))[0]["RepoDigests"][0].partition("@")[2]
    assert "1.0: Pulling from team/app" in printed
    assert f"Digest: {digest}" in printed
    assert f"Status: Downloaded newer image for {pushed}" in printed
    assert pushed in host.out("images", "--format", "{{.Repository}}:{{.Tag}}")
    assert f"Status: Image is up to date for {pushed}" in host.out("pull", pushed)


def test_pull_by_digest_brings_the_same_image(host: PrivateAgent, pushed: str) -> None:
    host.out("pull", pushed)
    facts = json.loads(host.out("inspect", "--type=image", pushed))[0]
    by_digest = facts["RepoDigests"][0]
    host.out("rmi", pushed)
    host.out("pull", by_digest)
    again = json.loads(host.out("inspect", "--type=image", by_digest))[0]
    assert again["Id"] == facts["Id"]
    assert again["RepoTags"] == []
    host.out("rmi", by_digest)


def test_layers_are_unpacked_once_and_shared(host: PrivateAgent, registry: Registry) -> None:
    for text in ("shared one", "shared two"):
        content = Content()
        content.add_image("latest", [{"base": b"the same"}, {"text": text.encode()}])
        push_layout(host, content, "latest", f"{registry.address}/{text.replace(' ', '-')}")
    before = len(list((host.data_root / "layers").iterdir()))
    host.out("pull", f"{registry.address}/shared-one")
    assert "Already exists" in host.out("pull", f"{registry.address}/shared-two")
    assert len(list((host.data_root / "layers").iterdir())) == before + 3
    host.out("rmi", f"{registry.address}/shared-one")
    assert len(list((host.data_root / "layers").iterdir())) == before + 2
    host.out("rmi", f"{registry.address}/shared-two")
    assert len(list((host.data_root / "layers").iterdir())) == before


def test_unknown_tag_is_dockers_sentence(host: PrivateAgent, registry: Registry, pushed: str) -> None:
    name = f"{registry.address}/team/app:none"
    done = host.docker("pull", name, check=False)
    assert done.returncode == 1
    expected = f"manifest for {name} not found: manifest unknown: manifest unknown"
    assert done.stderr.decode().strip() == f"Error response from daemon: {expected}"


def test_refused_connection_names_the_endpoint(host: PrivateAgent) -> None:
    done = host.docker("pull", "127.0.0.1:5999/x:y", check=False)
    assert "dial tcp 127.0.0.1:5999: connect: connection refused" in done.stderr.decode()


def test_private_registry_needs_a_login(host: PrivateAgent, private_registry: Registry) -> None:
    name = f"{private_registry.address}/secret:1"
    push_layout(host, make_image("secret"), "latest", name, f"--dest-creds={USER}:{PASSWORD}")
    denied = host.docker("pull", name, check=False).stderr.decode()
    assert f"pull access denied for {private_registry.address}/secret" in denied
    wrong = host.docker("login", "-u", USER, "-p", "wrong", private_registry.address, check=False)
    assert wrong.returncode == 1
    assert "401" in wrong.stderr.decode() or "unauthorized" in wrong.stderr.decode()
    assert "Login Succeeded" in host.out("login", "-u", USER, "-p", PASSWORD, private_registry.address)
    host.out("pull", name)
    host.out("logout", private_registry.address)
    host.out("rmi", name)


def test_docker_py_pulls_inspects_and_reads_the_registry(host: PrivateAgent, registry: Registry, pushed: str) -> None:
    client = host.client()
    image = client.images.pull(pushed.rpartition(":")[0], tag="1.0")
    assert image.tags == [pushed]
    assert image.labels == {"a": "b"}
    assert client.images.get(image.id).attrs["RootFS"]["Layers"] == image.attrs["RootFS"]["Layers"]
    data = client.images.get_registry_data(pushed)
    assert f"{pushed.rpartition(':')[0]}@{data.id}" in image.attrs["RepoDigests"]
    assert data.has_platform("linux/amd64")
    with pytest.raises(docker.errors.NotFound):
        client.images.pull(f"{registry.address}/team/app", tag="none")


def test_two_pulls_of_one_image_download_it_once(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("latest", [{"big": bytes(range(256)) * 4096}, {"small": b"x"}])
    faulty.serve()
    name = f"{faulty.address}/parallel"
    pulls = [
        subprocess.Popen(host.enter(["docker", "pull", name]), env=host.environment(), stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    assert [pull.wait(60) for pull in pulls] == [0, 0, 0]
    asked = [seen["path"] for seen in faulty.requests() if "/blobs/" in seen["path"]]
    assert len(asked) == len(set(asked)) == 3
    host.out("rmi", name)


def test_index_is_resolved_to_this_machines_platform(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    entries = []
    for architecture in ("arm64", "amd64", "s390x"):
        entry = faulty.content.add_image(None, [{"arch": architecture.encode()}], architecture=architecture)
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    index = faulty.content.add_manifest(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}, OCI_INDEX, "latest"
    )
    faulty.serve()
    name = f"{faulty.address}/multi"
    host.out("pull", name)
    faulty.forget()
    assert "Image is up to date" in host.out("pull", name)
    assert [seen["path"] for seen in faulty.requests()] == ["/v2/multi/manifests/latest"]
    facts = json.loads(host.out("inspect", "--type=image", name))[0]
    own = {"x86_64": "amd64", "aarch64": "arm64"}[host.run("uname", "-m").stdout.decode().strip()]
    assert facts["Architecture"] == own
    assert facts["RepoDigests"] == [f"{name}@{index['digest']}"]
    host.out("pull", "--platform", "linux/s390x", name)
    assert json.loads(host.out("inspect", "--type=image", name))[0]["Architecture"] == "s390x"
    missing = host.docker("pull", "--platform", "linux/riscv64", name, check=False).stderr.decode()
    assert "no matching manifest for linux/riscv64 in the manifest list entries" in missing
    host.docker("image", "prune", "-af")


def test_interrupted_download_resumes_by_range(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    image = faulty.content.add_image("latest", [{"random": bytes((7 * n) % 251 for n in range(300_000))}])
    manifest = json.loads(faulty.content.manifests[image["digest"]][1])
    layer = manifest["layers"][0]["digest"]
    faulty.serve(cut={layer: 500})
    host.out("pull", f"{faulty.address}/resumed")
    ranges = faulty.saw("range")
    assert ranges == ["bytes=500-"]
    host.out("rmi", f"{faulty.address}/resumed")


def test_busy_registry_is_asked_again_after_the_time_it_names(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("latest", [{"x": b"x"}])
    faulty.serve(status={"latest": [429, 2]}, retry_after=1)
    host.out("pull", f"{faulty.address}/busy")
    host.out("rmi", f"{faulty.address}/busy")
