#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a container from the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_info

short_description: Facts of a container

description:
  - Returns what the agent knows of a container, in the form of C(docker inspect).

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.info

options:
  name:
    description:
      - Name or ID of the container.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look at a container
  wherry.node.container_info:
    name: web
  register: web
"""

RETURN = r"""
exists:
  description: Whether there is one.
  returned: success
  type: bool
  sample: true
container:
  description: It, in the form of C(docker inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, path_of
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "str", "required": True},
}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        found = AgentClient(module.params["agent"]).get(path_of("containers", module.params["name"], "json"))
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=False, exists=found is not None, container=found or {})


if __name__ == "__main__":
    main()
