"""What the stress tests share: an agent for a module's tests, a client of it, and the seed of this run."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.stress.engine_client import Engine
from tests.integration.stress.storm import IMAGE
from tests.integration.support.private_agent import PrivateAgent


@pytest.fixture(scope="session")
def seed() -> int:
    """WHERRY_STRESS_SEED, else another one each time; printed, and so shown with a test that fails."""
    chosen = int(os.environ.get("WHERRY_STRESS_SEED") or random.randrange(1 << 30))
    print(f"WHERRY_STRESS_SEED={chosen}")
    return chosen


@pytest.fixture(scope="module")
def host(rootfs_archive: Path) -> Iterator[PrivateAgent]:
    """An agent with an image of busybox; nothing may be left of its containers in the end."""
    with PrivateAgent() as running:
        running.docker("import", "-c", 'CMD ["/bin/sh"]', str(rootfs_archive), IMAGE)
        yield running


@pytest.fixture
def engine(host: PrivateAgent) -> Engine:
    """A client of that agent."""
    return Engine(host.socket)
