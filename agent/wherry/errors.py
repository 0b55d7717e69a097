"""The one exception hierarchy of the agent.

A class knows the HTTP status that a client sees and nothing else of HTTP. A message says what was asked, what is wrong
and what is allowed; for the Docker Engine API it keeps the wording that clients match on.
"""

from __future__ import annotations

from typing import ClassVar


class WherryError(Exception):
    """Anything that the agent reports to whoever asked.

    ``field`` names the input at fault (``published_ports[1]``), ``value`` is what was given, ``allowed`` says what
    would have been right. ``str()`` joins what is there: ``field: "value": message; allowed``.
    """

    status: ClassVar[int] = 500

    def __init__(
        self, message: str, *, field: str | None = None, value: object = None, allowed: str | None = None
    ) -> None:
        self.message = message
        self.field = field
        self.value = value
        self.allowed = allowed
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        place = f"{self.field}: " if self.field else ""
        shown = f'"{self.value}": ' if self.value is not None else ""
        rest = f"; {self.allowed}" if self.allowed else ""
        return f"{place}{shown}{self.message}{rest}"

    def followed_by(self, more: str) -> WherryError:
        """The same error, with what came of it behind its message."""
        return type(self)(f"{self.message}; {more}", field=self.field, value=self.value, allowed=self.allowed)


class NotModified(WherryError):
    """The object already is in the state that was asked for."""

    status = 304


class InvalidParameter(WherryError):
    """The request is malformed or asks for something that cannot be."""

    status = 400


class Unauthorized(WherryError):
    """A registry or the agent refused the credentials."""

    status = 401


class Forbidden(WherryError):
    """The request is understood and will not be carried out."""

    status = 403


class NotFound(WherryError):
    """There is no object of that name."""

    status = 404


class Conflict(WherryError):
    """The state of the object, or another object, stands against it."""

    status = 409


class SystemFailure(WherryError):
    """The kernel, the disk or a program refused what had to work."""

    status = 500


class Unsupported(WherryError):
    """The option or endpoint is known and not offered; the message names it."""

    status = 501


class Unavailable(WherryError):
    """Something that is needed does not answer: a registry, a monitor, the agent while it stops."""

    status = 503
