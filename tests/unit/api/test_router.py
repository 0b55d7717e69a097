"""Which path reaches which handler."""

from __future__ import annotations

from typing import Any

import pytest

from wherry.api.http import Query
from wherry.api.router import Router
from wherry.errors import InvalidParameter


@pytest.fixture
def router() -> Router:
    made = Router()
    for method, template in (
        ("GET", "/images/json"),
        ("GET", "/images/{name:path}/json"),
        ("DELETE", "/images/{name:path}"),
        ("GET", "/containers/{name}/json"),
        ("POST", "/containers/{name}/start"),
    ):
        made.add(method, template, template)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("GET", "/images/json", ("/images/json", {})),
        ("GET", "/images/a/json", ("/images/{name:path}/json", {"name": "a"})),
        ("GET", "/images/host:5/a/b:tag/json", ("/images/{name:path}/json", {"name": "host:5/a/b:tag"})),
        ("HEAD", "/images/json", ("/images/json", {})),
        ("DELETE", "/images/a/b", ("/images/{name:path}", {"name": "a/b"})),
        ("GET", "/containers/a/json", ("/containers/{name}/json", {"name": "a"})),
        ("GET", "/containers/a/b/json", None),
        ("GET", "/containers//json", None),
        ("GET", "/containers/a/start", None),
        ("POST", "/containers/a/start", ("/containers/{name}/start", {"name": "a"})),
        ("GET", "/containers/a/jsonx", None),
        ("GET", "/", None),
    ],
)
def test_paths_reach_their_handler(router: Router, method: str, path: str, found: Any) -> None:
    assert router.find(method, path) == found


@pytest.mark.parametrize("value", ["", "0", "no", "False", "NONE", " false "])
def test_dockers_forms_of_false(value: str) -> None:
    assert Query(f"x={value.replace(' ', '%20')}").flag("x", default=True) is False


@pytest.mark.parametrize("value", ["1", "true", "yes", "t", "whatever"])
def test_everything_else_is_true(value: str) -> None:
    assert Query(f"x={value}").flag("x") is True


def test_absent_parameters_take_their_default() -> None:
    query = Query("y=1")
    assert query.flag("x", default=True) and query.text("x", "d") == "d" and query.number("x", 7) == 7
    assert "y" in query and "x" not in query


@pytest.mark.parametrize(
    "text", ['{"label":["a=b"],"name":["c"]}', '{"label":{"a=b":true,"d":false},"name":{"c":true}}']
)
def test_both_forms_of_filters_are_read(text: str) -> None:
    assert Query(f"filters={text}").filters() == {"label": ["a=b"], "name": ["c"]}


@pytest.mark.parametrize("text", ["{", "[]", '{"a":1}', '{"a":[1]}'])
def test_bad_filters_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="filters"):
        Query(f"filters={text}").filters()


def test_bad_number_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameter, match='tail: "x": is not a number'):
        Query("tail=x").number("tail")
