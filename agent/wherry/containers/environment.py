"""The environment of a container's processes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from wherry.containers.model import ContainerConfig

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def merge_with_image(given: Sequence[str], image: Sequence[str]) -> tuple[str, ...]:
    """What a container keeps: the image's entries, each replaced by a given one of the same name, then the rest.

    A given entry without ``=`` stays as it is: it takes the variable away when the process starts.
    """
    names = {_name(entry) for entry in given}
    return (*given, *(entry for entry in image if _name(entry) not in names))


def process_environment(
    config: ContainerConfig, hostname: str, home: str, linked: Iterable[str] = (), extra: Iterable[str] = ()
) -> list[str]:
    """The variables of the first process (and, with ``extra``, of an exec).

    PATH, HOSTNAME, TERM, what the links tell, the container's own, HOME: the later one of two counts.
    """
    variables = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if config.tty:
        variables["TERM"] = "xterm"
    for entry in (*linked, *config.env, *extra):
        name, equals, value = entry.partition("=")
        if equals:
            variables[name] = value
        else:
            variables.pop(name, None)
    if not variables.get("HOME"):  # an empty one counts as none, as in Docker
        variables["HOME"] = home
    return [f"{name}={value}" for name, value in variables.items()]


def _name(entry: str) -> str:
    return entry.partition("=")[0]
