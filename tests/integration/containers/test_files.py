"""cp both ways, diff, export and commit: with the real command line, docker-py and hostile containers."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import stat
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import docker as docker_py
import pytest
import requests

from tests.integration.containers.conftest import ask, eventually, state_of
from tests.integration.support.private_agent import PrivateAgent

SLEEP = ("sleep", "1000")


@pytest.fixture
def host(agent: PrivateAgent, name: str) -> Path:
    """A directory of the host, where the client runs."""
    directory = agent.place / name
    directory.mkdir()
    return directory


def tar_of(**files: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.uid = member.gid = 1234
            tar.addfile(member, io.BytesIO(content.encode()))
    return archive.getvalue()


@pytest.fixture(params=["running", "created"])
def container(request: pytest.FixtureRequest, agent: PrivateAgent, busybox: str, name: str) -> str:
    """A container with a volume at /vol, running or not."""
    options = ("--name", name, "--volume", "/vol", busybox, *SLEEP)
    agent.docker(*(("run", "--detach") if request.param == "running" else ("create",)), *options)
    return name


def test_files_and_directories_go_in_and_come_out(agent: PrivateAgent, container: str, host: Path) -> None:
    (host / "tree" / "sub").mkdir(parents=True)
    (host / "tree" / "file").write_text("one")
    (host / "tree" / "sub" / "deep").write_text("two")
    (host / "tree" / "link").symlink_to("sub/deep")
    agent.docker("cp", str(host / "tree"), f"{container}:/opt-tree")
    agent.docker("cp", str(host / "tree" / "file"), f"{container}:/tmp/renamed")
    agent.docker("cp", str(host / "tree") + "/.", f"{container}:/vol")
    agent.docker("cp", f"{container}:/opt-tree", str(host / "back"))
    assert (host / "back" / "sub" / "deep").read_text() == "two"
    assert (host / "back" / "link").readlink() == Path("sub/deep")
    agent.docker("cp", f"{container}:/tmp/renamed", str(host / "single"))
    assert (host / "single").read_text() == "one"
    agent.docker("cp", f"{container}:/vol/.", str(host / "content"))
    assert sorted(path.name for path in (host / "content").iterdir()) == ["file", "link", "sub"]
    if state_of(agent, container)["Status"] == "created":
        agent.docker("start", container)
    assert agent.out("exec", container, "cat", "/opt-tree/link", "/vol/file") == "twoone"


def test_links_are_followed_where_docker_follows_them(agent: PrivateAgent, container: str, host: Path) -> None:
    if state_of(agent, container)["Status"] == "created":
        agent.docker("start", container)
    agent.docker("exec", container, "sh", "-c", "mkdir /real; echo x > /real/f; ln -s /real /to-dir; ln -s f /real/l")
    agent.docker("cp", f"{container}:/to-dir/", str(host / "followed"))
    assert (host / "followed" / "f").read_text() == "x\n"
    agent.docker("cp", f"{container}:/real/l", str(host / "link"))
    assert (host / "link").readlink() == Path("f")
    agent.docker("cp", "--follow-link", f"{container}:/real/l", str(host / "target"))
    assert (host / "target").read_text() == "x\n"
    (host / "new").write_text("y")
    agent.docker("cp", str(host / "new"), f"{container}:/to-dir")
    assert agent.out("exec", container, "cat", "/real/new") == "y"


def test_status_header_tells_what_is_there(agent: PrivateAgent, container: str) -> None:
    client = agent.client()
    found = client.containers.get(container)
    found.put_archive("/tmp", tar_of(sized="12345"))
    _, status = found.get_archive("/tmp/sized")
    assert (status["name"], status["size"], status["linkTarget"]) == ("sized", 5, "")
    assert status["mode"] & 0o777 == 0o644
    _, directory = found.get_archive("/bin")
    assert directory["mode"] & 1 << 31, "Go's bit of directories"
    answer = client.api.head(client.api._url("/containers/{0}/archive", container), params={"path": "/tmp/sized"})
    assert json.loads(base64.b64decode(answer.headers["X-Docker-Container-Path-Stat"]))["size"] == 5


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_archives_may_be_compressed(agent: PrivateAgent, busybox: str, name: str, compress: Any) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, *SLEEP)
    agent.client().containers.get(name).put_archive("/tmp", compress(tar_of(packed="content")))
    assert agent.out("exec", name, "cat", "/tmp/packed") == "content"
    assert agent.out("exec", name, "stat", "-c", "%u:%g", "/tmp/packed") == "1234:1234"


def test_ownership_can_be_that_of_the_containers_user(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, "--user", "77:88", busybox, *SLEEP)
    api = agent.client().api
    answer = api.put(
        api._url("/containers/{0}/archive", name), params={"path": "/tmp", "copyUIDGID": "1"}, data=tar_of(owned="x")
    )
    assert answer.status_code == 200
    assert agent.out("exec", name, "stat", "-c", "%u:%g", "/tmp/owned") == "77:88"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("GET", "/nowhere", 404, "Could not find the file /nowhere in container"),
        ("HEAD", "/nowhere", 404, ""),
        ("GET", "", 400, "path"),
        ("GET", "/bin/busybox/", 400, "not a directory"),
        ("PUT", "/nowhere", 404, "Could not find the file"),
        ("PUT", "/bin/busybox", 400, "extraction point is not a directory"),
    ],
)
def test_wrong_paths_are_errors_by_name(
    agent: PrivateAgent, container: str, method: str, path: str, status: int, said: str
) -> None:
    api = agent.client().api
    data = tar_of(a="b") if method == "PUT" else None
    answer = api.request(method, api._url("/containers/{0}/archive", container), params={"path": path}, data=data)
    assert answer.status_code == status
    assert said in (answer.json()["message"] if method != "HEAD" else "")


def test_nothing_is_written_where_the_container_could_not(
    agent: PrivateAgent, busybox: str, host: Path, name: str
) -> None:
    agent.docker("create", "--name", name, "--volume", f"{host}:/fixed:ro", busybox, *SLEEP)
    for _ in range(2):
        refused = agent.docker("cp", "-", f"{name}:/fixed", input=tar_of(a="b"), check=False)
        assert b"read-only" in refused.stderr
        agent.docker("start", name)
    assert list(host.iterdir()) == []


def test_kinds_are_kept_when_asked(agent: PrivateAgent, container: str) -> None:
    api = agent.client().api
    url, content = api._url("/containers/{0}/archive", container), tar_of(bin="a file")
    refused = api.put(url, params={"path": "/", "noOverwriteDirNonDir": "1"}, data=content)
    assert refused.status_code == 400
    assert "bin" in refused.json()["message"]


def test_a_broken_archive_is_an_error_and_the_agent_goes_on(agent: PrivateAgent, container: str) -> None:
    api = agent.client().api
    url = api._url("/containers/{0}/archive", container)
    for data in (b"no archive at all" * 100, tar_of(a="x" * 5000)[:1000], gzip.compress(tar_of(a="b"))[:-5]):
        assert api.put(url, params={"path": "/tmp"}, data=data).status_code in (400, 500)
    assert api.put(url, params={"path": "/tmp"}, data=tar_of(fine="x")).status_code == 200


def test_a_client_that_leaves_holds_nothing(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, *SLEEP)
    client = agent.client()
    chunks, _ = client.containers.get(name).get_archive("/bin", chunk_size=100)
    next(chunks)
    chunks.close()
    client.close()
    agent.docker("start", name, timeout=20)


def test_links_swapped_meanwhile_lead_nowhere(agent: PrivateAgent, busybox: str, host: Path, name: str) -> None:
    """security.md rows 22, 23 and 35: the container swaps a directory with a link to the host's root all the time."""
    canary = host / "canary"
    canary.write_text("the host's")
    canary.chmod(0o600)
    # The pause leaves the directory in place for longer than one copy takes, so that some copies are served.
    swap = "mv -T d t 2>/dev/null; mv -T l d; mv -T d l; mv -T t d; usleep 3000"
    script = f"mkdir -p /w/d/x; cd /w; ln -s {host} l; while :; do {swap}; done"
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", script)
    time.sleep(0.3)
    container = agent.client().containers.get(name)
    served = 0
    for attempt in range(150):
        try:
            container.put_archive("/w/d", tar_of(canary=f"overwritten {attempt}"))
            served += 1
            chunks, _ = container.get_archive("/w/d/canary")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
                member = tar.extractfile("canary")
                assert member is None or b"the host's" not in member.read()
        except (docker_py.errors.APIError, requests.exceptions.ChunkedEncodingError):
            continue
    assert canary.read_text() == "the host's"
    assert stat.S_IMODE(canary.stat().st_mode) == 0o600
    assert sorted(path.name for path in host.iterdir()) == ["canary"]
    assert served, "not one attempt was served"


def test_programs_and_libraries_of_the_container_are_not_run(agent: PrivateAgent, busybox: str, name: str) -> None:
    """security.md row 22: decompressors and libraries that lie in the container stay there."""
    trojan = "#!/bin/sh\ntouch /pwned\nexec cat\n"
    agent.docker("run", "--detach", "--name", name, busybox, *SLEEP)
    container = agent.client().containers.get(name)
    for program in ("xz", "unpigz", "gzip", "zstd", "tar"):
        container.put_archive("/bin", _executable(program, trojan))
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        container.put_archive("/tmp", compress(tar_of(a="b")))
    list(container.get_archive("/tmp")[0])
    assert agent.docker("exec", name, "test", "-e", "/pwned", check=False).returncode == 1
    assert not Path("/pwned").exists()


def _executable(name: str, content: str) -> bytes:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.size, member.mode = len(content), 0o755
        tar.addfile(member, io.BytesIO(content.encode()))
    return archive.getvalue()


def test_diff_tells_what_the_container_did_and_nothing_else(agent: PrivateAgent, busybox: str, name: str) -> None:
    script = "touch /new; mkdir -p /dir/sub; rm /bin/vi; echo x >> /etc/passwd"
    agent.docker("run", "--name", name, "--volume", "/vol", busybox, "sh", "-c", script)
    lines = agent.out("diff", name).splitlines()
    assert sorted(lines) == sorted(
        ["A /new", "A /dir", "A /dir/sub", "C /bin", "D /bin/vi", "C /etc", "C /etc/passwd", "A /vol"]
    )
    agent.docker("rm", "--volumes", name)
    agent.docker("create", "--name", name, busybox, "true")
    assert ask(agent, "GET", f"/containers/{name}/changes") == (200, None)
    agent.docker("start", "--attach", name)
    assert agent.out("diff", name) == ""


def test_export_is_the_root_file_system(agent: PrivateAgent, container: str, tmp_path: Path) -> None:
    agent.client().containers.get(container).put_archive("/", tar_of(mine="here"))
    exported = agent.docker("export", container).stdout
    with tarfile.open(fileobj=io.BytesIO(exported)) as tar:
        names = {member.name.rstrip("/") for member in tar}
        member = tar.extractfile("mine")
        assert member is not None
        assert member.read() == b"here"
    assert {"bin/busybox", "etc/passwd"} <= names
    agent.docker("import", "-", "again:1", input=exported)
    assert agent.out("run", "--rm", "again:1", "cat", "/mine") == "here"
    agent.docker("rmi", "again:1")


def test_commit_makes_an_image_of_what_was_changed(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker(
        "run", "--name", name, "--env", "A=1", "--label", "made=here", busybox, "sh", "-c", "echo x > /new; rm /bin/vi"
    )
    agent.docker(
        "commit", "--author", "Ada", "--message", "first", "--change", "ENV B=2", "--change",
        'CMD ["cat", "/new"]', name, "made:1",
    )  # fmt: skip
    assert agent.out("run", "--rm", "made:1") == "x"
    assert agent.out("run", "--rm", "made:1", "sh", "-c", "echo $A$B; ls /bin/vi 2>&1; true").startswith("12\nls:")
    shown = json.loads(agent.out("inspect", "made:1"))[0]
    below = json.loads(agent.out("inspect", busybox))[0]
    assert shown["RootFS"]["Layers"][:-1] == below["RootFS"]["Layers"]
    assert (shown["Author"], shown["Config"]["Labels"]["made"]) == ("Ada", "here")
    assert "first" in agent.out("history", "--format", "{{.Comment}}", "made:1")
    layer = agent.docker("save", "made:1").stdout
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        assert tar.getnames()
    agent.docker("rmi", "made:1")


def test_commit_takes_nothing_of_mounts(agent: PrivateAgent, busybox: str, name: str, tmp_path: Path) -> None:
    agent.docker("run", "--name", name, busybox, "touch", "/only")
    agent.docker("commit", name, "lean:1")
    (tmp_path / "image.tar").write_bytes(agent.docker("save", "lean:1").stdout)
    with tarfile.open(tmp_path / "image.tar") as image:
        manifest = json.load(image.extractfile("manifest.json"))  # type: ignore[arg-type]
        top = image.extractfile(manifest[0]["Layers"][-1])
        assert top is not None
        with tarfile.open(fileobj=io.BytesIO(top.read())) as layer:
            assert [member.name for member in layer if not member.isdir()] == ["only"]
    agent.docker("rmi", "lean:1")


def test_commit_pauses_what_runs_and_lets_it_go_on(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("run", "--detach", "--name", name, busybox, "sh", "-c", "while :; do date +%s%N > /now; done")
    eventually(lambda: agent.docker("exec", name, "test", "-s", "/now", check=False).returncode == 0)
    made = agent.out("commit", name)
    assert state_of(agent, name)["Status"] == "running"
    before = agent.out("exec", name, "cat", "/now")
    eventually(lambda: agent.out("exec", name, "cat", "/now") != before)
    agent.docker("rmi", made)


def test_commit_of_what_is_just_ending(api: docker_py.DockerClient, busybox: str, name: str) -> None:
    container = api.containers.create(busybox, "touch /made", name=name)
    for _ in range(5):
        container.start()
        made = container.commit()
        assert container.wait()["StatusCode"] == 0
        made.remove()


def test_commit_refuses_bad_changes_and_names(agent: PrivateAgent, busybox: str, name: str) -> None:
    agent.docker("create", "--name", name, busybox, "true")
    for arguments in (("--change", "RUN rm -rf /", name), (name, "Not/A/Name")):
        assert agent.docker("commit", *arguments, check=False).returncode != 0
    assert ask(agent, "POST", "/commit?container=nobody")[0] == 404


def test_what_is_mounted_for_a_copy_is_given_back_after_a_crash(own_agent: PrivateAgent, own_busybox: str) -> None:
    own_agent.docker("create", "--name", "still", "--volume", "kept:/vol", own_busybox, "true")
    copy = subprocess.Popen(
        own_agent.enter(["/usr/bin/python3", "-c", SLOW_READER, str(own_agent.socket)]), stdout=subprocess.PIPE
    )
    assert copy.stdout is not None
    assert copy.stdout.readline() == b"reading\n"
    own_agent.restart(crash=True)
    copy.kill()
    copy.wait()
    mounts = own_agent.run("cat", "/proc/self/mountinfo").stdout.decode()
    assert "/rootfs" not in mounts
    own_agent.docker("start", "still")
    own_agent.docker("rm", "--force", "still")
    own_agent.docker("volume", "rm", "kept")


SLOW_READER = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"GET /v1.51/containers/still/archive?path=/ HTTP/1.1\\r\\nHost: docker\\r\\n\\r\\n")
s.recv(100)
print("reading", flush=True)
time.sleep(100)
"""
