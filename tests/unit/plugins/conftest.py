"""Makes this checkout importable as ``ansible_collections.wherry.node``, as Ansible does it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session", autouse=True)
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for ``collections_path``."""
    root = tmp_path_factory.mktemp("collections")
    place = root / "ansible_collections" / "wherry"
    place.mkdir(parents=True)
    (place / "node").symlink_to(REPOSITORY)
    sys.path.insert(0, str(root))
    return root
