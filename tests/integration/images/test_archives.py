"""Import, load and save, with Docker's command line and with the tools of others."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest

from tests.integration.images.conftest import FaultyRegistry
from tests.integration.support.private_agent import PrivateAgent
from tests.lab.image_content import Content, digest_of, layer_tar, zstd_frame

INSECURE_POLICY = '{"default":[{"type":"insecureAcceptAnything"}]}'


def facts(host: PrivateAgent, name: str) -> dict[str, Any]:
    """What inspect says of an image."""
    found: dict[str, Any] = json.loads(host.out("image", "inspect", name))[0]
    return found


def write_layout(content: Content, tag: str, path: Path, name: str) -> None:
    """Writes an OCI archive."""
    entries = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}
    for digest, data in {**content.blobs, **{key: data for key, (_, data) in content.manifests.items()}}.items():
        entries[f"blobs/sha256/{digest.removeprefix('sha256:')}"] = data
    media_type, data = content.manifests[content.tags[tag]]
    described = {"mediaType": media_type, "digest": content.tags[tag], "size": len(data)}
    described["annotations"] = {"org.opencontainers.image.ref.name": name}
    entries["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [described]}).encode()
    path.write_bytes(layer_tar(entries))


@pytest.mark.parametrize(
    "pack", [bytes, gzip.compress, bz2.compress, lzma.compress], ids=["plain", "gzip", "bzip2", "xz"]
)
def test_import_takes_every_compression(host: PrivateAgent, pack: Any) -> None:
    archive = layer_tar({"hello": b"world"})
    image_id = host.docker("import", "-", "imported:1", input=pack(archive)).stdout.decode().strip()
    found = facts(host, "imported:1")
    assert found["Id"] == image_id
    assert found["Size"] > 0
    layer = host.data_root / "layers" / found["RootFS"]["Layers"][0].removeprefix("sha256:") / "diff"
    assert (layer / "hello").read_bytes() == b"world"
    host.out("rmi", "imported:1")
    assert not layer.exists()


def test_import_applies_changes_and_message(host: PrivateAgent) -> None:
    changes = [
        'CMD ["/bin/sh", "-c", "echo hi"]', "ENTRYPOINT /start", 'ENV A=1 B="two words"', "EXPOSE 80 53/udp",
        "USER 1000:1000", "VOLUME /data /more", "WORKDIR /srv", 'LABEL key="a value"', "ONBUILD RUN true",
        "STOPSIGNAL SIGQUIT", "HEALTHCHECK --interval=30s --retries=2 CMD wget -q localhost", 'SHELL ["/bin/ash"]',
    ]  # fmt: skip
    options = [part for change in changes for part in ("--change", change)]
    host.docker("import", *options, "-m", "by hand", "-", "changed", input=layer_tar({"x": b""}))
    found = facts(host, "changed")
    config = found["Config"]
    assert found["Comment"] == "by hand"
    assert config["Cmd"] == ["/bin/sh", "-c", "echo hi"]
    assert config["Entrypoint"] == ["/bin/sh", "-c", "/start"]
    assert config["Env"] == ["A=1", "B=two words"]
    assert config["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert (config["User"], config["WorkingDir"], config["StopSignal"]) == ("1000:1000", "/srv", "SIGQUIT")
    assert config["Volumes"] == {"/data": {}, "/more": {}}
    assert config["Labels"] == {"key": "a value"}
    assert config["OnBuild"] == ["RUN true"]
    assert config["Healthcheck"] == {"Test": ["CMD-SHELL", "wget -q localhost"], "Interval": 30 * 10**9, "Retries": 2}
    host.out("rmi", "changed")


def test_bad_change_is_named_and_nothing_is_made(host: PrivateAgent) -> None:
    done = host.docker("import", "--change", "RUN true", "-", "bad", input=layer_tar({"x": b""}), check=False)
    assert "RUN is not a valid change command" in done.stderr.decode()
    assert host.docker("image", "inspect", "bad", check=False).returncode != 0


def test_save_and_load_keep_id_digest_and_names(host: PrivateAgent, tmp_path: Path) -> None:
    content = Content()
    content.add_image("latest", [{"a": b"a"}, {"b": b"b"}])
    write_layout(content, "latest", tmp_path / "in.tar", "example.test/kept:1")
    assert (
        "Loaded image: example.test/kept:1"
        in host.docker("load", input=(tmp_path / "in.tar").read_bytes()).stdout.decode()
    )
    before = facts(host, "example.test/kept:1")
    host.out("tag", "example.test/kept:1", "second:name")
    saved = host.docker("save", "example.test/kept:1", "second:name").stdout
    host.out("rmi", "example.test/kept:1", "second:name")
    host.docker("load", "-q", input=gzip.compress(saved))
    after = facts(host, "second:name")
    assert after["Id"] == before["Id"]
    assert sorted(after["RepoTags"]) == ["example.test/kept:1", "second:name"]
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        index = json.load(archive.extractfile("index.json"))  # type: ignore[arg-type]
        assert {entry["digest"] for entry in index["manifests"]} == {content.tags["latest"]}
    host.out("rmi", "example.test/kept:1", "second:name")


def test_other_tools_read_what_save_writes(host: PrivateAgent, tmp_path: Path) -> None:
    host.docker("import", "-", "shared:1", input=layer_tar({"f": b"f"}))
    image_id = facts(host, "shared:1")["Id"]
    (tmp_path / "policy.json").write_text(INSECURE_POLICY)
    (tmp_path / "saved.tar").write_bytes(host.docker("save", "shared:1").stdout)
    for source in (f"docker-archive:{tmp_path}/saved.tar:shared:1", f"oci-archive:{tmp_path}/saved.tar:1"):
        config = host.run("skopeo", "inspect", "--raw", "--config", source).stdout
        assert digest_of(config) == image_id
    host.out("rmi", "shared:1")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_load_takes_archives_of_other_tools(host: PrivateAgent, tmp_path: Path, form: str) -> None:
    host.docker("import", "-", "mine:1", input=layer_tar({"f": form.encode()}))
    image_id = facts(host, "mine:1")["Id"]
    (tmp_path / "saved.tar").write_bytes(host.docker("save", "mine:1").stdout)
    (tmp_path / "policy.json").write_text(INSECURE_POLICY)
    host.out("rmi", "mine:1")
    host.run(
        "skopeo", "--policy", str(tmp_path / "policy.json"), "copy", "-q", f"oci-archive:{tmp_path}/saved.tar:1",
        f"{form}:{tmp_path}/other.tar:docker.io/library/other:2",
    )  # fmt: skip
    printed = host.docker("load", input=(tmp_path / "other.tar").read_bytes()).stdout.decode()
    assert printed.strip() == "Loaded image: other:2"
    assert facts(host, "other:2")["RootFS"]["Layers"] and image_id.startswith("sha256:")
    host.out("rmi", "other:2")


@pytest.mark.parametrize(
    "archive",
    [b"", b"not a tar at all" * 100, layer_tar({"x": b"y"}), layer_tar({"manifest.json": b'[{"Config":1}]'}),
     layer_tar({"manifest.json": b'[{"Config":"../../etc/passwd","Layers":[]}]'}), gzip.compress(b"x" * 600)[:-9]],
    ids=["empty", "text", "no image", "bad types", "path escape", "cut gzip"],
)  # fmt: skip
def test_archive_that_is_none_is_refused(host: PrivateAgent, archive: bytes) -> None:
    before = host.out("images", "-aq")
    done = host.docker("load", input=archive, check=False)
    assert done.returncode == 1
    assert len(done.stderr.decode().strip().splitlines()) == 1
    assert host.out("images", "-aq") == before
    assert list((host.data_root / "images/ingest").iterdir()) == []


def test_store_is_an_oci_layout_that_skopeo_and_umoci_read(
    host: PrivateAgent, faulty: FaultyRegistry, tmp_path: Path
) -> None:
    faulty.content.add_image("latest", [{"etc/hello": b"from the store"}])
    faulty.serve()
    name = f"{faulty.address}/readable:latest"
    host.out("pull", name)
    store = host.data_root / "images"
    config = json.loads(host.run("skopeo", "inspect", "--config", f"oci:{store}:{name}").stdout)
    assert config["rootfs"]["diff_ids"] == facts(host, name)["RootFS"]["Layers"]
    host.run("umoci", "unpack", "--image", f"{store}:{name}", str(tmp_path / "bundle"))
    assert (tmp_path / "bundle/rootfs/etc/hello").read_text() == "from the store"
    host.out("rmi", name)
    assert json.loads((store / "index.json").read_text())["manifests"] == []
    assert list((store / "blobs/sha256").iterdir()) == []


def test_what_is_wrong_with_an_archive_is_a_line_of_the_answer(agent: PrivateAgent) -> None:
    with pytest.raises(docker_py.errors.ImageLoadError):
        agent.client().images.load(b"abc")
    done = agent.docker("load", input=b"abc", check=False)
    assert (done.returncode, bool(done.stderr)) == (1, True)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd_frame])
def test_load_takes_every_compression_and_tells_how_far_it_is(host: PrivateAgent, pack: Any) -> None:
    host.docker("import", "-", "packed:1", input=layer_tar({"file": b"x" * 3_000_000}))
    archive = host.docker("save", "packed:1").stdout
    host.out("rmi", "packed:1")
    client = host.client().api
    lines = list(client.load_image(pack(archive), quiet=False))
    assert lines[-1]["stream"] == "Loaded image: packed:1\n"
    bars = [line["progressDetail"] for line in lines if line.get("status") == "Loading layer"]
    assert bars[-1]["current"] == bars[-1]["total"] > 3_000_000
    assert not list((host.data_root / "images/ingest").iterdir())
    again = list(client.load_image(archive, quiet=True))  # which is here already
    assert [line["stream"] for line in again] == ["Loaded image: packed:1\n"]
    host.out("rmi", "packed:1")


def test_archive_that_ends_early_leaves_nothing(host: PrivateAgent) -> None:
    host.docker("import", "-", "cut:1", input=layer_tar({"file": random.Random(1).randbytes(3_000_000)}))
    archive = gzip.compress(host.docker("save", "cut:1").stdout, 1)
    host.out("rmi", "cut:1")
    failed = host.docker("load", input=archive[: len(archive) // 2], check=False)
    assert failed.returncode == 1 and "ends in the middle" in failed.stderr.decode()
    assert not list((host.data_root / "images/ingest").iterdir())
    assert "cut" not in host.out("images")
