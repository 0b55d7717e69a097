#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives an image further names."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_tag

short_description: Give an image further names

description:
  - Gives an image further names.
  - The options have the names and meanings of community.docker.docker_image_tag.

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

  repository:
    description:
      - The further names. One without a tag gets the tag O(tag).
    type: list
    elements: str
    required: true
  existing_images:
    description:
      - What to do with a name that another image has.
      - V(keep) - leave it there.
      - V(overwrite) - give it to this image.
    type: str
    choices:
      - keep
      - overwrite
    default: overwrite
"""

EXAMPLES = r"""
- name: A name to push by
  wherry.node.image_tag:
    name: app:1.4
    repository:
      - registry.example.com/app:1.4
      - registry.example.com/app:stable
"""

RETURN = r"""
image:
  description: The image, in the form of C(docker image inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}

tagged_images:
  description: The names that the image was given, or in check mode would be given.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.com/app:stable"]
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.image_names import named, split_name
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str", "default": "latest"},
    "repository": {"type": "list", "elements": "str", "required": True},
    "existing_images": {"type": "str", "choices": ["keep", "overwrite"], "default": "overwrite"},
}


def to_give(client, parameters, image):
    """The names that the image has yet to get, each with the ID that it stands for now, or None."""
    found = {}
    for repository in parameters["repository"]:
        name = named(repository, parameters["tag"])
        if "@" in name or not split_name(name)[1]:
            raise AgentError('repository: "{0}": is no name with a tag'.format(repository))
        holder = client.get(image_path(name, "json"))
        taken = holder is not None and parameters["existing_images"] == "keep"
        if not taken and (holder is None or holder["Id"] != image["Id"]):
            found[name] = holder and holder["Id"]
    return found


def give(client, image, name):
    """Gives the image a name."""
    repository, tag = split_name(name)
    client.request("POST", image_path(image["Id"], "tag"), query={"repo": repository, "tag": tag})


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        client = AgentClient(module.params["agent"])
        source = named(module.params["name"], module.params["tag"])
        image = client.request("GET", image_path(source, "json"))
        names = to_give(client, module.params, image)
        if names and not module.check_mode:
            for name in names:
                give(client, image, name)
            image = client.request("GET", image_path(image["Id"], "json"))
    except AgentError as error:
        fail(module, error)
    result = {"changed": bool(names), "image": image, "tagged_images": sorted(names)}
    if module._diff:
        result["diff"] = {"before": names, "after": dict.fromkeys(names, image["Id"])}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
