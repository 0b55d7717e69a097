#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a volume from the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_info

short_description: Facts of a volume

description:
  - Returns what the agent knows of a volume, in the form of C(docker volume inspect).

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
      - Name of the volume.
    type: str
    required: true
    aliases:
      - volume_name
"""

EXAMPLES = r"""
- name: Look at a volume
  wherry.node.volume_info:
    name: pages
  register: pages
"""

RETURN = r"""
exists:
  description: Whether there is one.
  returned: success
  type: bool
  sample: true
volume:
  description: It, in the form of C(docker volume inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, path_of
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "str", "required": True, "aliases": ["volume_name"]},
}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        found = AgentClient(module.params["agent"]).get(path_of("volumes", module.params["name"]))
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=False, exists=found is not None, volume=found or {})


if __name__ == "__main__":
    main()
