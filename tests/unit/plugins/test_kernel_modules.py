"""Modules that shall be loaded at boot are written where the host's init system reads them, once."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def kernel_modules() -> Any:
    return importlib.import_module("ansible_collections.wherry.node.plugins.module_utils.kernel_modules")


def write(root: Path, name: str, content: str = "") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_systemd_gets_a_file_of_its_own(kernel_modules: Any, tmp_path: Path) -> None:
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    write(tmp_path, "etc/modules", "loop\n")
    done = kernel_modules.persist(["loop", "overlay"], write=True, root=str(tmp_path))
    assert done["modules"] == ["loop", "overlay"]
    lines = (tmp_path / "etc/modules-load.d/wherry.conf").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["loop", "overlay"]


def test_gentoo_gets_a_further_value_of_its_variable(kernel_modules: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "etc/conf.d/modules", '# mine\nmodules="loop fuse"\n')
    done = kernel_modules.persist(["loop", "macvlan", "overlay"], write=True, root=str(tmp_path))
    assert done["modules"] == ["macvlan", "overlay"]
    assert path.read_text().startswith('# mine\nmodules="loop fuse"\n')
    assert path.read_text().endswith('modules="${modules} macvlan overlay"\n')


def test_etc_modules_is_continued(kernel_modules: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "etc/modules", "# a comment\nloop max_loop=8")
    done = kernel_modules.persist(["loop", "overlay"], write=True, root=str(tmp_path))
    assert done["modules"] == ["overlay"]
    assert path.read_text().splitlines()[1] == "loop max_loop=8"
    assert path.read_text().splitlines()[-1] == "overlay"


@pytest.mark.parametrize("name", ["etc/conf.d/modules", "etc/modules", "run/systemd/system/x"])
def test_a_second_time_nothing_is_written(kernel_modules: Any, tmp_path: Path, name: str) -> None:
    write(tmp_path, name)
    first = kernel_modules.persist(["loop", "overlay"], write=True, root=str(tmp_path))
    content = Path(first["path"]).read_text()
    assert kernel_modules.persist(["loop", "overlay"], write=True, root=str(tmp_path))["modules"] == []
    assert Path(first["path"]).read_text() == content


def test_check_mode_writes_nothing(kernel_modules: Any, tmp_path: Path) -> None:
    done = kernel_modules.persist(["overlay"], write=False, root=str(tmp_path))
    assert done["modules"] == ["overlay"]
    assert not (tmp_path / "etc").exists()
