"""The OCI runtime's verbs that the agent calls itself; all else goes through the monitor."""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Mapping

from wherry.aio import in_thread
from wherry.containers.context import Context
from wherry.containers.model import Container
from wherry.errors import SystemFailure

TIMEOUT_SECONDS = 30
OTHER_STATES = ("does not exist", "is stopped", "is creating", "is not paused", "no such")


class OutOfState(SystemFailure):
    """The container is not, or no longer, in the state that the verb asks for: gone, stopped, not paused."""


async def pause(context: Context, container: Container) -> None:
    """Freezes every process of the container."""
    await _run(context, container, "pause", container.id)


async def resume(context: Context, container: Container) -> None:
    """Lets them go on."""
    await _run(context, container, "resume", container.id)


async def update(context: Context, container: Container, resources: Mapping[str, object]) -> None:
    """Applies limits to the running container; ``resources`` is ``linux.resources`` of config.json."""
    await _run(context, container, "update", "--resources", "-", container.id, given=json.dumps(resources))


async def delete(context: Context, container: Container) -> None:
    """Kills what is left of a container whose monitor is gone, and removes its cgroups and the runtime's record.

    Harmless when there is nothing: ``delete --force`` then succeeds or says that there is no such container.
    """
    with contextlib.suppress(OutOfState):
        await _run(context, container, "delete", "--force", container.id)


async def delete_unknown(context: Context, container_id: str) -> None:
    """The same for one of which only the runtime has a record."""
    with contextlib.suppress(OutOfState):
        await _run_verb(context, "", container_id, "delete", "--force", container_id)


async def _run(context: Context, container: Container, *arguments: str, given: str | None = None) -> None:
    await _run_verb(context, container.host_config.runtime, container.id, *arguments, given=given)


async def _run_verb(
    context: Context, runtime_name: str, container_id: str, *arguments: str, given: str | None = None
) -> None:
    runtime = context.runtime(runtime_name)
    program = runtime.program
    command = [str(program), *runtime.arguments, "--root", str(context.paths.runtime), *arguments]

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS, errors="replace"
        )

    try:
        done = await in_thread(run)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SystemFailure(f"{program} {arguments[0]}: {error}") from error
    if done.returncode:
        kind = OutOfState if any(words in done.stderr.lower() for words in OTHER_STATES) else SystemFailure
        raise kind(f"{arguments[0]} {container_id[:12]}: {done.stderr.strip()}")
