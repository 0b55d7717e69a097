"""The table "Folders" of docs/internals.md, enforced: an import that runs back up it is a defect."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import wherry

ROOT = Path(wherry.__file__).parent

FOUNDATION = {"errors", "aio", "pipes", "ids", "names", "paths", "config"}
NOUN = FOUNDATION | {"state", "host", "native", "events"}
NOUNS = {"containers", "images", "networks", "volumes"}
# A name with a dot allows that module alone: tables know the records that they hold and nothing else of a noun.
ALLOWED = {
    "errors": set(),
    "aio": set(),
    "pipes": {"aio"},
    "ids": set(),
    "names": {"errors"},
    "paths": {"errors", "ids"},
    "config": {"errors", "paths", "config_options"},
    "config_options": {"errors", "config"},
    "native": {"errors", "native_model"},
    "native_model": set(),
    "state": {"errors", *(f"{noun}.model" for noun in NOUNS)},
    "events": {"errors", "state"},
    "host": {"errors", "aio", "native"},
    "registry": {"errors", "aio"},
    "volumes": NOUN,
    "networks": NOUN,
    "images": NOUN | {"registry"},
    "containers": NOUN | {"images", "networks", "volumes"},
    "engine": FOUNDATION | NOUNS | {"registry"},
    "agent": NOUN | NOUNS | {"engine", "registry"},
    "api": FOUNDATION | NOUNS | {"engine", "registry", "events", "host", "agent"},
    "cli": FOUNDATION | NOUNS | {"engine", "events", "host", "native", "agent", "api", "config_options", "state"},
}
# Modules that only one part of the agent may touch.
DOORS = {
    "sqlite3": {"state"},
    "wherry._native": {"native"},
    "h11": {"api", "registry"},
    "wsproto": {"api"},
    "pyroute2": {"networks", "host"},
}


def parts() -> list[str]:
    return sorted({_part(path) for path in ROOT.rglob("*.py")} - {"__init__", "native_build"})


def _part(path: Path) -> str:
    relative = path.relative_to(ROOT)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            if node.module == "wherry":
                yield from (f"wherry.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _is_allowed(part: str, module: str) -> bool:
    target = module.split(".")[1:]
    if not target or target[0] in {part, "__version__"}:
        return True
    return target[0] in ALLOWED[part] or ".".join(target[:2]) in ALLOWED[part]


@pytest.mark.parametrize("part", parts())
def test_imports_run_downwards(part: str) -> None:
    assert part in ALLOWED, f"docs/internals.md and this test do not know {part}"
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in ROOT.rglob("*.py")
        if _part(path) == part
        for module in _imports(path)
        if module.split(".")[0] == "wherry" and module != "wherry._native" and not _is_allowed(part, module)
    ]
    assert wrong == []


@pytest.mark.parametrize("module", DOORS)
def test_only_one_part_touches(module: str) -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        for name in _imports(path)
        if (name == module or name.startswith(module + ".")) and _part(path) not in DOORS[module]
    ]
    assert wrong == []


def test_help_imports_nothing_heavy() -> None:
    """``wherryd --help`` and ``--validate`` answer at once: what is heavy is imported when the agent starts."""
    script = (
        "import sys\nfrom wherry.cli.daemon_options import parse\nfrom wherry import config\n"
        "import wherry.cli.daemon\nconfig.load(parse([]).flags)\n"
        "print([name for name in ('pyroute2', 'cffi', 'sqlite3', 'h11', 'wherry.agent') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env={"PYTHONPATH": str(ROOT.parent)}
    )
    assert found.stdout.strip() == "[]"
