"""The document of a registry rule: whom the agent asks for the images of a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wherry.engine.documents import fields
from wherry.errors import InvalidParameter
from wherry.registry.mirror_rules import MIRROR_KEYS, RULE_KEYS, parse_rule

_MIRROR_OPTIONS = tuple(key for key in MIRROR_KEYS if key != "location")
_RULE_OPTIONS = tuple(key for key in RULE_KEYS if key != "prefix")
_SPELLINGS = {"prefix": "registry", "location": "url"}


@dataclass(frozen=True)
class MirrorDocument:
    """A rule as declared: ``declared`` has the keys of ``parse_rule`` that are declared, and nothing else."""

    kind: ClassVar[str] = "registry_mirror"

    name: str
    state: str
    declared: Mapping[str, Any]

    @property
    def identity(self) -> str:
        """What two documents of one rule have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> MirrorDocument:
    """Reads the options of a rule; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    registry = options.get("registry", fields.filled)
    name = options.get("name", fields.filled)
    prefix = registry or name
    if prefix is None:
        raise InvalidParameter("is required", field="registry")
    state = options.default("state", fields.choice("present", "absent"), "present")
    declared: dict[str, Any] = {}
    for option in _RULE_OPTIONS:
        value = options.get(option, _mirrors if option == "mirrors" else _anything)
        if value is not None:
            declared[option] = value
    url = options.get("url", fields.text)
    if url is not None:
        declared["location"] = url
    options.finish()
    rule = checked({"prefix": prefix, **declared} if state == "present" else {"prefix": prefix})
    return MirrorDocument(rule.prefix, state, declared)


def checked(body: Mapping[str, Any]) -> Any:
    """The rule of these keys; errors speak of options as users write them."""
    try:
        return parse_rule(body)
    except InvalidParameter as error:
        head, dot, last = (error.field or "").rpartition(".")
        field = f"{head}{dot}{_SPELLINGS.get(last, last)}" if error.field else None
        raise InvalidParameter(error.message, field=field, value=error.value, allowed=error.allowed) from None


def _anything(value: Any, _where: str) -> Any:
    """Read by ``parse_rule``, which knows what is allowed."""
    return value


def _mirrors(value: Any, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, (list, tuple)):
        raise InvalidParameter("must be a list", field=where, value=value)
    mirrors: list[dict[str, Any]] = []
    for number, entry in enumerate(value):
        place = f"{where}[{number}]"
        if isinstance(entry, str):
            mirrors.append({"location": entry})
            continue
        options = fields.suboptions(entry, place)
        mirror: dict[str, Any] = {"location": options.required("url", fields.text)}
        for option in _MIRROR_OPTIONS:
            given = options.get(option, _anything)
            if given is not None:
                mirror[option] = given
        options.finish()
        mirrors.append(mirror)
    return mirrors
