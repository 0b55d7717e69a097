# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands a declaration to the agent of a host in one remote command, without shipping a module.

The command is a Python of the host with a few lines that join standard input to the agent's socket: the declaration, which
may hold secrets, is never part of a command line. Where this cannot be done, or anything about the arguments is odd, the
module is shipped, which does the same and knows every error.
"""

from __future__ import annotations

import http.client
import io
import json
import shlex
from abc import abstractmethod

from ansible import constants as C
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.parameters import remove_values
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action.normal import ActionModule as ShippedModule
from ansible_collections.wherry.node.plugins.module_utils.agent_client import (
    AGENT_VARIABLE,
    DEFAULT_AGENT,
    AgentError,
    decoded,
)
from ansible_collections.wherry.node.plugins.module_utils.resource_module import (
    declaration_path,
    failure_of,
    resource_of,
    result_of,
)

SWITCH = "wherry_fast_path"
"""The variable that switches it off."""

ANSWER = "WHERRY-ANSWER:"
NOT_SENT = 75  # EX_TEMPFAIL of sysexits.h: nothing has reached the agent
_AGENT = {"agent": {"type": "str", "aliases": ["docker_host"]}}

# -I and -S: neither the directory nor the site packages of the host are looked at.
_COURIER = """
import os,socket,sys
a=sys.argv[1] or os.environ.get({variable!r}) or {default!r}
if a[:8]!="unix:///":sys.exit({not_sent})
b=sys.stdin.buffer.read()
s=socket.socket(socket.AF_UNIX)
try:
 s.settimeout(10)
 s.connect(a[7:])
except OSError:sys.exit({not_sent})
s.settimeout(None)
h="POST "+sys.argv[2]+" HTTP/1.1\\r\\nHost: wherry\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\nContent-Length: "
s.sendall((h+str(len(b))+"\\r\\n\\r\\n").encode()+b)
o=sys.stdout.buffer
o.write({answer!r}.encode()+a.encode()+b"\\n")
while 1:
 d=s.recv(65536)
 if not d:break
 o.write(d)
""".format(variable=AGENT_VARIABLE, default=DEFAULT_AGENT, not_sent=NOT_SENT, answer=ANSWER)


class DeclaringAction(ShippedModule):
    """The action of a module that declares. Subclasses say what is asked of the agent, and what comes of its answer."""

    OPTIONS = {}

    @abstractmethod
    def body(self, parameters):
        """The body of the request for these parameters, and the secrets that it holds. Errors: AgentError."""

    @abstractmethod
    def result_of(self, answer, with_difference):
        """The result of the task from the agent's answer."""

    def error_of(self, error):
        """The agent's error in the words of the task."""
        return error

    def must_ship(self, parameters):
        """Whether something about the parameters can be done on the host alone."""
        return has_host_path(self.OPTIONS, parameters)

    def run(self, tmp=None, task_vars=None):
        """Runs the task."""
        task_vars = task_vars or {}
        python = self._host_python(task_vars) if self._can_pipe(task_vars) else None
        found = self._checked_arguments() if python else None
        result = self._asked(python, found) if found is not None else None
        return super().run(tmp, task_vars) if result is None else result

    def _can_pipe(self, task_vars):
        switch = self._templar.template(task_vars.get(SWITCH, True))
        become = self._connection.become
        return (
            boolean(switch, strict=False)
            and self._connection.has_pipelining
            and not self._task.async_val
            and not self._task.delegate_to
            and not C.DEFAULT_KEEP_REMOTE_FILES
            and (become is None or getattr(become, "pipelining", True))
        )

    def _host_python(self, task_vars):
        """The interpreter as far as it is known; the first module that is shipped finds it out."""
        declared = self._templar.template(task_vars.get("ansible_python_interpreter") or "auto")
        if not str(declared).startswith("auto"):
            return declared
        return (task_vars.get("ansible_facts") or {}).get("discovered_interpreter_python")

    def _checked_arguments(self):
        """The validated arguments; None if the module had better look at them."""
        arguments = dict(self._task.args)
        if self.must_ship(arguments):
            return None
        found = ArgumentSpecValidator(dict(_AGENT, **self.OPTIONS)).validate(arguments)
        if found.error_messages or found._warnings or found._deprecations:
            return None
        return found

    def _asked(self, python, found):
        """The result of the task; None if nothing has reached the agent."""
        parameters = found.validated_parameters
        try:
            body, secrets = self.body(parameters)
        except AgentError:
            return None
        words = [python, "-IS", "-c", _COURIER, parameters["agent"] or "", declaration_path(self._task.check_mode)]
        command = " ".join(shlex.quote(word) for word in words)
        environment = self._compute_environment_string()
        command = "{0} {1}".format(environment, command).strip()
        done = self._low_level_execute_command(command, in_data=json.dumps(body).encode())
        if ANSWER not in done["stdout"]:
            return None
        result = self._result(done["stdout"].partition(ANSWER)[2])
        result["invocation"] = {"module_args": {name: value for name, value in parameters.items() if name[:1] != "_"}}
        return remove_values(result, set(found._no_log_values) | set(secrets))

    def _result(self, text):
        agent, _newline, answer = text.partition("\n")
        try:
            return self.result_of(decoded(agent, *_status_and_body(agent, answer)), self._task.diff)
        except AgentError as error:
            return dict(failure_of(self.error_of(error)), failed=True, changed=False)


class ResourceAction(DeclaringAction):
    """The action of a module that declares one resource."""

    KIND = ""

    @staticmethod
    def prepare(resource):
        """Changes the resource before it is sent."""

    def body(self, parameters):
        """The one resource."""
        return {"resources": [resource_of(self.OPTIONS, parameters, self.KIND, self.prepare)]}, ()

    def result_of(self, answer, with_difference):
        """The result under the name of the kind."""
        return result_of(answer, self.KIND, with_difference)


def _status_and_body(agent, text):
    """Status and body of the answer as it came over the connection. Errors: AgentError."""
    response = http.client.HTTPResponse(_Received(text.encode("utf-8", "surrogateescape")))
    try:
        response.begin()
        return response.status, response.read()
    except (http.client.HTTPException, OSError) as error:
        raise AgentError("what listens at {0} does not answer as an agent does: {1!r}".format(agent, error)) from error


class _Received:
    """What was received, in the place of a socket."""

    def __init__(self, data):
        self._data = data

    def makefile(self, _mode):
        """The data as a file."""
        return io.BytesIO(self._data)


def has_host_path(options, values):
    """Whether a value is a path that only the host can complete: relative, or with a home or a variable in it."""
    for name, option in options.items():
        for key in [name] + option.get("aliases", []):
            if key in values and _is_open(option, values[key]):
                return True
    return False


def _is_open(option, value):
    if isinstance(value, (list, tuple)):
        return any(_is_open(dict(option, type=option.get("elements", "str")), entry) for entry in value)
    if isinstance(value, dict):
        return has_host_path(option.get("options") or {}, value)
    return option.get("type") == "path" and not str(value).startswith("/")


def has_open_source(container):
    """Whether a volume or a bind mount of a container is from a path that only the host can complete."""
    entries = container.get("volumes") or ()
    volumes = [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, (list, tuple)) else []
    mounts = container.get("mounts") or ()
    binds = [
        str(entry.get("source") or "/")
        for entry in (mounts if isinstance(mounts, (list, tuple)) else ())
        if isinstance(entry, dict) and entry.get("type") == "bind"
    ]
    return any(source[:1] in (".", "~") for source in volumes) or any(source[:1] != "/" for source in binds)
