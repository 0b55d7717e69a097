"""What the kernel of this machine offers to containers, for those who ask the agent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from wherry.aio import in_thread


async def kernel_report() -> dict[str, Any]:
    """The C core's kernel check as it prints it: release, config, live, findings. Takes a moment; holds nobody up."""
    from wherry.native import kernel_check

    return asdict(await in_thread(kernel_check))
