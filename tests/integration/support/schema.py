"""Checks responses against the Engine API's own specification, where its file is at hand (WHERRY_SPECS)."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

SPECIFICATION = "docker-engine-api-v1.51.yaml"
NULL_ALL_THE_SAME = {"ExitCode", "MemorySwappiness"}
"""What the specification does not say is null where it was not given, and every engine has so."""
REPOSITORY = Path(__file__).resolve().parents[3]


def specification_path() -> Path | None:
    """The specification: below WHERRY_SPECS, or in ``shared/specs`` beside the checkout."""
    directory = os.environ.get("WHERRY_SPECS")
    path = (Path(directory) if directory else REPOSITORY.parent / "shared" / "specs") / SPECIFICATION
    return path if path.is_file() else None


def check_response(method: str, path: str, status: int, body: Any) -> None:
    """Fails where ``body`` is not what the specification has for this answer; skips the test without a specification.

    ``path`` is the specification's own, such as ``/containers/{id}/json``.
    """
    document = _document()
    if document is None:
        pytest.skip(f"{SPECIFICATION} is not at hand: set WHERRY_SPECS to its directory")
    responses = document["paths"][path][method.lower()]["responses"]
    if str(status) not in {str(code) for code in responses}:
        raise AssertionError(f"{method} {path} answers {status}, the specification has {sorted(map(str, responses))}")
    response = responses.get(str(status)) or responses[status]
    check(body, response.get("schema"), f"{method} {path} {status}")


def check_definition(name: str, body: Any) -> None:
    """Fails where ``body`` is not of the named definition of the specification."""
    if _document() is None:
        pytest.skip(f"{SPECIFICATION} is not at hand: set WHERRY_SPECS to its directory")
    check(body, {"$ref": f"#/definitions/{name}"}, name)


def check(body: Any, schema: Any, place: str) -> None:
    """Validates with every fault listed."""
    document = _document()
    if schema is None or document is None:
        return
    validator = jsonschema.Draft4Validator({**schema, "definitions": document["definitions"]})
    faults = [
        f"{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in validator.iter_errors(body)
    ]
    assert not faults, f"{place} is not as specified:\n" + "\n".join(faults)


@functools.cache
def _document() -> Any:
    path = specification_path()
    if path is None:
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return _translated(yaml.load(path.read_text(), Loader=loader))


def _translated(node: Any) -> Any:
    """Swagger 2 to JSON Schema; null is allowed where it says so, and for lists and maps, which Go has as null."""
    if isinstance(node, list):
        return [_translated(item) for item in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _translated(value) for key, value in node.items() if key not in {"example", "examples"}}
    for name in NULL_ALL_THE_SAME & set(schema.get("properties", {})):
        schema["properties"][name]["type"] = [schema["properties"][name]["type"], "null"]
    nullable = schema.get("x-nullable") or schema.get("type") in ("array", "object")
    if nullable and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    if nullable and "$ref" in schema:
        return {"anyOf": [{"$ref": schema["$ref"]}, {"type": "null"}]}
    return schema
