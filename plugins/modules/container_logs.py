#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what a container has printed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_logs

short_description: Read the log of a container

description:
  - Returns what a container has printed, as C(docker logs) does.
  - The container's log driver must be one that can be read back.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.info

options:
  container:
    description:
      - Name or ID of the container.
    type: str
    required: true
    aliases:
      - name
  stdout:
    description:
      - Return what was printed on standard output.
    type: bool
    default: true
  stderr:
    description:
      - Return what was printed on standard error.
    type: bool
    default: true
  tail:
    description:
      - Return this many lines from the end. All lines if it is not given.
    type: int
  since:
    description:
      - Leave out what was printed before this time - seconds since 1970 - or, such as V(10m), so long ago.
    type: str
  until:
    description:
      - Leave out what was printed after this time, said as in O(since).
    type: str
  timestamps:
    description:
      - Begin each line with the time when it was printed (RFC 3339, nanoseconds).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See why it failed
  wherry.node.container_logs:
    container: web
    tail: 20
  register: log

- name: Wait for the line that says it is ready
  wherry.node.container_logs:
    container: db
  register: log
  until: "'ready to accept connections' in log.stdout + log.stderr"
  retries: 30
  delay: 1
"""

RETURN = r"""
stdout:
  description: What was printed on standard output; with a terminal, everything.
  returned: success
  type: str
  sample: "listening\\n"
stderr:
  description: What was printed on standard error.
  returned: success
  type: str
  sample: ""
"""

import re
import time

from ansible.module_utils.common.text.converters import to_text
from ansible_collections.wherry.node.plugins.module_utils import processes
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, path_of
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "container": {"type": "str", "required": True, "aliases": ["name"]},
    "stdout": {"type": "bool", "default": True},
    "stderr": {"type": "bool", "default": True},
    "tail": {"type": "int"},
    "since": {"type": "str"},
    "until": {"type": "str"},
    "timestamps": {"type": "bool", "default": False},
}

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def moment(option, text, now):
    """A time in the form of the Engine API. Errors: AgentError."""
    if re.match(r"^\d+(\.\d{1,9})?$", text):
        return text
    if re.match(r"^(\d+[smhd])+$", text):
        ago = sum(int(count) * SECONDS[unit] for count, unit in re.findall(r"(\d+)([smhd])", text))
        return "{0:.9f}".format(now - ago)
    raise AgentError(
        '{0}: "{1}": is no time; seconds since 1970, or how long ago, such as 90s, 10m or 1h30m'.format(option, text)
    )


def query_of(parameters, now):
    """The query of the Engine API. Errors: AgentError."""
    query = {name: "true" if parameters[name] else "false" for name in ("stdout", "stderr", "timestamps")}
    if parameters["tail"] is not None:
        if parameters["tail"] < 0:
            raise AgentError('tail: "{0}": is negative; a number of lines'.format(parameters["tail"]))
        query["tail"] = str(parameters["tail"])
    for option in ("since", "until"):
        if parameters[option] is not None:
            query[option] = moment(option, parameters[option], now)
    return query


def read(parameters):
    """Both outputs as bytes. Errors: AgentError."""
    client = AgentClient(parameters["agent"])
    name = parameters["container"]
    container = client.request("GET", path_of("containers", name, "json"))
    query = query_of(parameters, time.time())
    with client.open("GET", path_of("containers", name, "logs"), query=query) as answer:
        stream = client.checked(answer).response
        if container["Config"]["Tty"]:
            return {processes.STDOUT: stream.read(), processes.STDERR: b""}
        return processes.read_frames(stream)


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    if not (module.params["stdout"] or module.params["stderr"]):
        module.fail_json(msg="stdout, stderr: are both false; at least one must be true")
    try:
        outputs = read(module.params)
    except AgentError as error:
        fail(module, error)
    module.exit_json(
        changed=False, stdout=to_text(outputs[processes.STDOUT]), stderr=to_text(outputs[processes.STDERR])
    )


if __name__ == "__main__":
    main()
