"""Layers are unpacked while they arrive, and are there only when every byte has been verified."""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, Content, digest_of, layer_tar

MIB = 1024 * 1024
NOISE = random.Random(5).randbytes(4 * MIB)


def wait_for(what: str, condition: Callable[[], object]) -> None:
    """Waits until it is so; a machine that is busy may take its time."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about"
        time.sleep(0.05)


def layer_of(content: Content, image: dict[str, object]) -> str:
    """The digest of an image's only layer."""
    return str(json.loads(content.manifests[str(image["digest"])][1])["layers"][0]["digest"])


def offer(content: Content, tag: str, blob: bytes, plain: bytes) -> None:
    """An image of one layer whose blob is given as it is."""
    config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(plain)]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, **content.add_blob(json.dumps(config).encode())},
        "layers": [{"mediaType": OCI_LAYER, **content.add_blob(blob)}],
    }
    content.add_manifest(manifest, OCI_MANIFEST, tag)


def folders(host: PrivateAgent) -> set[str]:
    """What lies in the folder of layers."""
    return {entry.name for entry in (host.data_root / "layers").iterdir()}


def unfinished(host: PrivateAgent) -> list[Path]:
    """Layers that are not whole, and blobs that are not."""
    return [*(host.data_root / "layers").glob(".tmp-*"), *(host.data_root / "images/ingest").iterdir()]


def begin_pull(host: PrivateAgent, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        host.enter(["docker", "pull", name]), env=host.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_files_appear_while_the_layer_arrives_but_no_layer_before_its_end(
    host: PrivateAgent, faulty: FaultyRegistry
) -> None:
    image = faulty.content.add_image("latest", [{"first": b"here", "noise": NOISE}])
    faulty.serve(stall={layer_of(faulty.content, image): 3 * MIB})
    before = folders(host)
    name = f"{faulty.address}/arriving"
    pull = begin_pull(host, name)
    try:
        wait_for("the first file", lambda: list((host.data_root / "layers").glob(".tmp-*/diff/first")))
        assert all(entry.startswith(".tmp-") for entry in folders(host) - before)
        assert host.docker("inspect", "--type=image", name, check=False).returncode == 1
    finally:
        pull.kill()
        pull.wait()
    wait_for("the end of the abandoned pull", lambda: folders(host) == before)
    faulty.serve()
    host.out("pull", name)
    host.out("rmi", name)


def test_pull_of_a_killed_agent_goes_on_where_it_stopped(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    image = faulty.content.add_image("latest", [{"noise": NOISE}])
    layer = layer_of(faulty.content, image)
    faulty.serve(stall={layer: 3 * MIB})
    name = f"{faulty.address}/killed"
    pull = begin_pull(host, name)
    part = host.data_root / "images/ingest" / f"{layer.removeprefix('sha256:')}.part"
    wait_for("three MiB", lambda: part.exists() and part.stat().st_size >= 2 * MIB)
    host.kill()
    pull.wait()
    host.start()
    faulty.serve()
    host.out("pull", name)
    (begun,) = faulty.saw("range")
    assert int(begun.removeprefix("bytes=").removesuffix("-")) >= 2 * MIB
    directory = json.loads(host.out("inspect", "--type=image", name))[0]["GraphDriver"]["Data"]["UpperDir"]
    assert Path(directory, "noise").read_bytes() == NOISE
    assert not unfinished(host)
    host.out("rmi", name)


def test_garbled_layer_leaves_nothing_and_a_sound_one_is_pulled_afterwards(
    host: PrivateAgent, faulty: FaultyRegistry
) -> None:
    image = faulty.content.add_image("latest", [{"garbled": NOISE}])
    faulty.serve(flip=[layer_of(faulty.content, image)])
    before, name = folders(host), f"{faulty.address}/garbled"
    failed = host.docker("pull", name, check=False)
    assert "filesystem layer verification failed for digest" in failed.stderr.decode()
    wait_for("tidiness", lambda: not unfinished(host) and folders(host) == before)
    faulty.serve()
    host.out("pull", name)
    host.out("rmi", name)


def test_verified_layer_that_is_no_archive_is_an_error_that_says_so(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    plain = layer_tar({"broken": NOISE})
    packed = gzip.compress(plain, mtime=0)
    offer(faulty.content, "latest", packed[: len(packed) // 2], plain)
    faulty.serve()
    before = folders(host)
    failed = host.docker("pull", f"{faulty.address}/broken", check=False)
    assert "the compressed stream ends in the middle" in failed.stderr.decode()
    wait_for("tidiness", lambda: not unfinished(host) and folders(host) == before)


def test_same_blob_twice_in_an_image_is_fetched_once(host: PrivateAgent, faulty: FaultyRegistry) -> None:
    image = faulty.content.add_image("latest", [{"same": NOISE}, {"same": NOISE}])
    faulty.serve()
    name = f"{faulty.address}/twice"
    host.out("pull", name)
    layer = layer_of(faulty.content, image)
    assert sum(seen["path"].endswith(layer) for seen in faulty.requests()) == 1
    assert len(json.loads(host.out("inspect", "--type=image", name))[0]["RootFS"]["Layers"]) == 2
    host.out("rmi", name)


def test_configured_limits_hold_for_size_and_number_and_can_be_reloaded(own_agent: PrivateAgent) -> None:
    registry = FaultyRegistry(own_agent, "127.0.0.1", 5002)
    try:
        registry.content.add_image("size", [{"noise": NOISE}])
        registry.content.add_image("number", [{f"file{number}": b"" for number in range(60)}])
        registry.serve()
        _reload(own_agent, {"max-layer-size": "2m", "max-layer-entries": 50})
        too_large = own_agent.docker("pull", f"{registry.address}/x:size", check=False).stderr.decode()
        assert "larger than the 2097152 bytes that are allowed" in too_large
        too_many = own_agent.docker("pull", f"{registry.address}/x:number", check=False).stderr.decode()
        assert "more than the 50 members that are allowed" in too_many
        wait_for("tidiness", lambda: not unfinished(own_agent) and not folders(own_agent))
        _reload(own_agent, {})
        own_agent.out("pull", f"{registry.address}/x:size")
        own_agent.out("pull", f"{registry.address}/x:number")
    finally:
        registry.close()


def test_layer_that_a_power_cut_caught_is_made_again_or_pulled_again(own_agent: PrivateAgent) -> None:
    registry = FaultyRegistry(own_agent, "127.0.0.1", 5002)
    try:
        image = registry.content.add_image("latest", [{"noise": NOISE}])
        registry.serve()
        name = f"{registry.address}/cut-off"
        own_agent.out("pull", name)
        directory = Path(
            json.loads(own_agent.out("inspect", "--type=image", name))[0]["GraphDriver"]["Data"]["UpperDir"]
        )
        blob = own_agent.data_root / "images/blobs/sha256" / layer_of(registry.content, image).removeprefix("sha256:")
        for damaged in (False, True):
            own_agent.stop()
            with contextlib.closing(sqlite3.connect(own_agent.data_root / "state.db")) as record:
                record.execute("UPDATE image_layer SET settled = 0, boot_id = 'the one before'")
                record.commit()
            (directory / "noise").write_bytes(b"")
            if damaged:
                blob.write_bytes(bytes(blob.stat().st_size))
            own_agent.start()
            if damaged:
                assert "was damaged and is removed" in own_agent.log_text() and not blob.exists()
                own_agent.out("pull", name)
            assert (directory / "noise").read_bytes() == NOISE
    finally:
        registry.close()


def _reload(host: PrivateAgent, settings: dict[str, object]) -> None:
    (host.place / "wherryd.yml").write_text(json.dumps(settings))
    seen = host.log_text().count("configuration")
    host.run("kill", "-HUP", str(host.pid))
    wait_for("the reload", lambda: host.log_text().count("configuration") > seen)
