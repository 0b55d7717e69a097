"""Which handler answers which method and path."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wherry.api.http import Request, Response

if TYPE_CHECKING:
    from wherry.agent import Agent

Handler = Callable[["Agent", Request], Awaitable[Response]]

_PARAMETER = re.compile(r"\{(\w+)(:path)?\}")


@dataclass(frozen=True)
class Route:
    """A handler and the form of the paths that it answers."""

    handler: Handler
    pattern: re.Pattern[str]
    template: str


class Router:
    """``{name}`` in a template matches one segment, ``{name:path}`` one or more; what has no parameter goes first."""

    def __init__(self) -> None:
        self._fixed: dict[tuple[str, str], Handler] = {}
        self._routes: dict[tuple[str, str], list[Route]] = {}

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Routes ``method`` and paths of this form to a handler; GET answers HEAD too unless HEAD has its own."""
        if "{" not in template:
            self._fixed[method, template] = handler
            return
        expression = ""
        position = 0
        for match in _PARAMETER.finditer(template):
            inner = ".+" if match[2] else "[^/]+"
            expression += re.escape(template[position : match.start()]) + f"(?P<{match[1]}>{inner})"
            position = match.end()
        expression += re.escape(template[position:])
        route = Route(handler, re.compile(expression, re.DOTALL), template)
        self._routes.setdefault((method, _first_segment(template)), []).append(route)

    def find(self, method: str, path: str) -> tuple[Handler, Mapping[str, str]] | None:
        """The handler and the path's parameters, or None where nothing answers."""
        fixed = self._fixed.get((method, path))
        if fixed is not None:
            return fixed, {}
        for route in self._routes.get((method, _first_segment(path)), ()):
            match = route.pattern.fullmatch(path)
            if match is not None:
                return route.handler, match.groupdict()
        return self.find("GET", path) if method == "HEAD" else None

    def patterns(self) -> list[tuple[str, str]]:
        """Every method with the template that it was added with, for tests of what is documented."""
        found = [(method, route.template) for (method, _), routes in self._routes.items() for route in routes]
        return sorted([*self._fixed, *found])

    def templates(self) -> set[tuple[str, str]]:
        """Every method with the first segment that it is served below, for tests of what is registered."""
        return set(self._routes) | {(method, path) for method, path in self._fixed}


def _first_segment(path: str) -> str:
    return path[1:].partition("/")[0]
