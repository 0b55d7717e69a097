# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of the agent on a managed host: HTTP over its unix socket, with Python's standard library alone."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import os
import socket
from urllib.parse import quote

DEFAULT_AGENT = "unix:///run/wherry/wherry.sock"
AGENT_VARIABLE = "WHERRY_HOST"
CONNECT_TIMEOUT = 10.0
"""Seconds; the socket is on the same host."""

_SCHEME = "unix://"
_ABSENT_ERRORS = (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR)


class AgentError(Exception):
    """What stood against a request, as one sentence. ``status`` is the HTTP status, 0 when there was no answer."""

    def __init__(self, message, status=0, details=None):
        super().__init__(message)
        self.message = message
        self.status = status
        self.details = details or {}


class _UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to a unix socket."""

    def __init__(self, path):
        super().__init__("wherry")
        self._path = path

    def connect(self):
        """Connects; an answer may then take as long as it takes: a pull has time limits of its own, in the agent."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(CONNECT_TIMEOUT)
            self.sock.connect(self._path)
            self.sock.settimeout(None)
        except OSError:
            self.close()
            raise


class OpenAnswer:
    """The head of an answer, with the body to come (``response.read``), and the socket for what follows an upgrade."""

    def __init__(self, response, sock):
        self.response = response
        self.sock = sock


class AgentClient:
    """Requests to one agent, each on a connection of its own. ``agent`` is ``unix:///path``, or None for the default."""

    def __init__(self, agent=None):
        self.agent = agent or os.environ.get(AGENT_VARIABLE) or DEFAULT_AGENT
        if not self.agent.startswith(_SCHEME + "/"):
            raise AgentError(
                'agent: "{0}": is not the address of an agent; unix:///path of its socket'.format(self.agent)
            )
        self._path = self.agent[len(_SCHEME) :]

    def get(self, path, query=None):
        """The JSON document at a path; ``None`` where the agent knows of no such object."""
        try:
            return self.request("GET", path, query=query)
        except AgentError as error:
            if error.status == 404:
                return None
            raise

    def request(self, method, path, body=None, query=None):
        """One request; returns the decoded JSON answer. Errors: AgentError."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with self.open(method, path, content, headers, query) as answer:
            return decoded(self.agent, answer.response.status, answer.response.read())

    def events(self, method, path, body=None, query=None):
        """The lines of an answer that tells its progress, each decoded. Errors: AgentError, also for one told in a line.

        ``body`` is bytes or an open file; the answer is read to its end.
        """
        found = []
        with self.open(method, path, body, {}, query) as answer:
            for line in self.checked(answer).response:
                if line.strip():
                    found.append(decoded(self.agent, 200, line))
        for event in found:
            if event.get("error"):
                raise AgentError(event["error"], 200, event.get("errorDetail"))
        return found

    @contextlib.contextmanager
    def open(self, method, path, body=None, headers=None, query=None):
        """One request, as an ``OpenAnswer`` whose body is yet to be read. Errors: AgentError, also from within the block."""
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path + _query_text(query), body, headers or {})
            yield OpenAnswer(connection.getresponse(), connection.sock)
        except OSError as error:
            raise self._no_answer(error) from error
        except http.client.HTTPException as error:
            raise AgentError(
                "what listens at {0} does not answer as an agent does: {1!r}".format(self.agent, error)
            ) from error
        finally:
            connection.close()

    def checked(self, answer):
        """An ``OpenAnswer`` that is no refusal. Errors: AgentError with what the agent said."""
        if answer.response.status >= 400:
            decoded(self.agent, answer.response.status, answer.response.read())
        return answer

    def _no_answer(self, error):
        """Where the agent was looked for, what happened, and what to do about it."""
        reason = error.strerror or str(error) or type(error).__name__
        if error.errno in _ABSENT_ERRORS:
            return AgentError(
                "no Wherry agent listens at {0} ({1}); start it (systemctl start wherry, or wherryd), or say where it "
                "is with the option agent or the variable {2}".format(self.agent, reason, AGENT_VARIABLE)
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return AgentError(
                "the Wherry agent at {0} may not be spoken to by this user ({1}); use become, or a user in the group "
                "of its socket".format(self.agent, reason)
            )
        return AgentError("the Wherry agent at {0} broke off: {1}".format(self.agent, reason))


def decoded(agent, status, answer):
    """The JSON document of an answer with this HTTP status, ``None`` when it is empty. Errors: AgentError."""
    try:
        document = json.loads(answer.decode("utf-8")) if answer.strip() else None
    except ValueError as error:
        raise AgentError("the agent at {0} sent no JSON: {1}".format(agent, error), status) from error
    if status < 400:
        return document
    details = document if isinstance(document, dict) else {}
    message = details.get("message") or "HTTP status {0}".format(status)
    if status == 404 and message == "page not found":
        raise AgentError("what listens at {0} is not a Wherry agent of this version".format(agent), 501)
    raise AgentError(message, status, details)


def filters_query(filters):
    """The query parameter ``filters`` of an option that maps names to a value or to a list of values."""
    if not filters:
        return {}
    lists = {
        name: [_filter_text(one) for one in (value if isinstance(value, (list, tuple)) else [value])]
        for name, value in filters.items()
    }
    return {"filters": json.dumps(lists)}


def _filter_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def image_path(name, *rest):
    """The path of an image's endpoint; a name keeps its slashes."""
    return "/".join(["/images", quote(name, safe="/:@")] + list(rest))


def path_of(*parts):
    """A path of these parts, each escaped."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _query_text(query):
    if not query:
        return ""
    pairs = [
        (name, one) for name, value in query.items() for one in (value if isinstance(value, (list, tuple)) else [value])
    ]
    return "?" + "&".join("{0}={1}".format(quote(name, safe=""), quote(one, safe="")) for name, one in pairs)
