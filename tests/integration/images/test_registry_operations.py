"""What is asked of registries beside a pull of one tag: all tags, searches, platforms, odd layers, files by URL."""

from __future__ import annotations

import json
from typing import Any

import docker.errors
import pytest

from tests.integration.images.conftest import PASSWORD, USER, FaultyRegistry, push_layout
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import OCI_INDEX, Content, layer_tar, zstd_frame
from tests.lab.registry import Registry

OTHER = "linux/s390x"


def facts(host: PrivateAgent, name: str) -> dict[str, Any]:
    """An inspect of the image."""
    found: dict[str, Any] = json.loads(host.out("inspect", "--type=image", name))[0]
    return found


def error_of(host: PrivateAgent, *words: str) -> str:
    """What the command complains about."""
    done = host.docker(*words, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr.decode()


def test_all_tags_of_a_repository_are_pulled_over_all_pages(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    tags = ["1.0", "1.1", "2.0", "latest", "old"]
    for tag in tags:
        faulty.content.add_image(tag, [{"tag": tag.encode()}])
    faulty.serve()
    name = f"{faulty.address}/many"
    printed = host.out("pull", "--all-tags", name)
    assert [f"{tag}: Pulling from many" in printed for tag in tags] == [True] * 5
    assert printed.count("Status: ") == 1 and f"Status: Downloaded newer image for {name}" in printed
    assert sorted(host.out("images", "--format", "{{.Tag}}", name).split()) == tags
    assert f"Status: Image is up to date for {name}" in host.out("pull", "-a", name)
    host.out("rmi", *(f"{name}:{tag}" for tag in tags))


def test_all_tags_of_no_repository_is_an_error(host: PrivateAgent, registry: Registry) -> None:
    assert f"repository {registry.address}/nowhere not found" in error_of(
        host, "pull", "-a", f"{registry.address}/nowhere"
    )


def test_push_of_all_tags_sends_each(host: PrivateAgent, registry: Registry, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("latest", [{"x": b"x"}])
    faulty.serve()
    host.out("pull", f"{faulty.address}/one")
    target = f"{registry.address}/both"
    for tag in ("1", "2"):
        host.out("tag", f"{faulty.address}/one", f"{target}:{tag}")
    host.out("push", "--all-tags", target)
    host.out("rmi", f"{faulty.address}/one", f"{target}:1", f"{target}:2")
    host.out("pull", "-a", target)
    host.out("rmi", f"{target}:1", f"{target}:2")


def test_private_registry_is_searched_by_its_catalogue(
    host: PrivateAgent, registry: Registry, private_registry: Registry
) -> None:
    content = Content()
    content.add_image("latest", [{"x": b"x"}])
    push_layout(host, content, "latest", f"{registry.address}/team/findme:1")
    push_layout(host, content, "latest", f"{registry.address}/other:1")
    push_layout(host, content, "latest", f"{private_registry.address}/hidden:1", f"--dest-creds={USER}:{PASSWORD}")
    assert host.out("search", "--format", "{{.Name}}", f"{registry.address}/FIND") == f"{registry.address}/team/findme"
    with pytest.raises(docker.errors.APIError, match="unauthorized"):  # where the command would ask for a password
        host.client().images.search(f"{private_registry.address}/hidden")
    host.out("login", "-u", USER, "-p", PASSWORD, private_registry.address)
    found = host.out("search", "--format", "{{.Name}}", f"{private_registry.address}/hidden")
    assert found == f"{private_registry.address}/hidden"
    host.out("logout", private_registry.address)


def test_registry_with_a_search_of_its_own_is_asked_by_that(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    results = [
        {"name": "a/one", "description": "first\nline", "star_count": 7, "is_official": True},
        {"name": "b/two", "description": "", "star_count": 2},
    ]
    faulty.serve(pages={"/v1/search": {"results": results}})
    client = host.client()
    assert client.images.search(f"{faulty.address}/o", limit=5) == [
        {"name": "a/one", "description": "first line", "star_count": 7, "is_official": True, "is_automated": False},
        {"name": "b/two", "description": "", "star_count": 2, "is_official": False, "is_automated": False},
    ]
    assert faulty.requests()[0]["path"] == "/v1/search?q=o&n=5"
    names = host.out("search", "--filter", "stars=3", "--format", "{{.Name}}", f"{faulty.address}/o")
    assert names == "a/one"
    assert (
        host.out("search", "--filter", "is-official=false", "--format", "{{.Name}}", f"{faulty.address}/o") == "b/two"
    )
    assert "invalid filter" in error_of(host, "search", "--filter", "moons=3", f"{faulty.address}/o")
    assert "range of [1, 100]" in error_of(host, "search", "--limit", "101", f"{faulty.address}/o")
    faulty.serve(html=["/v1/search"])
    assert "can neither be searched nor listed" in error_of(host, "search", f"{faulty.address}/o")


def test_import_by_url_downloads_through_redirects(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    blob = faulty.content.add_blob(layer_tar({"etc/motd": b"hello"}))["digest"]
    faulty.serve()
    other.serve(redirect={blob: f"http://{faulty.address}"})
    printed = host.out("import", f"http://{other.address}/v2/x/blobs/{blob}", "by-url:1")
    image = facts(host, "by-url:1")
    assert printed.splitlines()[-1] == image["Id"]
    assert image["Comment"] == f"Imported from http://{other.address}/v2/x/blobs/{blob}"
    assert "status 404" in error_of(host, "import", f"http://{faulty.address}/nothing", "x:1")
    assert "169.254.169.254" in error_of(host, "import", "http://169.254.169.254/latest", "x:1")
    answer = host.client().api.import_image_from_url("ftp://127.0.0.1/x", repository="x", tag="1")
    assert "only http and https" in answer
    host.out("rmi", "by-url:1")


def test_attestations_in_an_index_are_no_images(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    image = faulty.content.add_image(None, [{"real": b"yes"}])
    attestation = faulty.content.add_image(None, [{"in-toto": b"{}"}])
    own = facts_platform(host)
    entries = [
        {**attestation, "platform": own, "annotations": {"vnd.docker.reference.type": "attestation-manifest"}},
        {**attestation, "platform": {"os": "unknown", "architecture": "unknown"}},
        {**image, "platform": own},
    ]
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    faulty.content.add_manifest(index, OCI_INDEX, "latest")
    faulty.serve()
    name = f"{faulty.address}/attested"
    host.out("pull", name)
    assert f"/v2/attested/manifests/{image['digest']}" in [seen["path"] for seen in faulty.requests()]
    platforms = host.client().images.get_registry_data(name).attrs["Platforms"]
    assert platforms == [own]
    host.out("rmi", name)


def facts_platform(host: PrivateAgent) -> dict[str, str]:
    machine = host.run("uname", "-m").stdout.decode().strip()
    return {"architecture": {"x86_64": "amd64", "aarch64": "arm64"}[machine], "os": "linux"}


def test_index_in_an_index_and_one_without_platforms_are_followed(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    image = faulty.content.add_image(None, [{"deep": b"yes"}], architecture=facts_platform(host)["architecture"])
    inner_entries = [{**image, "platform": facts_platform(host)}]
    inner = faulty.content.add_manifest(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": inner_entries}, OCI_INDEX
    )
    faulty.content.add_manifest({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [inner]}, OCI_INDEX, "latest")
    faulty.serve()
    name = f"{faulty.address}/nested"
    host.out("pull", name)
    host.out("rmi", name)


@pytest.mark.parametrize(
    ("media_type", "pack"),
    [
        ("application/vnd.oci.image.layer.v1.tar+zstd", zstd_frame),
        ("application/vnd.oci.image.layer.v1.tar", bytes),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar", bytes),
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", None),
    ],
)
def test_layers_of_every_kind_are_pulled(
    host: PrivateAgent, faulty: FaultyRegistry, media_type: str, pack: Any
) -> None:
    packing = {} if pack is None else {"pack": pack}
    faulty.content.add_image("latest", [{"file": media_type.encode()}], layer_type=media_type, **packing)
    faulty.serve()
    name = f"{faulty.address}/kinds"
    host.out("pull", name)
    assert facts(host, name)["Size"] > 0
    host.out("rmi", name)


def test_layer_that_the_registry_may_not_have_comes_from_its_url_without_credentials(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    url = f"http://{other.address}/v2/files/blobs/"
    image = faulty.content.add_image("latest", [{"file": b"foreign"}], layer_type=foreign)
    manifest = json.loads(faulty.content.manifests[image["digest"]][1])
    layer = manifest["layers"][0]["digest"]
    manifest["layers"][0]["urls"] = ["file:///etc/shadow", "http://169.254.169.254/x", url + layer]
    faulty.content.add_manifest(manifest, image["mediaType"], "latest")
    other.content.blobs[layer] = faulty.content.blobs.pop(layer)
    faulty.serve(basic=f"{USER}:{PASSWORD}")
    other.serve()
    host.out("login", "-u", USER, "-p", PASSWORD, faulty.address)
    name = f"{faulty.address}/foreign"
    printed = host.out("pull", name)
    assert f"Served by {other.address}: 1 layer" in printed
    assert faulty.saw("authorization") and not other.saw("authorization")
    host.out("logout", faulty.address)
    host.out("rmi", name)


def test_artifact_that_is_no_image_is_refused_by_its_type(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example.sbom",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **faulty.content.add_blob(b"{}")},
        "layers": [],
    }
    faulty.content.add_manifest(manifest, manifest["mediaType"], "latest")
    faulty.serve()
    assert "which is not a container image" in error_of(host, "pull", f"{faulty.address}/artifact")


def test_only_the_platform_that_is_kept_is_saved_shown_and_pushed(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_image("latest", [{"x": b"x"}], architecture="s390x")
    faulty.serve()
    name = f"{faulty.address}/platform"
    host.out("pull", "--platform", OTHER, name)
    client = host.client().api
    for path in ("history", "json", "get"):
        for platform, status in ((OTHER, 200), ('{"os":"linux","architecture":"arm64"}', 404)):
            answer = client._get(client._url("/images/{0}/" + path, name), params={"platform": platform})
            assert answer.status_code == status, (path, platform, answer.text)
    assert "does not provide the specified platform (linux/arm64)" in answer.text
    host.out("rmi", name)
