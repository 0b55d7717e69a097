"""Fixtures: a container under a monitor, with a cgroup of its own that must be gone in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.integration.monitor.harness import Watched
from tests.integration.runtime.conftest import bundle, cgroup, cgroup_parent
from tests.integration.runtime.harness import Bundle

__all__ = ["bundle", "cgroup", "cgroup_parent"]


@pytest_asyncio.fixture
async def watched(tmp_path: Path, bundle: Bundle) -> AsyncIterator[Watched]:
    """A container under a monitor; after the test neither is left."""
    one = Watched(bundle, tmp_path)
    yield one
    await one.close()
    left = [path.name for path in (tmp_path / "root").glob("*") if path.name != ".seccomp"]
    assert left == []
