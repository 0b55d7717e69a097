#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_remove

short_description: Remove an image or one of its names

description:
  - Takes a name from an image, and removes the image when it has no other.
  - The options have the names and meanings of community.docker.docker_image_remove.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.resource

attributes:
  idempotent:
    support: full

options:
  name:
    description:
      - Name of the image, with or without a tag, or by digest or ID.
    type: str
    required: true
  tag:
    description:
      - The tag, or the digest, if O(name) brings none.
    type: str
    default: latest

  force:
    description:
      - Remove the image even if stopped containers use it, or, by its ID, with all its names.
    type: bool
    default: false
  prune:
    description:
      - Remove parents without a name as well. Images have no parents here, so that V(false) changes nothing.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: The old release goes
  wherry.node.image_remove:
    name: registry.example.com/app
    tag: "1.3"
"""

RETURN = r"""
image:
  description: The image as it was, in the form of C(docker image inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}

deleted:
  description: IDs of what was removed, or in check mode would be removed.
  returned: success
  type: list
  elements: str
  sample: []
untagged:
  description: Names that were removed, or in check mode would be removed.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.com/app:1.3"]
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.image_names import named
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str", "default": "latest"},
    "force": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": True},
}


def remove(client, name, parameters, check_mode):
    """Removes, or says what a removal would remove. Errors: AgentError."""
    query = {
        "force": "true" if parameters["force"] else "false",
        "noprune": "false" if parameters["prune"] else "true",
        "dry-run": "true" if check_mode else "false",
    }
    return client.request("DELETE", image_path(name), query=query)


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        client = AgentClient(module.params["agent"])
        name = named(module.params["name"], module.params["tag"])
        image = client.get(image_path(name, "json"))
        removals = [] if image is None else remove(client, name, module.params, module.check_mode)
    except AgentError as error:
        fail(module, error)
    result = {
        "changed": bool(removals),
        "image": image or {},
        "deleted": [one["Deleted"] for one in removals if "Deleted" in one],
        "untagged": [one["Untagged"] for one in removals if "Untagged" in one],
    }
    if module._diff:
        result["diff"] = {"before": {"names": result["untagged"]}, "after": {"names": []}}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
