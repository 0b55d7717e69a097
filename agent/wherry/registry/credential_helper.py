"""Credential helpers: programs ``docker-credential-NAME`` that keep secrets where the machine keeps them.

Source: docker-credential-helpers' protocol. The verb is the only argument; what it is about comes on standard input,
the answer is JSON on standard output, and a failure is a sentence there with a status that is not 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
from collections.abc import Mapping
from typing import Any

from wherry.errors import InvalidParameter, SystemFailure
from wherry.registry.credentials import Credentials

HELPER_SECONDS = 30.0
LEAVE_SECONDS = 5.0
ANSWER_MAX = 256 * 1024  # bytes
TOKEN_USER = "<token>"
NOT_FOUND = "credentials not found in native keychain"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class CredentialHelper:
    """One helper, by the name in ``credsStore`` or ``credHelpers``.

    Errors: ``InvalidParameter`` for a name that is not one word, so that a configuration cannot name any program.
    """

    def __init__(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            allowed = "letters, digits, _, . and -; the program is docker-credential-NAME in PATH"
            raise InvalidParameter(
                "not the name of a credential helper", field="credsStore", value=name, allowed=allowed
            )
        self.name = name

    async def get(self, server: str) -> Credentials | None:
        """What it keeps for a server, ``None`` when that is nothing. Errors: ``SystemFailure``."""
        answer = await self._run("get", server)
        if answer is None:
            return None
        found = self._object(answer)
        user, secret = found.get("Username"), found.get("Secret")
        if not isinstance(user, str) or not isinstance(secret, str):
            raise SystemFailure(f"docker-credential-{self.name} answered without Username and Secret")
        if user == TOKEN_USER:
            return Credentials(identity_token=secret, server_address=server)
        return Credentials(user, secret, server_address=server) if user else None

    async def store(self, server: str, credentials: Credentials) -> None:
        """Keeps credentials for a server. Errors: ``SystemFailure``."""
        token = credentials.identity_token
        body = {
            "ServerURL": server,
            "Username": TOKEN_USER if token else credentials.username,
            "Secret": token or credentials.password,
        }
        await self._run("store", json.dumps(body))

    async def erase(self, server: str) -> None:
        """Forgets a server. Errors: ``SystemFailure``."""
        await self._run("erase", server)

    async def list(self) -> Mapping[str, str]:
        """Servers with their user names. Errors: ``SystemFailure``."""
        found = self._object(await self._run("list", "") or b"{}")
        return {server: user for server, user in found.items() if isinstance(user, str)}

    def _object(self, answer: bytes) -> dict[str, Any]:
        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise SystemFailure(f"docker-credential-{self.name} answered with something else than a JSON object")
        return found

    async def _run(self, verb: str, given: str) -> bytes | None:
        """The answer; ``None`` when the helper knows nothing of the server.

        A helper that hangs is ended, and one that never stops talking is read to ``ANSWER_MAX``.
        """
        program = shutil.which(f"docker-credential-{self.name}")
        if program is None:
            raise SystemFailure(f"docker-credential-{self.name}: no such program in PATH")
        process = await asyncio.create_subprocess_exec(
            program, verb, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        try:
            answer = await asyncio.wait_for(_converse(process, given.encode()), HELPER_SECONDS)
            status = await asyncio.wait_for(process.wait(), HELPER_SECONDS)
        except asyncio.TimeoutError:
            raise SystemFailure(f"docker-credential-{self.name} {verb}: no answer in {HELPER_SECONDS:g} s") from None
        finally:
            await _end(process)
        if status == 0:
            return answer
        said = "".join(sign if sign.isprintable() else "?" for sign in answer[:300].decode(errors="replace").strip())
        if NOT_FOUND in said:
            return None
        raise SystemFailure(f"docker-credential-{self.name} {verb} failed: {said or f'status {status}'}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ends a helper with all that it has started. asyncio waits for its pipe as well, so that is read to its end."""
    assert process.stdout is not None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(_discard(process.stdout), LEAVE_SECONDS)
        await asyncio.wait_for(process.wait(), LEAVE_SECONDS)


async def _discard(stream: asyncio.StreamReader) -> None:
    while await stream.read(ANSWER_MAX):
        pass


async def _converse(process: asyncio.subprocess.Process, given: bytes) -> bytes:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given)
        await process.stdin.drain()
    process.stdin.close()
    answer = b""
    while piece := await process.stdout.read(ANSWER_MAX):
        answer += piece
        if len(answer) > ANSWER_MAX:
            raise SystemFailure("the credential helper's answer is too long")
    return answer
