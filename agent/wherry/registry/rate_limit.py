"""How many pulls a registry still allows, as it says in the headers of its answers.

Source: Docker Hub's documentation and the draft that its headers follow: ``ratelimit-limit: 100;w=21600``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_VALUE = re.compile(r"\s*([0-9]{1,12})\s*(?:;\s*w=([0-9]{1,9}))?\s*(?:[;,].*)?")


@dataclass(frozen=True)
class RateLimit:
    """``remaining`` of ``limit`` requests are left in a window of ``seconds``; 0 where that was not said."""

    limit: int
    remaining: int
    seconds: int = 0

    def __str__(self) -> str:
        window = f" in {self.seconds / 3600:g} h" if self.seconds else ""
        return f"{self.remaining} of {self.limit} left{window}"


def read_rate_limit(headers: Mapping[str, str]) -> RateLimit | None:
    """The limit that an answer tells of; ``None`` where it says nothing that can be read."""
    for prefix in ("ratelimit", "x-ratelimit"):
        limit = _VALUE.fullmatch(headers.get(f"{prefix}-limit", ""))
        remaining = _VALUE.fullmatch(headers.get(f"{prefix}-remaining", ""))
        if limit and remaining:
            return RateLimit(int(limit[1]), int(remaining[1]), int(limit[2] or remaining[2] or 0))
    return None
