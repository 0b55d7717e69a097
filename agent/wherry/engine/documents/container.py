"""The document of a container: what is declared of it, and how the engine shall go about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wherry.containers.model import EndpointSettings
from wherry.engine.documents import container_values as values
from wherry.engine.documents import fields, ports
from wherry.engine.documents.container_properties import PROPERTIES, PUBLISHED
from wherry.engine.documents.networks import attachments
from wherry.engine.documents.property import Shape
from wherry.errors import InvalidParameter
from wherry.images.platform import parse as parse_platform
from wherry.images.reference import is_identifier
from wherry.images.reference import parse as parse_reference

STATES = ("absent", "present", "started", "healthy", "stopped")
RUNNING = frozenset({"started", "healthy"})
COMPARISONS = ("strict", "ignore", "allow_more_present")
_NAME = re.compile(r"/?[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_PULL = {True: "always", False: "missing"}


@dataclass(frozen=True)
class Handling:
    """How the engine goes about it: nothing of this is compared."""

    cleanup: bool = False
    detach: bool = True
    output_logs: bool = False
    force_kill: bool = False
    kill_signal: str = ""
    keep_volumes: bool = True
    stop_timeout: int | None = None
    pull: str = "missing"
    pull_check_mode_behavior: str = ""
    platform: str = ""
    recreate: bool = False
    restart: bool = False
    purge_networks: bool = False
    image_comparison: str = "desired-image"
    image_name_mismatch: str = "ignore"
    image_label_mismatch: str = "ignore"
    networks_cli_compatible: bool = True
    healthy_wait_timeout: float = 300.0
    removal_wait_timeout: float | None = None
    comparisons: Mapping[str, str] = field(default_factory=dict)

    def comparison(self, option: str, shape: Shape) -> str:
        """How an option is compared: as declared, else exactly, and sets and dictionaries by what they must hold."""
        default = "allow_more_present" if shape in {Shape.SET, Shape.DICT} else "strict"
        if option == "stop_timeout":
            default = "ignore"
        chosen = self.comparisons.get(option, self.comparisons.get("*", default))
        return "strict" if chosen == "allow_more_present" and shape is Shape.VALUE else chosen


@dataclass(frozen=True)
class ContainerDocument:
    """A container as declared. ``declared`` holds the values of ``PROPERTIES`` by option; what is not in it is open."""

    kind: ClassVar[str] = "container"

    name: str
    state: str = "started"
    image: str | None = None
    paused: bool | None = None
    declared: Mapping[str, Any] = field(default_factory=dict)
    network_mode: str | None = None
    networks: Mapping[str, EndpointSettings] | None = None
    handling: Handling = Handling()

    @property
    def identity(self) -> str:
        """What two documents of one container have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> ContainerDocument:
    """Reads the options of a container; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    declared = _declared(options)
    options.get("kernel_memory", _kernel_memory)
    document = ContainerDocument(
        name=options.required("name", container_name),
        state=options.default("state", fields.choice(*STATES), "started"),
        image=options.get("image", image_name),
        paused=options.get("paused", fields.flag),
        declared=declared,
        network_mode=options.get("network_mode", fields.filled),
        networks=options.get("networks", attachments),
        handling=_handling(options),
    )
    options.finish()
    _check_together(document)
    return document


def container_name(value: Any, where: str) -> str:
    """A container's name, without the slash that Docker shows."""
    if not _NAME.fullmatch(fields.text(value, where)):
        allowed = "two or more of a-z, A-Z, 0-9, _, . and -, a letter or digit first"
        raise InvalidParameter("is not a container's name", field=where, value=value, allowed=allowed)
    return str(value).removeprefix("/")


def image_name(value: Any, where: str) -> str:
    """An image's name, or its ID."""
    text = fields.filled(value, where)
    if text.startswith("sha256:") and is_identifier(text):
        return text
    try:
        parse_reference(text)
    except InvalidParameter as error:
        allowed = "[REGISTRY/]NAME[:TAG][@DIGEST], lower case"
        message = f"is not an image's name ({error.message})"
        raise InvalidParameter(message, field=where, value=value, allowed=allowed) from None
    return text


def _kernel_memory(value: Any, where: str) -> None:
    allowed = "memory, which kernel memory is part of"
    raise InvalidParameter(
        "is not supported: kernels have no such limit any more", field=where, value=value, allowed=allowed
    )


def _declared(options: fields.Options) -> dict[str, Any]:
    declared = {}
    for option, made in PROPERTIES.items():
        if made is not PUBLISHED:
            found = options.get(option, made.read)
            if found is not None:
                declared[option] = found
    default_ip = options.default("default_host_ip", _host_ip, "")
    found = options.get(PUBLISHED.option, lambda value, where: ports.published(value, where, default_ip))
    if found is not None:
        declared[PUBLISHED.option] = found
    file = options.get("env_file", fields.absolute_path)
    if file is not None:
        declared["env"] = _merged(values.environment_file(file, "env_file"), declared.get("env", ()))
    return declared


def _host_ip(value: Any, where: str) -> str:
    return fields.address()(value, where) if value else ""


def _merged(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Assignments of both; the second one's win."""
    names = {entry.partition("=")[0]: entry for entry in (*first, *second)}
    return tuple(names.values())


def _handling(options: fields.Options) -> Handling:
    defaults = Handling()
    return Handling(
        cleanup=options.default("cleanup", fields.flag, defaults.cleanup),
        detach=options.default("detach", fields.flag, defaults.detach),
        output_logs=options.default("output_logs", fields.flag, defaults.output_logs),
        force_kill=options.default("force_kill", fields.flag, defaults.force_kill),
        kill_signal=options.default("kill_signal", values.stop_signal, defaults.kill_signal),
        keep_volumes=options.default("keep_volumes", fields.flag, defaults.keep_volumes),
        stop_timeout=options.get("stop_timeout", fields.whole(-1)),
        pull=options.default("pull", _pull, defaults.pull),
        pull_check_mode_behavior=options.default(
            "pull_check_mode_behavior", fields.choice("image_not_present", "always"), defaults.pull_check_mode_behavior
        ),
        platform=options.default("platform", _platform, defaults.platform),
        recreate=options.default("recreate", fields.flag, defaults.recreate),
        restart=options.default("restart", fields.flag, defaults.restart),
        purge_networks=options.default("purge_networks", fields.flag, defaults.purge_networks),
        image_comparison=options.default(
            "image_comparison", fields.choice("desired-image", "current-image"), defaults.image_comparison
        ),
        image_name_mismatch=options.default(
            "image_name_mismatch", fields.choice("ignore", "recreate"), defaults.image_name_mismatch
        ),
        image_label_mismatch=options.default(
            "image_label_mismatch", fields.choice("ignore", "fail"), defaults.image_label_mismatch
        ),
        networks_cli_compatible=options.default(
            "networks_cli_compatible", fields.flag, defaults.networks_cli_compatible
        ),
        healthy_wait_timeout=options.default("healthy_wait_timeout", fields.seconds, defaults.healthy_wait_timeout),
        removal_wait_timeout=options.get("removal_wait_timeout", fields.seconds),
        comparisons=options.default("comparisons", _comparisons, {}),
    )


def _pull(value: Any, where: str) -> str:
    if isinstance(value, bool):
        return _PULL[value]
    lowered = value.lower() if isinstance(value, str) else value
    return {"true": "always", "yes": "always", "false": "missing", "no": "missing"}.get(
        str(lowered), ""
    ) or fields.choice("always", "missing", "never")(value, where)


def _platform(value: Any, where: str) -> str:
    try:
        parse_platform(fields.text(value, where))
    except InvalidParameter:
        allowed = "such as linux/amd64"
        raise InvalidParameter("is not a platform", field=where, value=value, allowed=allowed) from None
    return str(value)


def _comparisons(value: Any, where: str) -> dict[str, str]:
    found = fields.map_of(fields.choice(*COMPARISONS))(value, where)
    for option, chosen in found.items():
        field_name = f"{where}.{option}"
        if option not in PROPERTIES and option not in {"*", "image", "networks", "network_mode"}:
            raise InvalidParameter("is not an option that is compared", field=field_name)
        shape = PROPERTIES[option].shape if option in PROPERTIES else Shape.VALUE
        if chosen == "allow_more_present" and shape is Shape.VALUE and option not in {"*", "networks"}:
            allowed = "strict or ignore, for the option is a single value"
            raise InvalidParameter("unknown choice", field=field_name, value=chosen, allowed=allowed)
    return found


def _check_together(document: ContainerDocument) -> None:
    """Options that must not, or must, stand beside each other."""
    declared = document.declared
    if declared.get("restart_retries") and declared.get("restart_policy") != "on-failure":
        raise InvalidParameter(
            "is only for restart_policy on-failure", field="restart_retries", value=declared["restart_retries"]
        )
    if declared.get("auto_remove") and declared.get("restart_policy", "no") != "no":
        raise InvalidParameter(
            "must be no for a container with auto_remove", field="restart_policy", value=declared["restart_policy"]
        )
    if "cpus" in declared and declared["cpus"] and (declared.get("cpu_quota") or declared.get("cpu_period")):
        raise InvalidParameter("is one way to say it, cpu_period with cpu_quota the other; use one", field="cpus")
    swap, memory = declared.get("memory_swap", 0), declared.get("memory", 0)
    if swap > 0 and memory and swap < memory:
        raise InvalidParameter("must not be smaller than memory, which it includes", field="memory_swap", value=swap)
    mode = document.network_mode or ""
    if document.networks and (mode in {"host", "none"} or mode.startswith("container:")):
        raise InvalidParameter(f"cannot be joined with network_mode {mode}", field="networks")
