"""Credentials at rest, as Docker's command line keeps them: ``config.json``, or the credential helper that it names.

The file is read anew whenever it is needed, so that whoever writes it (docker, podman, this agent) is heard at once.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import pwd
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherry.errors import InvalidParameter, SystemFailure
from wherry.registry.credential_helper import CredentialHelper
from wherry.registry.credentials import Credentials, parse_auth_config, registry_of_address

HUB = "docker.io"
HUB_KEY = "https://index.docker.io/v1/"
FILE_MAX = 1024 * 1024  # bytes


def default_path() -> Path:
    """``config.json`` where Docker's command line looks for it: DOCKER_CONFIG, else the user's home."""
    if directory := os.environ.get("DOCKER_CONFIG"):
        return Path(directory) / "config.json"
    # A service manager may start the agent without HOME.
    home = os.environ.get("HOME") or pwd.getpwuid(os.geteuid()).pw_dir
    return Path(home) / ".docker" / "config.json"


class CredentialStore:
    """What is kept for registries in one ``config.json``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writing = asyncio.Lock()

    async def find(self, repository: str) -> Credentials | None:
        """The credentials for a full repository name or a ``host[:port]``; those of the longest key that fits.

        A helper is asked for the registry, ``auths`` may also have a part of one (``quay.io/team``), as podman writes.
        Errors: ``InvalidParameter`` for a file that is not JSON, ``SystemFailure`` from a helper.
        """
        document = self._read()
        registry = repository.partition("/")[0]
        helper = _helper_for(document, registry)
        if helper is not None:
            return await helper.get(_key(registry))
        entries = _auths(document)
        fitting = [key for key in entries if _covers(key, repository)]
        if not fitting:
            return None
        return parse_auth_config(entries[max(fitting, key=lambda key: len(_scope(key)))])

    async def exact(self, registry: str) -> Credentials | None:
        """What is kept for exactly this registry."""
        document = self._read()
        helper = _helper_for(document, registry)
        if helper is not None:
            return await helper.get(_key(registry))
        entries = _auths(document)
        key = next((key for key in entries if _scope(key) == registry), None)
        return parse_auth_config(entries[key]) if key is not None else None

    async def keep(self, registry: str, credentials: Credentials) -> str:
        """Keeps credentials for a registry in place of those that were there; returns where they lie now.

        Errors: ``SystemFailure`` when file or helper cannot take them.
        """
        async with self._writing:
            document = self._read()
            helper = _helper_for(document, registry)
            if helper is not None:
                await helper.store(_key(registry), credentials)
                return f"docker-credential-{helper.name}"
            entries = {key: entry for key, entry in _auths(document).items() if _scope(key) != registry}
            entries[_key(registry)] = _entry(credentials)
            self._write({**document, "auths": entries})
            return str(self.path)

    async def forget(self, registry: str) -> bool:
        """Removes what is kept for a registry; whether there was anything."""
        async with self._writing:
            document = self._read()
            helper = _helper_for(document, registry)
            if helper is not None:
                known = await helper.get(_key(registry)) is not None
                if known:
                    await helper.erase(_key(registry))
                return known
            entries = _auths(document)
            left = {key: entry for key, entry in entries.items() if _scope(key) != registry}
            if len(left) != len(entries):
                self._write({**document, "auths": left})
            return len(left) != len(entries)

    def _read(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise InvalidParameter("not a regular file", field="registry-auth-file", value=str(self.path))
                data = file.read(FILE_MAX + 1)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise SystemFailure(f"{self.path}: {error.strerror}") from error
        try:
            found = json.loads(data or b"{}") if len(data) <= FILE_MAX else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise InvalidParameter(f"{self.path}: not a JSON object of at most {FILE_MAX} bytes")
        return found

    def _write(self, document: Mapping[str, Any]) -> None:
        """Replaces the file by rename, with its mode and owner; a link keeps pointing at what it points at."""
        target = self.path.resolve()
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
            try:
                with os.fdopen(descriptor, "w") as file:
                    json.dump(document, file, indent="\t")
                    with contextlib.suppress(FileNotFoundError):
                        old = target.stat()
                        os.fchown(file.fileno(), old.st_uid, old.st_gid)
                        os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode) & 0o660)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(target)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise SystemFailure(f"credentials cannot be written to {self.path}: {error.strerror}") from error


def _auths(document: Mapping[str, Any]) -> dict[str, Any]:
    found = document.get("auths")
    entries = found if isinstance(found, dict) else {}
    return {key: entry for key, entry in entries.items() if isinstance(entry, dict)}


def _helper_for(document: Mapping[str, Any], registry: str) -> CredentialHelper | None:
    """``credHelpers`` names one for a registry, ``credsStore`` one for all others."""
    own = document.get("credHelpers")
    for key, name in (own if isinstance(own, dict) else {}).items():
        if _scope(key) == registry and isinstance(name, str):
            return CredentialHelper(name) if name else None
    name = document.get("credsStore")
    return CredentialHelper(name) if isinstance(name, str) and name else None


def _key(registry: str) -> str:
    return HUB_KEY if registry == HUB else registry


def _scope(key: str) -> str:
    """What a key of ``auths`` is for: a registry, or a part of one where it has a path that is not an API's."""
    plain = key.partition("://")[2] if "://" in key else key
    host = registry_of_address(plain)
    path = plain.partition("/")[2].strip("/")
    return host if not path or "://" in key or path in ("v1", "v2") else f"{host}/{path}"


def _covers(key: str, repository: str) -> bool:
    scope = _scope(key)
    return repository == scope or repository.startswith(f"{scope}/")


def _entry(credentials: Credentials) -> dict[str, str]:
    """The entry as Docker writes it: with an identity token the password is empty."""
    password = "" if credentials.identity_token else credentials.password
    entry = {"auth": base64.b64encode(f"{credentials.username}:{password}".encode()).decode()}
    return {**entry, "identitytoken": credentials.identity_token} if credentials.identity_token else entry
