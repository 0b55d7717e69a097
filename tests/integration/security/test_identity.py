"""Users, groups, capabilities and overlong input: what must never make a process mightier than it was asked to be."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, wait_until
from tests.integration.security.conftest import grant
from tests.integration.support.private_agent import PrivateAgent
from wherry.containers.spec.capabilities import DEFAULT_CAPABILITIES

NONE = "0" * 16
DEFAULT = "00000000a80425fb"
NO_USERS = (
    "4294967296", "2147483648", "4294967295", "-1", "+0", "0x0", " 0", "0 ", "00x", "99999999999", "1000:4294967296",
    "1000:", ":0x0", "1e3", "18446744073709551616", "1000:-1", "\u0660",
)  # fmt: skip


@pytest.fixture(scope="module")
def kept(agent: PrivateAgent, busybox: str) -> Iterator[str]:
    """A running container, for exec."""
    agent.docker("run", "--detach", "--name", "identity", busybox, "sleep", "1000")
    yield "identity"
    agent.docker("rm", "--force", "identity")


def sets(text: str) -> dict[str, str]:
    """Cap… of /proc/PID/status."""
    return dict(line.split(":\t") for line in text.splitlines() if line.startswith("Cap"))


# -- CVE-2024-40635, CVE-2026-46680, CVE-2026-30892


@pytest.mark.parametrize("user", NO_USERS)
def test_a_user_of_exec_that_is_none_is_an_error_and_never_root(agent: PrivateAgent, kept: str, user: str) -> None:
    done = agent.docker("exec", f"--user={user}", kept, "id", check=False)
    assert done.returncode != 0
    assert b"uid=" not in done.stdout


def test_a_user_of_an_image_that_is_none_is_an_error_and_never_root(agent: PrivateAgent, rootfs_archive: Path) -> None:
    for user in NO_USERS:
        imported = agent.docker("import", "-c", f"USER {user}", str(rootfs_archive), "odd-user", check=False)
        if imported.returncode == 0 and agent.out("inspect", "-f", "{{.Config.User}}", "odd-user").strip() == user:
            done = agent.docker("run", "--rm", "odd-user", "id", check=False)
            assert (done.returncode, done.stdout) == (125, b""), user
    agent.docker("rmi", "odd-user", check=False)


def test_names_of_the_image_that_are_mapped_out_of_range_are_errors(
    agent: PrivateAgent, busybox: str, kept: str, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    numbers = ("4294967296", "-1", "+0", "0x0", " 0", "2147483648", "")
    (tmp_path / "passwd").write_text("".join(f"odd{i}:x:{number}:5::/:\n" for i, number in enumerate(numbers)))
    volume = ("-v", f"{tmp_path}/passwd:/etc/passwd:ro")
    agent.docker("run", "--detach", "--name", "mapped", *volume, busybox, "sleep", "1000")
    try:
        for index in range(len(numbers)):
            done = agent.docker("exec", "--user", f"odd{index}", "mapped", "id", "-u", check=False)
            assert done.returncode != 0, done.stdout
            assert b"0\n" not in done.stdout
    finally:
        agent.docker("rm", "--force", "mapped")


# -- CVE-2022-36109, CVE-2023-25173


@pytest.mark.parametrize(
    ("user", "groups"),
    [("1000", "1000 2000"), ("1000:1000", "1000"), ("app", "1000 2000"), ("4242", "0"), ("4242:7", "7")],
)
def test_exec_has_the_primary_group_and_the_images_and_never_the_hosts(
    agent: PrivateAgent, kept: str, user: str, groups: str
) -> None:
    status = agent.out("exec", "--user", user, kept, "grep", "-E", "^(Gid|Groups)", "/proc/self/status")
    primary, supplementary = (line.split()[1:] for line in status.splitlines())
    assert len(set(primary)) == 1
    assert sorted({primary[0], *supplementary}, key=int) == groups.split()


@pytest.mark.parametrize("user", ["1000", "1000:1000", "app", "app:app"])
def test_a_user_of_an_image_has_its_groups(agent: PrivateAgent, rootfs_archive: Path, user: str) -> None:
    tag = "with-user"
    agent.docker("import", "-c", f"USER {user}", str(rootfs_archive), tag)
    shown = agent.out("run", "--rm", tag, "sh", "-c", "id -u; id -g; grep ^Groups /proc/self/status").split()
    agent.docker("rmi", tag)
    assert shown[:2] == ["1000", "1000"]
    assert "1000" in [shown[1], *shown[3:]]
    assert set(shown[3:]) <= {"1000", "2000"}


def test_the_agents_own_groups_reach_no_container(rootfs_archive: Path) -> None:
    """Negative permissions: a group that is refused a file on the host must not be lost, nor one be had too many."""
    agent = PrivateAgent()
    agent.enter = lambda argv: PrivateAgent.enter(agent, ["setpriv", "--groups", "7,8", *argv])  # type: ignore[method-assign]
    with agent:
        agent.docker("import", str(rootfs_archive), "groups")
        script = "grep ^Groups /proc/self/status"
        shown = [
            agent.out("run", "--rm", "--user", user, "groups", "sh", "-c", script) for user in ("0", "4242", "app")
        ]
        agent.docker("rmi", "groups")
    assert not {"7", "8"} & set(" ".join(shown).split())


# -- CVE-2022-24769


@pytest.mark.parametrize(
    ("options", "bounding"),
    [
        ((), DEFAULT),
        (("--user", "1000"), DEFAULT),
        (("--user", "1000", "--cap-add", "NET_ADMIN"), "00000000a80435fb"),
        (("--cap-drop", "ALL", "--cap-add", "CHOWN"), "0000000000000001"),
        (("--privileged",), None),
    ],
)
def test_no_set_but_the_asked_ones_is_filled(
    agent: PrivateAgent, busybox: str, options: tuple[str, ...], bounding: str | None
) -> None:
    name = "sets"
    agent.docker("run", "--detach", "--name", name, *options, busybox, "sh", "-c", "cat /proc/self/status; sleep 1000")
    try:
        wait_until(lambda: "CapAmb" in agent.out("logs", name), "no output")
        for text in (agent.out("logs", name), agent.out("exec", name, "cat", "/proc/self/status")):
            found = sets(text)
            assert found["CapInh"] == found["CapAmb"] == NONE
            assert bounding is None or found["CapBnd"] == bounding
            assert found["CapPrm"] == found["CapEff"] == (NONE if "--user" in options else found["CapBnd"])
    finally:
        agent.docker("rm", "--force", name)


def _give_file_capabilities(path: Path, effective: bool, permitted: int, inheritable: int) -> None:
    """security.capability, revision 2, capabilities(7)."""
    os.setxattr(
        path, "security.capability", struct.pack("<IIIII", 0x02000000 | effective, permitted, inheritable, 0, 0)
    )


@pytest.mark.parametrize("kind", ["permitted", "inheritable"])
def test_file_capabilities_give_no_more_than_the_bounding_set(runtime: Runtime, bundle: Bundle, kind: str) -> None:
    NET_ADMIN, NET_RAW = 1 << 12, 1 << 13
    program = bundle.rootfs / "bin" / "blessed"
    shutil.copy(bundle.rootfs / "bin" / "busybox", program)
    both = NET_ADMIN | NET_RAW
    _give_file_capabilities(program, False, both if kind == "permitted" else 0, both if kind == "inheritable" else 0)
    bundle.process["noNewPrivileges"] = False
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    grant(bundle, DEFAULT_CAPABILITIES)
    runtime.start("/bin/blessed cat /proc/self/status; sleep 1000")
    # busybox goes by its own name.
    (bundle.rootfs / "bin" / "cat").unlink()
    (bundle.rootfs / "bin" / "cat").symlink_to("blessed")
    text = runtime("exec", "--user", "1000:1000", "kept", "cat", "/proc/self/status").stdout
    # The bounding set has NET_RAW, which the file may give; it has no NET_ADMIN; and nothing is inherited.
    assert int(sets(text)["CapPrm"], 16) == (NET_RAW if kind == "permitted" else 0)
    assert sets(text)["CapInh"] == NONE


# -- CVE-2021-43784


LONG = 1 << 17


def _long_mappings(config: dict[str, Any]) -> None:
    entry = {"containerID": 0, "hostID": 100000, "size": 1}
    config["linux"]["namespaces"].append({"type": "user"})
    config["linux"]["uidMappings"] = [dict(entry, containerID=i, hostID=100000 + i) for i in range(1 << 16)]
    config["linux"]["gidMappings"] = config["linux"]["uidMappings"]


def _long_mount(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/" + "d" * LONG, "type": "bind", "source": "/", "options": ["bind"]})


def _long_source(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/d", "type": "bind", "source": "/" + "s" * LONG, "options": ["bind"]})


def _long_option(config: dict[str, Any]) -> None:
    config["mounts"].append({"destination": "/d", "type": "tmpfs", "source": "t", "options": ["size=" + "1" * LONG]})


def _long_namespace(config: dict[str, Any]) -> None:
    config["linux"]["namespaces"][0]["path"] = "/proc/" + "1" * LONG


def _long_hostname(config: dict[str, Any]) -> None:
    config["hostname"] = "h" * LONG


def _long_masked(config: dict[str, Any]) -> None:
    config["linux"]["maskedPaths"].append("/" + "m/" * LONG)


def _long_cwd(config: dict[str, Any]) -> None:
    config["process"]["cwd"] = "/" + "c/" * LONG


def _long_argument(config: dict[str, Any]) -> None:
    config["process"]["args"] = ["true", "x" * (1 << 18)]


def _long_cgroup(config: dict[str, Any]) -> None:
    config["linux"]["cgroupsPath"] = "/" + "g" * LONG


def _long_sysctl(config: dict[str, Any]) -> None:
    config["linux"]["sysctl"] = {"kernel." + "s" * LONG: "1"}


@pytest.mark.parametrize(
    "spoil",
    [
        _long_mappings, _long_mount, _long_source, _long_option, _long_namespace, _long_hostname, _long_masked,
        _long_cwd, _long_argument, _long_cgroup, _long_sysctl,
    ],
)  # fmt: skip
def test_an_overlong_value_is_a_clean_error_and_changes_no_namespace(
    runtime: Runtime, bundle: Bundle, spoil: Any
) -> None:
    bundle.shell("readlink /proc/self/ns/net")
    spoil(bundle.config)
    done = runtime.run(check=False)
    assert done.returncode == 1, done.stdout
    assert done.stdout == ""
    assert done.stderr.startswith("wherry-runtime: ")
    assert "signal" not in done.stderr


def test_overlong_values_of_the_api_are_refused(agent: PrivateAgent, busybox: str) -> None:
    document = {"Image": busybox, "HostConfig": {"Binds": ["/tmp:/" + "d" * LONG]}, "Cmd": ["true"]}
    request = json.dumps(document).encode()
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--unix-socket", str(agent.socket), "-H",
         "Content-Type: application/json", "--data-binary", "@-", "http://agent/v1.51/containers/create?name=long"],
        input=request, capture_output=True, check=True,
    )  # fmt: skip
    if done.stdout == b"201":
        started = agent.docker("start", "long", check=False)
        agent.docker("rm", "--force", "long")
        assert started.returncode != 0
    else:
        assert done.stdout == b"400"
