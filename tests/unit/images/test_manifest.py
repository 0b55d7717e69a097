"""Manifests are read strictly: whatever is malformed or ambiguous is an error, and never a crash."""

from __future__ import annotations

import hashlib
import json
import random
from typing import Any

import pytest

from wherry.errors import InvalidParameter, Unsupported, WherryError
from wherry.images.config_document import chain_ids, parse_config_document
from wherry.images.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Index,
    Manifest,
    parse_document,
)

DIGEST = "sha256:" + "a" * 64
CONFIG = {"mediaType": OCI_CONFIG, "digest": DIGEST, "size": 10}
LAYER = {"mediaType": OCI_LAYER, "digest": DIGEST, "size": 20}
WHOLE: dict[str, Any] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
ENTRY = {"mediaType": OCI_MANIFEST, "digest": DIGEST, "size": 5, "platform": {"os": "linux", "architecture": "amd64"}}
DOCUMENT = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["A=1"], "Cmd": ["/bin/sh"], "Labels": {"a": "b"}, "ExposedPorts": {"80/tcp": {}}},
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created_by": "x"}, {"empty_layer": True}],
}


def encoded(**changes: Any) -> bytes:
    """The good manifest with changes."""
    return json.dumps({**WHOLE, **changes}).encode()


def test_manifests_of_both_families_are_read() -> None:
    oci = parse_document(encoded(), OCI_MANIFEST)
    assert isinstance(oci, Manifest) and oci.layers[0].size == 20
    unnamed = {key: value for key, value in WHOLE.items() if key != "mediaType"}
    assert isinstance(parse_document(json.dumps(unnamed).encode(), "text/plain; charset=utf-8"), Manifest)
    config = {**CONFIG, "mediaType": "application/vnd.docker.container.image.v1+json"}
    layer = {**LAYER, "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip"}
    data = encoded(mediaType=DOCKER_MANIFEST, config=config, layers=[layer])
    assert parse_document(data, DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    listed = json.dumps({"schemaVersion": 2, "manifests": [ENTRY]}).encode()
    assert isinstance(parse_document(listed, OCI_INDEX), Index)
    assert parse_document(listed, DOCKER_LIST).media_type == DOCKER_LIST


@pytest.mark.parametrize(
    ("data", "content_type"),
    [
        (encoded(manifests=[ENTRY]), OCI_MANIFEST),
        (encoded(Manifests=[ENTRY]), OCI_MANIFEST),
        (encoded(fsLayers=[]), OCI_MANIFEST),
        (encoded(), OCI_INDEX),
        (encoded(), DOCKER_MANIFEST),
        (encoded(mediaType=OCI_INDEX), ""),
        (encoded()[:-1] + b',"layers":[]}', OCI_MANIFEST),
        (b'{"schemaVersion":2,"schemaVersion":1}', ""),
    ],
)
def test_ambiguous_documents_are_refused(data: bytes, content_type: str) -> None:
    with pytest.raises(InvalidParameter, match=r"ambiguous|given twice"):
        parse_document(data, content_type)


def test_schema_1_and_other_artifacts_are_refused_by_name() -> None:
    with pytest.raises(Unsupported, match="schema 1"):
        parse_document(b'{"schemaVersion":1}', "")
    with pytest.raises(Unsupported, match="not a container image"):
        parse_document(encoded(config={**CONFIG, "mediaType": "application/vnd.cncf.helm.config.v1+json"}), "")
    with pytest.raises(Unsupported, match=r"layers\[0\]"):
        parse_document(encoded(layers=[{**LAYER, "mediaType": "text/plain"}]), "")


@pytest.mark.parametrize("size", [-1, 1.5, "5", None, True, 1 << 60])
def test_sizes_must_be_sizes(size: Any) -> None:
    with pytest.raises(InvalidParameter, match="size"):
        parse_document(encoded(layers=[{**LAYER, "size": size}]), "")


def test_documents_beyond_the_limits_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="at most"):
        parse_document(encoded(layers=[LAYER] * 501), "")
    with pytest.raises(InvalidParameter, match="at most"):
        parse_document(b" " * (5 << 20), "")
    with pytest.raises(InvalidParameter, match="config is"):
        parse_document(encoded(config={**CONFIG, "size": 1 << 30}), "")


def test_mutated_documents_never_crash_the_reader() -> None:
    chance = random.Random(2020)
    good = [encoded(), json.dumps({"schemaVersion": 2, "manifests": [ENTRY]}).encode(), json.dumps(DOCUMENT).encode()]
    values = [b"null", b"[]", b"{}", b"-1", b"1e999", b'"\\u0000"', b"true", b"[" * 2000, b'"x":1,']
    for number in range(3000):
        data = bytearray(chance.choice(good))
        for _ in range(chance.randint(1, 4)):
            position = chance.randrange(len(data))
            kind = chance.randrange(3)
            if kind == 0:
                data[position] = chance.randrange(256)
            elif kind == 1:
                data[position : position + chance.randint(1, 20)] = chance.choice(values)
            else:
                del data[position : position + chance.randint(1, 40)]
        for reader in (parse_document, parse_config_document):
            try:
                reader(bytes(data))
            except WherryError as error:
                assert str(error), number


@pytest.mark.parametrize(
    ("path", "value"),
    [("os", 5), ("rootfs", None), ("rootfs", {"type": "other"}), ("rootfs", {"type": "layers", "diff_ids": ["x"]}),
     ("config", []), ("history", {}), ("config", {"Env": [1]}), ("config", {"Env": ["A=\0"]}), ("config", {"User": {}}),
     ("config", {"Labels": {"a": 1}}), ("config", {"Volumes": ["/x"]}), ("config", {"Healthcheck": "x"})],
)  # fmt: skip
def test_malformed_configurations_are_refused(path: str, value: Any) -> None:
    with pytest.raises(InvalidParameter, match="image configuration"):
        parse_config_document(json.dumps({**DOCUMENT, path: value}).encode())


def test_chain_ids_follow_the_specification() -> None:
    first, second = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    found = chain_ids([first, second])
    assert found[0] == first
    assert found[1] == f"sha256:{hashlib.sha256(f'{first} {second}'.encode()).hexdigest()}"
