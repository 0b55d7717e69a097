"""The document of a network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wherry.engine.documents import fields
from wherry.engine.documents.networks import subnets
from wherry.errors import InvalidParameter
from wherry.networks.model import PREDEFINED, Subnet

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")


@dataclass(frozen=True)
class NetworkDocument:
    """A network as declared; ``None`` is not declared."""

    kind: ClassVar[str] = "network"

    name: str
    state: str = "present"
    driver: str | None = None
    driver_options: Mapping[str, str] | None = None
    ipam_driver: str | None = None
    ipam_driver_options: Mapping[str, str] | None = None
    ipam_config: tuple[Subnet, ...] | None = None
    enable_ipv4: bool | None = None
    enable_ipv6: bool | None = None
    internal: bool | None = None
    attachable: bool | None = None
    labels: Mapping[str, str] | None = None
    connected: tuple[str, ...] | None = None
    appends: bool = False
    force: bool = False

    @property
    def identity(self) -> str:
        """What two documents of one network have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> NetworkDocument:
    """Reads the options of a network; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    document = NetworkDocument(
        name=options.required("name", _name),
        state=options.default("state", fields.choice("present", "absent"), "present"),
        driver=options.get("driver", fields.filled),
        driver_options=options.get("driver_options", _driver_options),
        ipam_driver=options.get("ipam_driver", fields.filled),
        ipam_driver_options=options.get("ipam_driver_options", _driver_options),
        ipam_config=options.get("ipam_config", subnets),
        enable_ipv4=options.get("enable_ipv4", fields.flag),
        enable_ipv6=options.get("enable_ipv6", fields.flag),
        internal=options.get("internal", fields.flag),
        attachable=options.get("attachable", fields.flag),
        labels=options.get("labels", fields.text_map),
        connected=options.get("connected", fields.texts),
        appends=options.default("appends", fields.flag, False),
        force=options.default("force", fields.flag, False),
    )
    options.finish()
    if document.name in PREDEFINED:
        raise InvalidParameter("is a predefined network that cannot be declared", field="name", value=document.name)
    return document


def _name(value: Any, where: str) -> str:
    if not _NAME.fullmatch(fields.text(value, where)) or value == "default":
        allowed = "a-z, A-Z, 0-9, _, . and -, a letter or digit first"
        raise InvalidParameter("is not a network's name", field=where, value=value, allowed=allowed)
    return str(value)


def _driver_options(value: Any, where: str) -> dict[str, str]:
    """Texts; a boolean is written as Docker reads it, a number has but one spelling."""
    if not isinstance(value, Mapping):
        raise InvalidParameter("must be a dictionary", field=where, value=value)
    return {
        str(name): str(content).lower() if isinstance(content, bool) else str(content)
        for name, content in value.items()
    }
