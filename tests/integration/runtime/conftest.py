"""Fixtures: a bundle of busybox and the runtime with a root of its own, in a cgroup of the test's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.runtime.harness import CGROUPS, PROGRAM, Bundle, Runtime, cgroup_directories

if not PROGRAM.exists():
    pytest.skip("wherry-runtime is not built", allow_module_level=True)

PARENT = f"/wherry-test-{os.getpid()}"


@pytest.fixture(scope="session", autouse=True)
def cgroup_parent() -> Iterator[str]:
    """The group under which the containers' groups are made; removed in the end."""
    yield PARENT
    for hierarchy in CGROUPS.iterdir():
        path = hierarchy / PARENT.lstrip("/")
        if path.exists():
            path.rmdir()


@pytest.fixture
def cgroup(request: pytest.FixtureRequest) -> Iterator[str]:
    """The group of this test's container, which has to be gone when the test has deleted it."""
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:100]
    yield f"{PARENT}/{name}"
    assert cgroup_directories(f"{PARENT}/{name}") == []


@pytest.fixture
def bundle(tmp_path: Path, cgroup: str) -> Bundle:
    """A bundle of busybox."""
    tmp_path.chmod(0o755)
    return Bundle(tmp_path / "bundle", cgroup)


@pytest.fixture
def runtime(tmp_path: Path, bundle: Bundle) -> Iterator[Runtime]:
    """The runtime; its containers are deleted in the end, and nothing of them may remain."""
    one = Runtime(tmp_path / "root", bundle)
    yield one
    one.clean()
    remaining = [path.name for path in one.root.glob("*") if path.name != ".seccomp"]
    assert remaining == []
