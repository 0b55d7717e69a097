"""docs/runtime.md against the specification's schemas, the parser's sources, and what the program does."""

from __future__ import annotations

import copy
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runtime.harness import REPOSITORY, Bundle, Runtime

DOCUMENT = (REPOSITORY / "docs" / "runtime.md").read_text()
SOURCES = REPOSITORY / "native" / "src" / "runtime"
SCHEMAS = Path(os.environ.get("WHERRY_SPECS", REPOSITORY.parent / "shared" / "specs")) / "oci-runtime"
ROWS = dict(re.findall(r"^\| `([^`]+)` \| (honoured|refused) \|", DOCUMENT, re.MULTILINE))
OTHER_PLATFORMS = {"solaris", "windows", "vm", "zos", "freebsd"}


class Schemas:
    """The specification's JSON schemas as dotted names of properties."""

    def __init__(self, directory: Path) -> None:
        self._files = {path.name: json.loads(path.read_text()) for path in directory.glob("*.json")}

    def properties(self, node: dict[str, Any], file: str, path: str) -> set[str]:
        """All properties below ``node``, whose own name is ``path``."""
        while "$ref" in node:
            name, _, fragment = node["$ref"].partition("#")
            file = name or file
            node = self._files[file]
            for key in fragment.strip("/").split("/"):
                node = node[key]
        found: set[str] = set()
        for part in [*node.get("allOf", []), *node.get("anyOf", [])]:
            found |= self.properties(part, file, path)
        for key, value in node.get("properties", {}).items():
            name = f"{path}.{key}" if path else key
            found.add(name)
            if key not in OTHER_PLATFORMS:
                found |= self.properties(value, file, name)
        if isinstance(node.get("additionalProperties"), dict):
            found |= self.properties(node["additionalProperties"], file, f"{path}.*")
        if isinstance(node.get("items"), dict):
            found |= self.properties(node["items"], file, f"{path}[]")
        return found

    def all(self) -> set[str]:
        """Those of config.json; the six kinds of hooks are one."""
        names = self.properties(self._files["config-schema.json"], "config-schema.json", "")
        return {re.sub(r"^hooks\.\w+", "hooks.KIND", name) for name in names}


@pytest.mark.skipif(not SCHEMAS.exists(), reason="the specification's schemas are not at hand: set WHERRY_SPECS")
def test_every_property_of_the_specification_has_a_row_and_no_other() -> None:
    assert set(ROWS) == Schemas(SCHEMAS).all()


def test_every_key_that_the_parser_reads_has_a_row() -> None:
    documented = {re.split(r"[.\[]", name.replace("[]", ""))[-1] for name in ROWS}
    files = [*SOURCES.glob("spec*.c"), SOURCES / "seccomp_rules.c", SOURCES / "rlimits.c", SOURCES / "capabilities.c"]
    read: set[str] = set()
    for file in files:
        text = file.read_text()
        read |= set(re.findall(r"wherry_json_(?!refuse|name)\w+\(\s*[^,()]+,\s*[^,]+,\s*\"(\w+)\"", text))
        for refused in re.findall(r"refused\[\] = \{([^}]*)\}", text):
            read |= set(re.findall(r'"(\w+)"', refused))
    assert len(read) > 70
    assert read - documented == set()


def test_every_verb_and_option_of_the_command_line_is_described() -> None:
    verbs = set(re.findall(r'\{"(\w+)", wherry_cli_', (SOURCES / "cli.c").read_text()))
    options: set[str] = set()
    for file in SOURCES.glob("cli*.c"):
        if file.name != "cli_update.c":  # one for each limit, spelled as runc's
            options |= set(re.findall(r'\{"([\w-]+)",\s*(?:no|required)_argument', file.read_text()))
    assert len(verbs) > 14
    assert [verb for verb in sorted(verbs) if not re.search(rf"`{verb}\b", DOCUMENT)] == []
    assert [name for name in sorted(options) if f"--{name}" not in DOCUMENT and name != "resources"] == []


def _with(config: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    """The configuration with ``value`` at a name such as ``mounts[].options``; what is missing on the way is made."""
    changed = copy.deepcopy(config)
    node: Any = changed
    *parents, last = name.replace("KIND", "prestart").split(".")
    for word in parents:
        key = "name0" if word == "*" else word.removesuffix("[]")
        if word.endswith("[]"):
            if not node.get(key):
                node[key] = [{}]
            node = node[key][0]
        else:
            node = node.setdefault(key, {})
    node[last] = value
    return changed


def test_every_field_is_read_and_refused_as_its_row_says(runtime: Runtime, bundle: Bundle) -> None:
    """A number with a fraction is right for no field: who reads the field says so by its name."""
    wrong: list[str] = []
    config = bundle.config
    # Only what is there is read.
    config["process"]["rlimits"] = [{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]
    config["linux"]["devices"] = [{"type": "c", "path": "/dev/x", "major": 1, "minor": 3}]
    config["linux"]["personality"] = {"domain": "LINUX"}
    config["linux"]["memoryPolicy"] = {"mode": "MPOL_DEFAULT"}
    config["process"]["scheduler"] = {"policy": "SCHED_OTHER"}
    config["process"]["ioPriority"] = {"class": "IOPRIO_CLASS_BE"}
    rule = {"names": ["mkdir"], "action": "SCMP_ACT_LOG", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_EQ"}]}
    config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    for name, state in ROWS.items():
        if name == "linux.resources.memory.checkBeforeUpdate":  # `update` alone looks at it
            continue
        bundle.config = _with(config, name, 1.5)
        done = runtime.create(check=False)
        words = [word for word in re.split(r"[.\[\]*]+", name.replace("KIND", "prestart")) if word]
        named = words[-1] in done.stderr or (len(words) > 2 and f"{words[-2]}" in done.stderr)
        if state == "refused" and "leafWeight" not in name:
            named = "not supported" in done.stderr
        if done.returncode != 1 or not named:
            wrong.append(f"{name}: {done.returncode}: {done.stderr.strip()}")
            runtime.clean()
    assert wrong == []


def test_what_features_tells_is_what_the_document_tells(runtime: Runtime) -> None:
    told = json.loads(runtime("features").stdout)
    system = told["linux"]
    assert told["ociVersionMax"] == "1.3.0"
    assert f"version {told['ociVersionMax']} of the specification" in DOCUMENT
    assert told["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    for key, field in (("apparmor", "process.apparmorProfile"), ("selinux", "process.selinuxLabel"),
                       ("intelRdt", "linux.intelRdt"), ("netDevices", "linux.netDevices")):  # fmt: skip
        assert system[key]["enabled"] == (ROWS[field] == "honoured")
    assert system["mountExtensions"]["idmap"]["enabled"] is True
    assert len(system["memoryPolicy"]["modes"]) == 7
    assert len(system["memoryPolicy"]["flags"]) == 3
    assert "time" in system["namespaces"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", told["annotations"]["io.github.seccomp.libseccomp.version"])


@pytest.mark.skipif(not SCHEMAS.exists(), reason="the specification's schemas are not at hand: set WHERRY_SPECS")
def test_features_names_nothing_that_the_specification_does_not_know(runtime: Runtime) -> None:
    definitions = json.loads((SCHEMAS / "defs-linux.json").read_text())["definitions"]
    system = json.loads(runtime("features").stdout)["linux"]
    assert set(system["namespaces"]) == set(definitions["NamespaceType"]["enum"])
    assert set(system["seccomp"]["actions"]) == set(definitions["SeccompAction"]["enum"])
    assert set(system["seccomp"]["operators"]) == set(definitions["SeccompOperators"]["enum"])
    assert set(system["seccomp"]["archs"]) == set(definitions["SeccompArch"]["enum"])
    assert set(system["seccomp"]["knownFlags"]) == set(definitions["SeccompFlag"]["enum"])
    assert set(system["memoryPolicy"]["modes"]) == set(definitions["MemoryPolicyMode"]["enum"])
    assert set(system["memoryPolicy"]["flags"]) == set(definitions["MemoryPolicyFlag"]["enum"])
