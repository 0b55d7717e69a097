#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads images from the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_info

short_description: Facts of images

description:
  - Returns what the agent knows of images, in the form of C(docker image inspect).

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
      - Names or IDs of images. All images of the host if it is not given. What is not there is left out.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Look at two images
  wherry.node.image_info:
    name:
      - nginx:1.27
      - busybox
  register: found

- name: Look at all images
  wherry.node.image_info:
  register: all_images
"""

RETURN = r"""
images:
  description: The images, in the form of C(docker image inspect), in the order in which they were asked for.
  returned: success
  type: list
  elements: dict
  sample: []
"""


from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "list", "elements": "str"},
}


def facts(client, names):
    """The images of these names that there are; all images when no names are given."""
    if names is None:
        names = [image["Id"] for image in client.get("/images/json")]
    # An image may go between the two requests: what is not there is left out.
    found = [client.get(image_path(name, "json")) for name in names]
    return [image for image in found if image is not None]


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        images = facts(AgentClient(module.params["agent"]), module.params["name"])
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=False, images=images)


if __name__ == "__main__":
    main()
