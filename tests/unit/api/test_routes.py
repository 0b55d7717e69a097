"""Every endpoint of the specification is answered: served, or refused by name."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.integration.support.schema import SPECIFICATION, specification_path
from wherry.api.routes import build


def _endpoints() -> list[tuple[str, str]]:
    path = specification_path()
    if path is None:
        return []
    document: Any = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return [
        (method.upper(), template)
        for template, methods in document["paths"].items()
        for method in methods
        if method in {"get", "head", "post", "put", "delete"}
    ]


@pytest.mark.parametrize(("method", "template"), _endpoints() or [("", "")])
def test_every_specified_endpoint_has_a_handler(method: str, template: str) -> None:
    if not method:
        pytest.skip(f"{SPECIFICATION} is not at hand: set WHERRY_SPECS to its directory")
    path = re.sub(r"\{\w+\}", "x", template)
    assert build().find(method, path) is not None, f"{method} {template} answers 404 page not found"
