"""The document of a login: the credentials that the agent keeps for a registry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from wherry.engine.documents import fields
from wherry.errors import InvalidParameter
from wherry.registry.credentials import registry_of_address

_REGISTRY = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:]+\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class LoginDocument:
    """A login as declared. ``name`` is the registry's ``host[:port]``."""

    kind: ClassVar[str] = "registry_login"

    name: str
    state: str
    username: str = ""
    password: str = field(default="", repr=False)
    reauthorize: bool = False

    @property
    def identity(self) -> str:
        """What two documents of one registry have in common."""
        return self.name


def parse(resource: Mapping[str, Any]) -> LoginDocument:
    """Reads the options of a login; errors name option, value and what is allowed."""
    options = fields.Options(resource)
    registry = options.get("registry", fields.filled)
    name = options.get("name", fields.filled)
    state = options.default("state", fields.choice("present", "absent"), "present")
    username = options.default("username", fields.filled, "")
    password = options.default("password", fields.filled, "")
    reauthorize = options.default("reauthorize", fields.flag, False)
    options.finish()
    address = registry_of_address(registry or name or "docker.io")
    if not _REGISTRY.fullmatch(address):
        raise InvalidParameter("not a registry", field="registry", value=registry or name, allowed="host or host:port")
    if state == "present":
        for option, value in (("username", username), ("password", password)):
            if not value:
                raise InvalidParameter("is required", field=option)
        if ":" in username or any(ord(sign) < 32 for sign in username + password):
            allowed = "no colon in the user name and no control characters (RFC 7617)"
            raise InvalidParameter("cannot be sent", field="username", value=username, allowed=allowed)
    return LoginDocument(address, state, username, password, reauthorize)
