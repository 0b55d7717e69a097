"""What the configuration and the command line may not say; every refusal names the field and leaves nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.runtime.harness import Bundle, Runtime, cgroup_directories

ABSENT = object()

CASES: list[tuple[str, object, str]] = [
    ("ociVersion", ABSENT, "ociVersion"),
    ("ociVersion", "2.0.0", "ociVersion: 2.0.0: must be 1.x"),
    ("ociVersion", "1.0", "ociVersion: 1.0: must be 1.x"),
    ("ociVersion", "1.0.2x", "ociVersion: 1.0.2x: must be 1.x"),
    ("windows", {}, "windows: not supported by this runtime"),
    ("hostname", "x" * 65, "hostname"),
    ("hostname", "a\0b", "hostname: must not contain NUL"),
    ("root", ABSENT, "root.path"),
    ("root", {"path": 5}, "root.path: must be a string"),
    ("root.path", "nothing", "root.path"),
    ("mounts", {}, "mounts: must be an array"),
    ("mounts.0.destination", "", "mounts[0].destination"),
    ("mounts.0.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "mounts[0].uidMappings, mounts[0].gidM"),
    ("mounts.0.options", ["idmap"], "mounts[0].options: idmap"),
    ("linux.devices", [{"path": "/dev/x", "type": "c", "minor": 1}], "linux.devices[0]: must have major and minor"),
    ("mounts.0.options", [5], "mounts[0].options[0]: must be a string"),
    ("process.args", [], "process.args"),
    ("process.args", [""], "process.args"),
    ("process.cwd", "relative", "process.cwd"),
    ("process.env", ["NOVALUE"], "process.env[0]"),
    ("process.apparmorProfile", "a\nb", "process.apparmorProfile: must be one line"),
    ("process.selinuxLabel", 5, "process.selinuxLabel: must be a string"),
    ("process.oomScoreAdj", 1001, "process.oomScoreAdj"),
    ("process.noNewPrivileges", "yes", "process.noNewPrivileges: must be true or false"),
    ("process.rlimits", [{"type": "RLIMIT_ODD", "soft": 1, "hard": 1}], "RLIMIT_ODD"),
    ("process.user.username", "root", "process.user.username: not supported"),
    ("process.user.umask", 0o1000, "process.user.umask"),
    ("linux.namespaces", [{"type": "odd"}], "linux.namespaces[0].type: odd: must be pid, network"),
    ("linux.namespaces", [{"type": "uts"}], "linux.namespaces: must contain a mount namespace"),
    ("linux.namespaces", [{"type": "mount"}, {"type": "mount"}], "linux.namespaces[1].type: mount: named twice"),
    ("linux.namespaces.0.path", "relative", "linux.namespaces[0].path"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 1}], "linux.uidMappings"),
    ("linux.uidMappings", [{"containerID": 0, "hostID": 0, "size": 2**32}], "linux.uidMappings[0]"),
    ("linux.devices", [{"path": "/dev/x", "type": "z"}], "linux.devices[0].type"),
    ("linux.devices", [{"path": "x", "type": "c"}], "linux.devices[0].path"),
    ("linux.devices", [{"path": "/dev/x", "type": "c", "major": -1}], "linux.devices[0].major"),
    ("linux.rootfsPropagation", "public", "linux.rootfsPropagation: public"),
    ("linux.mountLabel", ["x:y"], "linux.mountLabel: must be a string"),
    ("linux.intelRdt", {}, "linux.intelRdt: not supported"),
    ("linux.timeOffsets", {"monotonic": {}}, "linux.timeOffsets: only for a new time namespace"),
    ("linux.timeOffsets", {"realtime": {}}, "linux.timeOffsets.realtime: no such clock, must be monotonic or boottime"),
    ("linux.timeOffsets", {"monotonic": {"nanosecs": 10**9}}, "linux.timeOffsets.monotonic.nanosecs: 1000000000"),
    ("linux.timeOffsets", {"boottime": {"secs": "1"}}, "linux.timeOffsets.boottime.secs: must be an integer"),
    ("linux.netDevices", {"a" * 16: {}}, 'linux.netDevices: "' + "a" * 16 + '": must be 1 to 15 bytes'),
    ("linux.netDevices", {"eth0": {"name": "a%db"}}, 'linux.netDevices.eth0.name: "a%db": must be 1 to 15 bytes'),
    ("linux.netDevices", {"eth0": {"name": "a/b"}}, 'linux.netDevices.eth0.name: "a/b"'),
    ("linux.netDevices", {"eth0": {"name": 5}}, "linux.netDevices.eth0.name: must be a string"),
    ("linux.netDevices", {"nonesuch0": {}}, "linux.netDevices.nonesuch0: No such device"),
    ("linux.maskedPaths", "x", "linux.maskedPaths: must be an array"),
    ("linux.resources", [], "linux.resources: must be an object"),
    ("annotations", {"": "x"}, "annotations: a key must not be empty"),
    ("annotations", {"key": 5}, "annotations.key: must be a string"),
]


def _set(config: Any, path: str, value: object) -> None:
    *parents, last = path.split(".")
    for name in parents:
        config = config[int(name) if isinstance(config, list) else name]
    if value is ABSENT:
        del config[last]
    else:
        config[last] = value


@pytest.mark.parametrize(("path", "value", "message"), CASES)
def test_a_field_is_refused_by_its_name(
    runtime: Runtime, bundle: Bundle, cgroup: str, path: str, value: object, message: str
) -> None:
    _set(bundle.config, path, value)
    done = runtime.create(check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (runtime.root / "kept").exists()
    assert cgroup_directories(cgroup) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("surprise", {}),
        ("linux.surprise", 1),
        ("process.surprise", []),
        ("mounts.0.surprise", "x"),
        ("hooks", {"odd": []}),
    ],
)
def test_a_field_that_the_specification_does_not_know_is_ignored(
    runtime: Runtime, bundle: Bundle, path: str, value: object
) -> None:
    _set(bundle.config, path, value)
    assert runtime.create().returncode == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "{} {}", '{"ociVersion": "1.0.2"', "[" * 100, "{'ociVersion': '1.0.2'}"]
)
def test_a_document_that_is_no_json_object_is_refused(runtime: Runtime, bundle: Bundle, text: str) -> None:
    (bundle.path / "config.json").write_text(text)
    done = runtime("create", "--bundle", str(bundle.path), "kept", check=False)
    assert done.returncode == 1
    assert "config.json" in done.stderr


def test_a_document_that_is_too_large_is_refused(runtime: Runtime, bundle: Bundle) -> None:
    bundle.config["annotations"] = {"key": "x" * (9 << 20)}
    assert "config.json: larger than" in runtime.create(check=False).stderr


def test_very_long_lists_are_no_danger(runtime: Runtime, bundle: Bundle) -> None:
    bundle.linux["uidMappings"] = [{"containerID": 0, "hostID": 0, "size": 1}] * 70000
    assert "linux.uidMappings: must be at most 340 mappings" in runtime.create(check=False).stderr
    del bundle.linux["uidMappings"]
    bundle.linux["maskedPaths"] = ["/nothing/" + "x" * 100] * 20000
    bundle.process["env"] += [f"V{number}=" + "x" * 100 for number in range(500)]
    runtime.run("true")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--odd", "list"], "--odd"),
    (["--log-format", "xml", "list"], "--log-format: xml"),
    (["frobnicate"], "frobnicate is not known"),
    (["create", "--no-pivot", "x"], "--no-pivot: not supported"),
    (["create"], "usage"),
    (["create", "--odd", "x"], "--odd"),
    (["create", "--pid-file"], "--pid-file"),
    (["create", "--preserve-fds", "-1", "x"], "--preserve-fds"),
    (["list", "--format", "xml"], "--format: xml"),
    (["exec", "x"], "a command or --process"),
    (["checkpoint", "x"], "checkpoint: not supported"),
    (["restore", "x"], "restore: not supported"),
    (["update", "x"], "--resources"),
])  # fmt: skip
def test_the_command_line_refuses_what_it_does_not_know(runtime: Runtime, arguments: list[str], message: str) -> None:
    done = runtime(*arguments, check=False)
    assert done.returncode == (255 if arguments[0] == "exec" else 1)
    assert message in done.stderr


def test_features_and_version_are_told(runtime: Runtime) -> None:
    features = json.loads(runtime("features").stdout)
    assert features["linux"]["namespaces"] == ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]
    assert "CAP_SYS_ADMIN" in features["linux"]["capabilities"]
    assert runtime("--version").stdout.startswith("wherry-runtime version ")


def test_the_example_configuration_runs(runtime: Runtime, bundle: Bundle, cgroup: str) -> None:
    runtime("spec", "--bundle", str(bundle.path))
    config = json.loads((bundle.path / "config.json").read_text())
    assert config["process"]["terminal"], "its program is a shell"
    config["process"].update(args=["hostname"], terminal=False)
    config["linux"]["cgroupsPath"] = cgroup
    bundle.config = config
    assert runtime.run().stdout == "wherry\n"
