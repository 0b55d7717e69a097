"""Plans for registry rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wherry.engine.documents.registry_mirror import MirrorDocument, checked
from wherry.engine.model import Action, Step, nothing
from wherry.engine.world import World
from wherry.registry.mirror_rules import rule_json

KIND = MirrorDocument.kind
SECRET = "********"
_SOURCE_DEFAULTS: Mapping[str, Any] = {
    "insecure": False, "ca": "", "username": "", "password": "", "token_hosts": [], "client_cert": "", "client_key": "",
    "headers": {}, "api_path": "/v2", "peers": [],
}  # fmt: skip


async def plan(document: MirrorDocument, world: World) -> list[Step]:
    """Makes, changes or removes a rule; options that are not declared keep what the rule has."""
    rules = world.nouns.images.mirrors
    existing = rules.get(document.name)
    if document.state == "absent":
        if existing is None:
            return [nothing(KIND, document.name, "there is no such rule")]

        async def remove() -> None:
            rules.remove(document.name)

        before = {"state": "present", **_shown(rule_json(existing, secrets=False))}
        return [Step(Action(KIND, document.name, "remove", "it shall be absent", before, {"state": "absent"}), remove)]
    current = rule_json(existing, secrets=True) if existing else {}
    rule = checked({"prefix": document.name, **current, **document.declared})
    rules.check(rule)
    wanted = rule_json(rule, secrets=True)
    changed = [key for key in document.declared if _of(current, key) != _of(wanted, key)]
    if existing is not None and not changed:
        return [nothing(KIND, document.name, "the rule is as declared")]

    async def declare() -> None:
        rules.set(wanted)

    if existing is None:
        after = {"state": "present", **_shown({key: _of(wanted, key) for key in document.declared})}
        return [
            Step(Action(KIND, document.name, "create", "there is no such rule", {"state": "absent"}, after), declare)
        ]
    before = _shown({key: _of(current, key) for key in changed})
    after = _shown({key: _of(wanted, key) for key in changed})
    reason = f"{', '.join(changed)} changed"
    return [Step(Action(KIND, document.name, "update", reason, before, after), declare)]


def _of(rule: Mapping[str, Any], key: str) -> Any:
    return rule.get(key, _SOURCE_DEFAULTS.get(key))


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """In option names, with stars for passwords."""
    shown: dict[str, Any] = {}
    for key, value in body.items():
        if key == "prefix":
            continue
        if key == "mirrors":
            shown[key] = [_mirror(entry) for entry in value or ()]
        elif key == "headers":
            shown[key] = dict.fromkeys(value or (), SECRET)
        elif key == "password":
            shown[key] = SECRET if value else ""
        else:
            shown["url" if key == "location" else key] = value
    return shown


def _mirror(entry: Mapping[str, Any]) -> dict[str, Any]:
    renamed = {"url" if key == "location" else key: value for key, value in entry.items()}
    if renamed.get("headers"):
        renamed["headers"] = dict.fromkeys(renamed["headers"], SECRET)
    if renamed.get("password"):
        renamed["password"] = SECRET
    return renamed
