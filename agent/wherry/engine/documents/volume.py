"""The document of a volume."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wherry.engine.documents import fields
from wherry.errors import InvalidParameter
from wherry.volumes.model import LOCAL_DRIVER, LOOP_DRIVER

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")


@dataclass(frozen=True)
class VolumeDocument:
    """A volume as declared; ``None`` is not declared. ``recreate`` says what a difference leads to."""

    kind: ClassVar[str] = "volume"

    name: str
    state: str = "present"
    driver: str | None = None
    driver_options: Mapping[str, str] | None = None
    labels: Mapping[str, str] | None = None
    recreate: str = "never"

    @property
    def identity(self) -> str:
        """What two documents of one volume have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> VolumeDocument:
    """Reads the options of a volume; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    document = VolumeDocument(
        name=options.required("name", _name),
        state=options.default("state", fields.choice("present", "absent"), "present"),
        driver=options.get("driver", fields.choice(LOCAL_DRIVER, LOOP_DRIVER)),
        driver_options=options.get("driver_options", _driver_options),
        labels=options.get("labels", fields.text_map),
        recreate=options.default("recreate", fields.choice("always", "never", "options-changed"), "never"),
    )
    options.finish()
    return document


def _name(value: Any, where: str) -> str:
    if not _NAME.fullmatch(fields.text(value, where)):
        allowed = "two or more of a-z, A-Z, 0-9, _, . and -, a letter or digit first"
        raise InvalidParameter("is not a volume's name", field=where, value=value, allowed=allowed)
    return str(value)


def _driver_options(value: Any, where: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise InvalidParameter("must be a dictionary", field=where, value=value)
    return {str(name): str(content) for name, content in value.items()}
