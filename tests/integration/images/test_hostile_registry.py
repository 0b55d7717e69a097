"""What a hostile or broken registry must not achieve (rows 25 to 28 and 33 of the threat table)."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import OCI_CONFIG, OCI_INDEX, OCI_LAYER, OCI_MANIFEST

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
CREDENTIALS = "alice:correct horse"


def pull_fails(host: PrivateAgent, name: str, *needles: str) -> str:
    """Pulls, expects a failure with these words in it, and that nothing of the image is there afterwards."""
    layers = set((host.data_root / "layers").iterdir())
    done = host.docker("pull", name, check=False)
    said = done.stderr.decode()
    assert done.returncode == 1, done.stdout
    assert all(needle in said for needle in needles), said
    assert len(said.strip().splitlines()) == 1
    assert host.docker("image", "inspect", name, check=False).returncode != 0
    assert set((host.data_root / "layers").iterdir()) == layers
    return said


def simple_image(faulty: FaultyRegistry, **options: Any) -> dict[str, Any]:
    """Adds an image tagged latest; returns its manifest with its own digest beside it."""
    found = faulty.content.add_image("latest", [{"file": os.urandom(20_000)}], **options)
    manifest: dict[str, Any] = json.loads(faulty.content.manifests[found["digest"]][1])
    return manifest | {"digest": found["digest"]}


@pytest.mark.parametrize("part", ["config", "layer"])
def test_changed_byte_in_a_blob_fails_the_pull(host: PrivateAgent, faulty: FaultyRegistry, part: str) -> None:
    manifest = simple_image(faulty)
    digest = manifest["config" if part == "config" else "layers"]
    digest = digest["digest"] if part == "config" else digest[0]["digest"]
    faulty.serve(flip=[digest])
    pull_fails(host, f"{faulty.address}/flipped", "verification failed", digest)
    faulty.serve()
    host.out("pull", f"{faulty.address}/flipped")
    host.out("rmi", f"{faulty.address}/flipped")


def test_changed_byte_in_a_manifest_by_digest_fails_the_pull(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    manifest = simple_image(faulty)
    faulty.serve(flip=[manifest["digest"]])
    pull_fails(host, f"{faulty.address}/flipped@{manifest['digest']}", "manifest verification failed")


def test_wrong_diff_id_fails_the_pull(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    simple_image(faulty, diff_ids=["sha256:" + "0" * 64])
    faulty.serve()
    pull_fails(host, f"{faulty.address}/diffid", "layer verification failed")


def test_blob_without_end_is_cut_at_its_declared_size(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    layer = simple_image(faulty)["layers"][0]
    faulty.serve(append={layer["digest"]: 1 << 34})
    started = time.monotonic()
    pull_fails(host, f"{faulty.address}/endless", f"longer than the {layer['size']} bytes")
    assert time.monotonic() - started < 10


def test_manifest_without_end_is_cut(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    simple_image(faulty)
    faulty.serve(append={"latest": 1 << 34})
    pull_fails(host, f"{faulty.address}/endless", "longer than 4194304 bytes")


def test_length_that_differs_from_the_descriptor_is_refused(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    layer = simple_image(faulty)["layers"][0]
    faulty.serve(claim={layer["digest"]: layer["size"] + 1})
    pull_fails(host, f"{faulty.address}/claim", f"{layer['size'] + 1} bytes long; its manifest says {layer['size']}")


def test_page_for_people_is_no_manifest_and_no_layer(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    layer = simple_image(faulty)["layers"][0]["digest"]
    faulty.serve(html=["/v2/portal/manifests/latest"])
    pull_fails(host, f"{faulty.address}/portal", "not valid JSON")
    faulty.serve(html=[f"/v2/portal/blobs/{layer}"])
    pull_fails(host, f"{faulty.address}/portal", layer)


def test_connection_that_is_reset_each_time_ends_in_an_error_and_is_taken_up_later(
    host: PrivateAgent, faulty: FaultyRegistry
) -> None:
    layer = simple_image(faulty)["layers"][0]
    faulty.serve(reset={layer["digest"]: 1000})
    pull_fails(host, f"{faulty.address}/reset", "reset")
    offsets = [int(value.removeprefix("bytes=").removesuffix("-")) for value in faulty.saw("range")]
    assert offsets == sorted(offsets), "an attempt began before where the last one had come"
    faulty.serve()
    host.out("pull", f"{faulty.address}/reset")
    host.out("rmi", f"{faulty.address}/reset")


def test_redirects_in_a_circle_end(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    layer = simple_image(faulty)["layers"][0]["digest"]
    faulty.serve(redirect={layer: f"http://{faulty.address}"})
    pull_fails(host, f"{faulty.address}/circle", "more than 5 redirects")


def test_agent_answers_while_a_registry_stalls(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    layer = simple_image(faulty)["layers"][0]
    faulty.serve(stall={layer["digest"]: 100})
    pull = subprocess.Popen(
        host.enter(["docker", "pull", f"{faulty.address}/stalled"]), env=host.environment(), stdout=subprocess.DEVNULL
    )
    time.sleep(1)
    started = time.monotonic()
    host.out("version")
    assert time.monotonic() - started < 1
    pull.kill()
    pull.wait()


def test_document_that_is_manifest_and_index_is_refused(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    manifest = simple_image(faulty)
    del manifest["digest"]
    faulty.content.add_manifest({**manifest, "manifests": []}, OCI_MANIFEST, "latest")
    faulty.serve()
    pull_fails(host, f"{faulty.address}/both", "ambiguous")


def test_content_type_that_differs_from_media_type_is_refused(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    simple_image(faulty)
    faulty.serve(types={"latest": OCI_INDEX})
    pull_fails(host, f"{faulty.address}/type", "ambiguous")


def test_duplicate_keys_are_refused(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    manifest = simple_image(faulty)
    del manifest["digest"]
    text = json.dumps(manifest)[:-1] + ',"layers":[]}'
    faulty.content.add_manifest(text.encode(), OCI_MANIFEST, "latest")
    faulty.serve()
    pull_fails(host, f"{faulty.address}/twice", "a key is given twice")


def test_schema_1_is_refused_with_advice(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    faulty.content.add_manifest({"schemaVersion": 1, "fsLayers": []}, SCHEMA1, "latest")
    faulty.serve()
    pull_fails(host, f"{faulty.address}/old", "schema 1", "push the image again")


def test_deeply_nested_index_is_refused(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    simple_image(faulty)
    inner = {"mediaType": OCI_MANIFEST, "digest": faulty.content.tags["latest"]}
    inner["size"] = len(faulty.content.manifests[inner["digest"]][1])
    for depth in range(4):
        body = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            {**inner, "platform": {"os": "linux", "architecture": architecture}} for architecture in ("amd64", "arm64")
        ]}  # fmt: skip
        inner = faulty.content.add_manifest(body, OCI_INDEX, "latest" if depth == 3 else None)
    faulty.serve()
    pull_fails(host, f"{faulty.address}/nested", "nested too deeply")


def test_redirect_to_another_host_carries_no_credentials(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    layer = simple_image(faulty)["layers"][0]["digest"]
    other.content.blobs.update(faulty.content.blobs)
    other.serve()
    faulty.serve(basic=CREDENTIALS, redirect={layer: f"http://{other.address}"})
    user, _, password = CREDENTIALS.partition(":")
    host.out("login", "-u", user, "-p", password, faulty.address)
    host.out("pull", f"{faulty.address}/moved")
    assert any("/blobs/" in seen["path"] for seen in other.requests())
    assert other.saw("authorization") == []
    host.out("rmi", f"{faulty.address}/moved")
    host.out("logout", faulty.address)


def test_token_service_elsewhere_gets_no_credentials(
    host: PrivateAgent, faulty: FaultyRegistry, other: FaultyRegistry
) -> None:
    simple_image(faulty)
    other.serve(bearer={"realm": "", "token": "secret-token"})
    faulty.serve(bearer={"realm": f"http://{other.address}/token", "token": "secret-token"})
    header = "eyJ1c2VybmFtZSI6ImFsaWNlIiwicGFzc3dvcmQiOiJjb3JyZWN0IGhvcnNlIn0="
    done = host.run(
        "curl", "-s", "--unix-socket", str(host.socket), "-X", "POST", "-H", f"X-Registry-Auth: {header}",
        f"http://localhost/images/create?fromImage={faulty.address}/realm&tag=latest",
    )  # fmt: skip
    assert "refused to send credentials" in done.stdout.decode()
    assert other.saw("authorization") == []
    # Without credentials there is nothing to protect: an anonymous token may come from anywhere.
    host.out("pull", f"{faulty.address}/realm")
    host.out("rmi", f"{faulty.address}/realm")


@pytest.mark.parametrize("target", ["http://169.254.169.254", "file:///etc/passwd?", "unix:///run/x"])
def test_redirect_into_the_machine_is_refused(host: PrivateAgent, faulty: FaultyRegistry, target: str) -> None:
    layer = simple_image(faulty)["layers"][0]["digest"]
    faulty.serve(redirect={layer: target})
    pull_fails(host, f"{faulty.address}/inside", "refused")


def broken_documents() -> list[bytes]:
    """A few hundred manifests, each broken in another way."""
    config = {"mediaType": OCI_CONFIG, "digest": "sha256:" + "a" * 64, "size": 2}
    layer = {"mediaType": OCI_LAYER, "digest": "sha256:" + "b" * 64, "size": 3}
    whole: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    odd: list[Any] = [None, True, -1, 1e400, "", "x", [], {}, [[]], [None], {"digest": 1}, "sha256:zz", 2**70, "\0"]
    found = [json.dumps(whole).encode()[:cut] for cut in range(0, 300, 5)]
    for key in whole:
        found += [json.dumps({**whole, key: value}).encode() for value in odd]
        found.append(json.dumps({name: value for name, value in whole.items() if name != key}).encode())
    for part in ("config", "layers"):
        for key in config:
            for value in odd:
                inner = {**config, key: value}
                found.append(json.dumps({**whole, part: inner if part == "config" else [inner]}).encode())
    found += [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b"[]", b'"x"', b"1" * 5000, b"{}" * 2]
    found += [json.dumps({"schemaVersion": 2, "manifests": value}).encode() for value in odd]
    return found


def test_broken_manifests_are_errors_and_the_agent_lives(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    documents = broken_documents()
    for number, document in enumerate(documents):
        faulty.content.add_manifest(document, OCI_MANIFEST, f"t{number}")
    faulty.serve()
    pid = host.pid
    client = host.client()
    for number in range(len(documents)):
        started = time.monotonic()
        answer = client.api._post(
            client.api._url("/images/create"), params={"fromImage": f"{faulty.address}/broken", "tag": f"t{number}"}
        )
        failed = answer.status_code >= 400 or '"error"' in answer.text
        assert failed, (documents[number][:200], answer.text)
        assert time.monotonic() - started < 5
    assert Path(f"/proc/{pid}").exists()
    assert host.out("images", "-q", f"{faulty.address}/broken") == ""
    assert "Traceback" not in host.log_text()
