"""Loading modules: what is loaded and made to last, told apart from what is there already."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


class FakeModule:
    """An AnsibleModule whose commands are noted and not run."""

    check_mode = False

    def __init__(self, modules: list[str]) -> None:
        self.params = {"modules": modules, "required": []}
        self.commands: list[list[str]] = []

    def get_bin_path(self, name: str, **_: object) -> str:
        return f"/sbin/{name}"

    def run_command(self, command: list[str]) -> tuple[int, str, str]:
        self.commands.append(command)
        return 0, "", ""


def finding(name: str, state: str, module: str) -> dict[str, Any]:
    return {"name": name, "state": state, "module": module, "required": False, "breaks": "", "remedy": ""}


@pytest.fixture
def kernel_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The module, on a host whose root is a temporary directory."""
    found = importlib.import_module("ansible_collections.wherry.node.plugins.modules.kernel_check")
    persist = found.kernel_modules.persist
    monkeypatch.setattr(
        found.kernel_modules, "persist", lambda modules, write: persist(modules, write, root=str(tmp_path))
    )
    return found


def test_only_what_is_not_loaded_is_loaded_and_all_of_it_lasts(kernel_check: Any, tmp_path: Path) -> None:
    module = FakeModule(["loop", "overlay", "bridge", "absent"])
    findings = [
        finding("CONFIG_BLK_DEV_LOOP", "module-not-loaded", "loop"),
        finding("CONFIG_OVERLAY_FS", "module", "overlay"),
        finding("CONFIG_BRIDGE", "built-in", "bridge"),
        finding("CONFIG_ABSENT", "missing", "absent"),
        finding("CONFIG_MACVLAN", "module-not-loaded", "macvlan"),
    ]
    loaded, persisted = kernel_check.load(module, findings, [findings[4]])
    assert loaded == ["loop", "macvlan"]
    assert module.commands == [["/sbin/modprobe", "loop"], ["/sbin/modprobe", "macvlan"]]
    assert persisted["modules"] == ["loop", "macvlan", "overlay"]
    assert (tmp_path / "etc/modules-load.d/wherry.conf").read_text().endswith("loop\nmacvlan\noverlay\n")


def test_check_mode_loads_and_writes_nothing(kernel_check: Any, tmp_path: Path) -> None:
    module = FakeModule(["loop"])
    module.check_mode = True
    loaded, persisted = kernel_check.load(module, [finding("X", "module-not-loaded", "loop")], [])
    assert (loaded, persisted["modules"]) == (["loop"], ["loop"])
    assert module.commands == []
    assert not (tmp_path / "etc").exists()
