"""A request as a handler sees it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from wherry.api.json_faults import explain
from wherry.errors import InvalidParameter, WherryError

JSON_BODY_LIMIT = 8 * 1024 * 1024

_FALSE = {"", "0", "no", "false", "none"}


class ClientDisconnected(WherryError):
    """The client went away in the middle of its request; nobody is there to be told."""

    status = 400


@dataclass(frozen=True)
class Peer:
    """Who is at the other end: credentials of a unix socket's client, or the subject of a TLS client's certificate.

    ``names`` are all that the certificate is for: its common name, host names and addresses.
    """

    uid: int | None = None
    gid: int | None = None
    pid: int | None = None
    subject: str | None = None
    names: tuple[str, ...] = ()


class Query:
    """The parameters after the question mark, read the way Docker reads them."""

    def __init__(self, text: str) -> None:
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        except ValueError as error:
            raise InvalidParameter(f"malformed query: {error}") from error
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str, default: str = "") -> str:
        """The first value, or the default when absent."""
        return self._values.get(name, [default])[0]

    def many(self, name: str) -> list[str]:
        """Every value of a parameter that may be repeated."""
        return list(self._values.get(name, ()))

    def flag(self, name: str, default: bool = False) -> bool:
        """A boolean in Docker's forms: empty, 0, no, false and none are false, all else is true."""
        if name not in self._values:
            return default
        return self.text(name).strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number, or the default when absent or empty; raises InvalidParameter for anything else."""
        value = self.text(name)
        if not value:
            return default
        try:
            return int(value)
        except ValueError:
            raise InvalidParameter("is not a number", field=name, value=value, allowed="a whole number") from None

    def json(self, name: str) -> Any:
        """A parameter that holds JSON, None when absent or empty."""
        value = self.text(name)
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError as error:
            raise InvalidParameter(f"is not JSON: {error}", field=name, value=value) from None

    def filters(self, name: str = "filters") -> dict[str, list[str]]:
        """Filters in either of Docker's forms: ``{"label": {"a=b": true}}`` or ``{"label": ["a=b"]}``."""
        content = self.json(name)
        if content is None:
            return {}
        if not isinstance(content, dict):
            raise self._bad_filters(name)
        return {key: self._filter_values(name, values) for key, values in content.items()}

    def _filter_values(self, name: str, values: object) -> list[str]:
        if isinstance(values, dict):
            values = [value for value, wanted in values.items() if wanted]
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self._bad_filters(name)
        return values

    def _bad_filters(self, name: str) -> InvalidParameter:
        return InvalidParameter(
            "invalid filter",
            field=name,
            value=self.text(name),
            allowed='names with lists of values: {"label": ["a=b"]}',
        )


@dataclass
class Request:
    """One request. ``path`` has no version prefix; ``params`` are the parts of it that the route names."""

    method: str
    path: str
    query: Query
    headers: Mapping[str, str]
    version: tuple[int, int]
    peer: Peer = field(default_factory=Peer)
    params: Mapping[str, str] = field(default_factory=dict)
    body: AsyncIterator[bytes] | None = None

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; the client is slowed down to the speed of the reader. Can be read once.

        Raises ClientDisconnected when the client goes away before the end, InvalidParameter when its framing is wrong.
        """
        if self.body is None:
            return _nothing()
        body, self.body = self.body, None
        return body

    async def json(self, *, optional: bool = False) -> dict[str, Any]:
        """The body as a JSON object; where it is ``optional``, an absent body is an empty one.

        Raises InvalidParameter, in Docker's words, for another content type, malformed JSON and what is no object.
        """
        content = bytearray()
        async for chunk in self.chunks():
            content += chunk
            if len(content) > JSON_BODY_LIMIT:
                raise InvalidParameter(f"request body is larger than {JSON_BODY_LIMIT} bytes")
        kind = self.headers.get("content-type", "")
        if not content and (optional or not kind):
            return _absent(optional=optional)
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise InvalidParameter(f"unsupported Content-Type header ({kind}): must be 'application/json'")
        return _object(bytes(content)) if content else _absent(optional=optional)


def _absent(*, optional: bool) -> dict[str, Any]:
    if not optional:
        raise InvalidParameter("invalid JSON: got EOF while reading request body")
    return {}


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise InvalidParameter(explain(error)) from None
    except (ValueError, RecursionError) as error:
        raise InvalidParameter(f"invalid JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidParameter(f"invalid JSON: an object is expected, not {type(value).__name__}")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


async def _nothing() -> AsyncIterator[bytes]:
    empty: tuple[bytes, ...] = ()
    for chunk in empty:
        yield chunk
