"""docs/engine-api.md against the routes, the readers of the create body, and the specification where it is at hand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.support.schema import REPOSITORY, specification_path
from wherry.api import routes
from wherry.api.container_json import parse_create
from wherry.errors import InvalidParameter

DOCUMENT = (REPOSITORY / "docs" / "engine-api.md").read_text()
ENDPOINTS = dict(re.findall(r"^\| `([A-Z]+ /[^`]*)` \| (served|\d{3}) \|", DOCUMENT, re.MULTILINE))
FIELDS = dict(re.findall(r"^\| `([A-Z][\w.*\[\]]+)` \| (honoured|refused|ignored) \|", DOCUMENT, re.MULTILINE))
BESIDE = DOCUMENT.partition("### Beside the specification")[2].partition("\n## ")[0]
SPECIFICATION = specification_path()
needs_specification = pytest.mark.skipif(
    SPECIFICATION is None, reason="the specification is not at hand: set WHERRY_SPECS to its directory"
)
OPEN_ENDED = re.compile(r"/\{rest:path\}$")
"""Routes that answer for everything below a noun of swarm and plugins."""


def specification() -> Any:
    assert SPECIFICATION is not None
    return yaml.load(SPECIFICATION.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


@needs_specification
def test_every_endpoint_of_the_specification_has_a_row_and_no_other() -> None:
    known = {f"{method.upper()} {path}" for path, methods in specification()["paths"].items() for method in methods}
    beside = {name for name in ENDPOINTS if f"`{name}`" in BESIDE}
    assert set(ENDPOINTS) - beside == known


def test_every_row_has_a_route_and_every_route_a_row() -> None:
    router = routes.build()
    for name in ENDPOINTS:
        method, _, path = name.partition(" ")
        assert router.find(method, re.sub(r"\{\w+\}", "x", path)) is not None, f"{name}: not served"
    documented = {re.sub(r"\{\w+\}", "{}", name) for name in ENDPOINTS}
    for method, pattern in router.patterns():
        if not OPEN_ENDED.search(pattern) and not pattern.startswith("/plugins/{name:path}"):
            # Some clients end a path in a slash: that is no endpoint of its own.
            shown = re.sub(r"\{\w+(:path)?\}", "{}", pattern.rstrip("/"))
            assert f"{method} {shown}" in documented, f"{method} {pattern}: not documented"


def _properties(definitions: Any, node: Any, path: str, within: tuple[str, ...] = ()) -> Iterator[str]:
    while "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in within:
            return
        within, node = (*within, name), definitions[name]
    for part in node.get("allOf", ()):
        yield from _properties(definitions, part, path, within)
    for key, value in node.get("properties", {}).items():
        name = f"{path}.{key}" if path else key
        yield name
        yield from _properties(definitions, value, name, within)
    if isinstance(node.get("additionalProperties"), dict):
        yield from _properties(definitions, node["additionalProperties"], f"{path}.*", within)
    if isinstance(node.get("items"), dict):
        yield from _properties(definitions, node["items"], f"{path}[]", within)


@needs_specification
def test_every_field_of_the_create_body_has_a_row_and_no_other() -> None:
    document = specification()
    parameters = document["paths"]["/containers/create"]["post"]["parameters"]
    body = next(one["schema"] for one in parameters if one["in"] == "body")
    assert set(FIELDS) == set(_properties(document["definitions"], body, ""))


def _body(name: str, value: object) -> dict[str, Any]:
    """A create body that holds ``value`` at a name such as ``HostConfig.Mounts[].Type``."""
    for word in reversed(name.split(".")):
        key, *lists = word.split("[]")
        for _ in lists:
            value = [value]
        value = {"any" if key == "*" else key: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(("name", "state"), FIELDS.items())
def test_every_field_is_read_refused_or_ignored_as_its_row_says(name: str, state: str) -> None:
    """A number with a fraction is right for no field: who reads the field says so by its name."""
    body = _body(name, 1.5)
    last = re.split(r"[.\[\]*]+", name.rstrip("[]"))[-1]
    if state == "ignored":
        parse_create(body, "", "", (1, 51))
        return
    with pytest.raises(InvalidParameter) as refusal:
        parse_create(body, "", "", (1, 51))
    assert last in str(refusal.value.field)
    assert ("is not supported" in str(refusal.value)) == (state == "refused" or name == "HostConfig.Isolation")


def test_what_is_documented_is_much() -> None:
    assert len(FIELDS) > 150
    assert len(ENDPOINTS) > 100
