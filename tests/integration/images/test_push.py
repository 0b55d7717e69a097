"""Pushing: what is there is not sent again, and what breaks goes on."""

from __future__ import annotations

import io
import json
import random
import tarfile

import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import digest_of
from tests.lab.registry import Registry

MIB = 1024 * 1024


def imported(host: PrivateAgent, name: str, size: int) -> None:
    """An image of one layer that cannot be compressed."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        archive.addfile(entry, io.BytesIO(random.Random(name).randbytes(size)))
    host.docker("import", "-", name, input=made.getvalue())


@pytest.mark.parametrize("fault", ["none", "upload_cut", "body_max"])
def test_upload_arrives_whole_however_the_registry_takes_it(
    host: PrivateAgent, faulty: FaultyRegistry, fault: str
) -> None:
    name = f"{faulty.address}/uploaded-{fault.replace('_', '-')}:1"
    imported(host, name, 20 * MIB)
    faulty.serve(**{} if fault == "none" else {fault: 9 * MIB})
    printed = host.out("push", name)
    assert "Pushed" in printed
    (layer,) = json.loads(host.out("inspect", "--type=image", name))[0]["RootFS"]["Layers"]
    assert digest_of((faulty.folder / "blobs" / layer).read_bytes()) == layer
    ranges = [seen["headers"]["Content-Range"] for seen in faulty.requests() if seen["method"] == "PATCH"]
    starts = [int(text.partition("-")[0]) for text in ranges][: -1 if fault == "none" else None]
    if fault == "upload_cut":  # the second request takes up what the first one has brought
        assert starts[:2] == [0, 9 * MIB]
    elif fault == "body_max":
        assert starts[:4] == [0, 0, 8 * MIB, 16 * MIB]
    host.out("rmi", name)


def test_layers_of_a_pulled_image_are_pushed_as_they_came(
    host: PrivateAgent, registry: Registry, faulty: FaultyRegistry
) -> None:
    image = faulty.content.add_image("latest", [{"one": b"1" * 5000}, {"two": b"2" * 5000}])
    faulty.serve()
    source, target = f"{faulty.address}/as-it-came", f"{registry.address}/as-it-came"
    host.out("pull", source)
    host.out("tag", source, target)
    assert f"digest: {image['digest']}" in host.out("push", target)
    host.out("rmi", source, target)
    host.out("pull", f"{target}@{image['digest']}")
    host.out("rmi", f"{target}@{image['digest']}")
