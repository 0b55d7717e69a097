#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs a process in a running container."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_exec

short_description: Run a command in a container

description:
  - Runs a command in a running container, and returns what it printed and how it ended.
  - The options have the names and meanings of community.docker.docker_container_exec.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.action

options:
  container:
    description:
      - Name or ID of the container.
    type: str
    required: true
  argv:
    description:
      - The command as a list.
      - Exactly one of O(argv) and O(command) is needed.
    type: list
    elements: str
  command:
    description:
      - The command as a string, split as a POSIX shell splits words; no shell runs it.
    type: str
  chdir:
    description:
      - The directory in the container to run the command in.
    type: str
  detach:
    description:
      - Return as soon as the command runs.
    type: bool
    default: false
  user:
    description:
      - Run the command as this user, as a name or number, with or without C(:group). The container's user otherwise.
    type: str
  stdin:
    description:
      - Text for the standard input of the command. It cannot be given with O(detach=true).
    type: str
  stdin_add_newline:
    description:
      - Append a newline to O(stdin).
    type: bool
    default: true
  strip_empty_ends:
    description:
      - Strip newlines from the ends of the returned output.
    type: bool
    default: true
  tty:
    description:
      - Give the command a terminal. Standard output and error are then one.
    type: bool
    default: false
  env:
    description:
      - Environment variables of the command. Values must be strings; quote numbers and booleans.
    type: dict
  privileged:
    description:
      - Run the command with every capability that the agent has.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Reload the web server
  wherry.node.container_exec:
    container: web
    command: nginx -s reload

- name: Feed a database
  wherry.node.container_exec:
    container: db
    argv:
      - psql
      - --username=app
    stdin: "select 1;"
    env:
      PGAPPNAME: deploy
  register: answer
"""

RETURN = r"""
stdout:
  description: What the command printed on standard output.
  returned: success and O(detach=false)
  type: str
  sample: "1"
stderr:
  description: What the command printed on standard error.
  returned: success and O(detach=false)
  type: str
  sample: ""
rc:
  description: The exit code of the command. A code other than 0 does not fail the task.
  returned: success and O(detach=false)
  type: int
  sample: 0
exec_id:
  description: The ID of the exec session.
  returned: success and O(detach=true)
  type: str
  sample: 249d9e3075655baf705ed8f40488c5e9434049cf3431976f1bfdb73741c574c5
"""

import shlex

from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible_collections.wherry.node.plugins.module_utils import processes
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "container": {"type": "str", "required": True},
    "argv": {"type": "list", "elements": "str"},
    "command": {"type": "str"},
    "chdir": {"type": "str"},
    "detach": {"type": "bool", "default": False},
    "user": {"type": "str"},
    "stdin": {"type": "str"},
    "stdin_add_newline": {"type": "bool", "default": True},
    "strip_empty_ends": {"type": "bool", "default": True},
    "tty": {"type": "bool", "default": False},
    "env": {"type": "dict"},
    "privileged": {"type": "bool", "default": False},
}


def command_of(parameters):
    """The command as a list. Errors: AgentError when there is none."""
    try:
        command = parameters["argv"] if parameters["argv"] is not None else shlex.split(parameters["command"])
    except ValueError as error:
        raise AgentError(
            'command: "{0}": cannot be split into words: {1}'.format(parameters["command"], error)
        ) from error
    if not command:
        raise AgentError("argv or command: is empty; the program to run is needed")
    return command


def environment_of(parameters):
    """Variables as NAME=value. Errors: AgentError for a value that YAML has made something else than a string."""
    found = []
    for name, value in sorted((parameters["env"] or {}).items()):
        if not isinstance(value, str):
            raise AgentError('env: {0}: "{1}": is no string; put it into quotes'.format(name, value))
        found.append("{0}={1}".format(name, value))
    return found


def exec_body(parameters):
    """The session in the form of the Engine API. Errors: AgentError."""
    attached = not parameters["detach"]
    body = {
        "Cmd": command_of(parameters),
        "Env": environment_of(parameters),
        "Tty": parameters["tty"],
        "Privileged": parameters["privileged"],
        "AttachStdin": parameters["stdin"] is not None,
        "AttachStdout": attached,
        "AttachStderr": attached,
    }
    for key, option in (("User", "user"), ("WorkingDir", "chdir")):
        if parameters[option] is not None:
            body[key] = parameters[option]
    return body


def run(parameters):
    """Runs the command; returns the module's result. Errors: AgentError."""
    client = AgentClient(parameters["agent"])
    session = processes.create_exec(client, parameters["container"], exec_body(parameters))
    if parameters["detach"]:
        processes.start_detached(client, session)
        return {"exec_id": session}
    stdin = parameters["stdin"]
    if stdin is not None:
        stdin = to_bytes(stdin + ("\n" if parameters["stdin_add_newline"] else ""))
    code, stdout, stderr = processes.run_exec(client, session, stdin, parameters["tty"])
    result = {"rc": code, "stdout": to_text(stdout), "stderr": to_text(stderr)}
    if parameters["strip_empty_ends"]:
        result.update(stdout=result["stdout"].rstrip("\r\n"), stderr=result["stderr"].rstrip("\r\n"))
    return result


def main():
    """Runs the module."""
    module = resource_module(
        OPTIONS,
        supports_check_mode=False,
        mutually_exclusive=[("argv", "command")],
        required_one_of=[("argv", "command")],
    )
    if module.params["detach"] and module.params["stdin"] is not None:
        module.fail_json(msg="stdin: cannot be given with detach=true; nobody would write it")
    try:
        result = run(module.params)
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=True, **result)


if __name__ == "__main__":
    main()
