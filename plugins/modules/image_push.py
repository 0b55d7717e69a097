#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pushes an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_push

short_description: Push an image to a registry

description:
  - Pushes an image to the registry that its name says, and is C(changed) only when the registry has something else
    under the name afterwards.
  - The options have the names and meanings of community.docker.docker_image_push.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.action

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
"""

EXAMPLES = r"""
- name: Push what was tagged
  wherry.node.image_push:
    name: registry.example.com/app
    tag: "1.4"
"""

RETURN = r"""
image:
  description: The image, in the form of C(docker image inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}

digest:
  description: The digest under which the registry has it.
  returned: success
  type: str
  sample: sha256:28402db69fec7c17e179ea87882667f1e054391138f77ffaf0c3eb388efc3ffb
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.image_names import named, split_name
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str", "default": "latest"},
}


def digest_there(client, name):
    """The digest that the registry has under a name; None when it has none or does not tell."""
    try:
        found = client.get(image_path(name, "json").replace("/images/", "/distribution/", 1))
    except AgentError:
        return None
    return (found or {}).get("Descriptor", {}).get("digest")


def push(client, name):
    """Pushes; returns the module's result. Errors: AgentError."""
    image = client.request("GET", image_path(name, "json"))
    repository, tag = split_name(name)
    before = digest_there(client, name)
    events = client.events("POST", image_path(repository, "push"), query={"tag": tag})
    pushed = [event["aux"]["Digest"] for event in events if "Digest" in (event.get("aux") or {})]
    digest = pushed[-1] if pushed else digest_there(client, name)
    return {"changed": digest is None or digest != before, "image": image, "digest": digest or ""}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS, supports_check_mode=False)
    try:
        name = named(module.params["name"], module.params["tag"])
        if "@" in name or not split_name(name)[1]:
            raise AgentError('name: "{0}": has no tag; a push needs one'.format(name))
        result = push(AgentClient(module.params["agent"]), name)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
