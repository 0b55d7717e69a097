"""What can go wrong with a registry, told apart by what the caller may do about it."""

from __future__ import annotations

from wherry.errors import Forbidden, NotFound, SystemFailure, Unauthorized, Unavailable


class Unreachable(Unavailable):
    """No answer: the name does not resolve, nobody listens, TLS fails, or it takes too long. Another may be tried."""


class TlsMismatch(Unreachable):
    """The other side does not speak TLS at all; an insecure registry may then be asked over plain HTTP."""


class NotListening(Unreachable):
    """The host does not exist or nobody listens there."""


class BadAnswer(SystemFailure):
    """The registry answered with something that the protocol does not allow, or with an error of its own."""


class DigestMismatch(BadAnswer):
    """The bytes are not those that the digest names."""


class Missing(NotFound):
    """The registry does not have it. ``code`` is the registry's own error code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class AccessDenied(Unauthorized):
    """The registry wants other credentials, or any. ``code`` is the registry's own error code."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Refused(Forbidden):
    """This agent will not do what the registry asks: a policy of ours stands against it."""
