"""A create request's configuration with the image's defaults under it, by Docker's rules."""

from __future__ import annotations

from dataclasses import replace

from wherry.containers import health_config
from wherry.containers.environment import merge_with_image
from wherry.containers.model import ContainerConfig
from wherry.errors import InvalidParameter
from wherry.images.model import ImageConfig


def with_image_defaults(given: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """What is recorded and shown by inspect.

    A given entrypoint hides the image's command too; an entrypoint of one empty word is none at all.
    """
    entrypoint, cmd = given.entrypoint, given.cmd
    if not entrypoint:
        cmd = cmd or image.cmd
        if entrypoint is None:
            entrypoint = image.entrypoint
    elif entrypoint == ("",):
        entrypoint = None
    return replace(
        given,
        user=given.user or image.user,
        env=merge_with_image(given.env, image.env),
        entrypoint=entrypoint or None,
        cmd=cmd,
        working_dir=given.working_dir or _absolute(image.working_dir),
        exposed_ports=tuple(dict.fromkeys((*image.exposed_ports, *given.exposed_ports))),
        volumes=tuple(dict.fromkeys((*image.volumes, *given.volumes))),
        labels={**image.labels, **given.labels},
        stop_signal=given.stop_signal or image.stop_signal or "",
        on_build=given.on_build,
        shell=given.shell or image.shell,
        healthcheck=health_config.with_image(given.healthcheck, image.healthcheck),
    )


def command_line(config: ContainerConfig) -> tuple[str, tuple[str, ...]]:
    """Program and arguments; raises ``InvalidParameter`` when there is nothing to run."""
    words = (*(config.entrypoint or ()), *(config.cmd or ()))
    if not words:
        raise InvalidParameter("no command specified")
    return words[0], words[1:]


def _absolute(path: str) -> str:
    """An image may say ``app`` where it means ``/app``."""
    return path if not path or path.startswith("/") else f"/{path}"
