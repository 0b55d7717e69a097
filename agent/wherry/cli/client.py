"""A small synchronous client of the agent's API, on the standard library."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from wherry.errors import InvalidParameter, Unavailable, WherryError

DEFAULT_HOST = "unix:///run/wherry/wherry.sock"
TIMEOUT_SECONDS = 60.0


class ApiError(WherryError):
    """The agent answered with an error; ``code`` is its HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Speaks to the agent at ``unix:///path``, or at ``tcp://address:port`` with the files of DOCKER_CERT_PATH."""

    def __init__(self, host: str, timeout: float | None = TIMEOUT_SECONDS) -> None:
        self.host = host
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Any:
        """The JSON document at ``path``."""
        return self.request("GET", path, query=query)

    def request(self, method: str, path: str, *, body: object = None, query: Mapping[str, str] | None = None) -> Any:
        """One request with a JSON body; the JSON answer, None for an empty one.

        Raises ApiError for an error of the agent, Unavailable when no agent answers.
        """
        target = quote(path) + ("?" + urlencode(query) if query else "")
        connection = self._connection()
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, target, data, {"Content-Type": "application/json"} if data else {})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._down(error) from error
        finally:
            connection.close()
        document = _document(content)
        if response.status >= 400:
            message = document.get("message") if isinstance(document, dict) else None
            raise ApiError(response.status, str(message or response.reason))
        return document

    def stream(self, method: str, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """One request whose answer is a stream of JSON lines, as they come. Errors: as ``request``."""
        connection = self._connection()
        try:
            connection.request(method, f"{path}?{urlencode(query)}")
            response = connection.getresponse()
            if response.status >= 400:
                document = _document(response.read())
                message = document.get("message") if isinstance(document, dict) else None
                raise ApiError(response.status, str(message or response.reason))
            for line in response:
                document = _document(line)
                if isinstance(document, dict):
                    yield document
        except (OSError, http.client.HTTPException) as error:
            raise self._down(error) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.host)
        if parts.scheme == "unix":
            return _UnixConnection(parts.path, self._timeout)
        if parts.scheme == "tcp":
            return http.client.HTTPSConnection(
                parts.hostname or "localhost", parts.port or 2376, timeout=self._timeout, context=_tls_context()
            )
        raise InvalidParameter(
            "is not an address of an agent", field="host", value=self.host, allowed="unix:///path or tcp://address:port"
        )

    def _down(self, error: Exception) -> Unavailable:
        return Unavailable(
            f"no agent answers at {self.host}: {error}. Start it with your service manager (systemctl start wherry, "
            f"rc-service wherry start), or by hand: wherryd -H {self.host}"
        )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connects to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _tls_context() -> ssl.SSLContext:
    """Mutual TLS with ca.pem, cert.pem and key.pem, where Docker's clients look for them too."""
    directory = os.environ.get("DOCKER_CERT_PATH") or str(Path.home() / ".docker")
    context = ssl.create_default_context(cafile=f"{directory}/ca.pem")
    context.load_cert_chain(f"{directory}/cert.pem", f"{directory}/key.pem")
    return context


def _document(content: bytes) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except ValueError:
        return {"message": content.decode(errors="replace").strip()}
