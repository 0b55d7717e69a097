"""What is being worked with and must not be collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Leases:
    """Digests of blobs and chain IDs that are held, counted; and the times in which nothing may be collected."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._freezes = 0

    @contextmanager
    def hold(self, *digests: str) -> Iterator[None]:
        """Keeps these while the block runs. Look whether they are there after this, without an await in between."""
        self._held.update(digests)
        try:
            yield
        finally:
            self._held.subtract(digests)
            self._held += Counter()  # drops those at zero

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Keeps everything while the block runs: for work that learns digests only by doing."""
        self._freezes += 1
        try:
            yield
        finally:
            self._freezes -= 1

    @property
    def frozen(self) -> bool:
        """Whether nothing may be collected now."""
        return self._freezes > 0

    def holds(self, digest: str) -> bool:
        """Whether somebody works with it."""
        return self._held[digest] > 0
