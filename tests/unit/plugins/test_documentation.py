"""What the documentation of a module says is what the module takes."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[3]
MODULES = sorted(path.stem for path in (REPOSITORY / "plugins/modules").glob("*.py"))
WITHOUT_AGENT = {"current_container_facts", "registry_htpasswd"}
PLUGIN_FILES = sorted((REPOSITORY / "plugins").rglob("*.py"))
COMPARED = ("type", "elements", "required", "choices", "default", "aliases")
DEFAULTS = {"required": False, "type": "str", "aliases": []}


def load(name: str) -> Any:
    """The module itself."""
    return importlib.import_module(f"ansible_collections.wherry.node.plugins.modules.{name}")


def option_facts(option: Mapping[str, Any], nested: str) -> dict[str, Any]:
    """An option as both sides say it."""
    facts = {key: option.get(key, DEFAULTS.get(key)) for key in COMPARED}
    facts["nested"] = {name: option_facts(inner, nested) for name, inner in (option.get(nested) or {}).items()}
    return facts


@pytest.mark.parametrize("name", MODULES)
def test_documented_options_are_the_options(name: str) -> None:
    module = load(name)
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    assert {key: option_facts(option, "suboptions") for key, option in documented.items()} == {
        key: option_facts(option, "options") for key, option in module.OPTIONS.items()
    }


@pytest.mark.parametrize("name", MODULES)
def test_every_attribute_is_declared(name: str) -> None:
    documented = yaml.safe_load(load(name).DOCUMENTATION)
    shared = importlib.import_module(
        "ansible_collections.wherry.node.plugins.doc_fragments.attributes"
    ).ModuleDocFragment
    attributes = dict(documented.get("attributes", {}))
    for fragment in documented["extends_documentation_fragment"]:
        if fragment.startswith("wherry.node.attributes."):
            text = getattr(shared, fragment.rpartition(".")[2].upper())
            attributes.update(yaml.safe_load(text)["attributes"])
    assert {"check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)


@pytest.mark.parametrize("name", MODULES)
def test_examples_use_options_that_exist(name: str) -> None:
    module = load(name)
    for task in yaml.safe_load(module.EXAMPLES):
        arguments = task[f"wherry.node.{name}"] or {}
        assert set(arguments) <= set(module.OPTIONS) | {"agent"}


def test_every_module_is_in_the_action_group() -> None:
    groups = yaml.safe_load((REPOSITORY / "meta/runtime.yml").read_text())["action_groups"]
    assert sorted(groups["agent"]) == [name for name in MODULES if name not in WITHOUT_AGENT]


def test_ansible_doc_renders_every_module(collection: Path) -> None:
    names = [f"wherry.node.{name}" for name in MODULES]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collection), "ANSIBLE_HOME": str(collection / "home")}
    command = [str(Path(sys.executable).with_name("ansible-doc")), "--type", "module", "--json", *names]
    done = subprocess.run(command, env=environment, cwd=collection, capture_output=True, check=True)
    rendered = json.loads(done.stdout)
    assert sorted(rendered) == names
    without = {f"wherry.node.{name}" for name in WITHOUT_AGENT}
    assert {name for name in names if "agent" not in rendered[name]["doc"]["options"]} == without


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_plugins_are_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 8))


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_plugins_say_their_licence(path: Path) -> None:
    assert "# SPDX-License-Identifier: GPL-3.0-or-later" in path.read_text(encoding="utf-8").splitlines()[:4]


@pytest.mark.parametrize("path", PLUGIN_FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_plugins_import_the_standard_library_and_ansible_only(path: Path) -> None:
    allowed = set(sys.stdlib_module_names) | {"ansible", "ansible_collections"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert {name.partition(".")[0] for name in names} <= allowed
