#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pulls an image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull

short_description: Pull an image from a registry

description:
  - Pulls an image through the host's mirrors, and is C(changed) only when another image has the name afterwards.
  - The options have the names and meanings of community.docker.docker_image_pull.

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

  platform:
    description:
      - The platform of the image, such as V(linux/arm64). The one of the host if it is not given.
    type: str
  pull:
    description:
      - V(always) - ask the registry whether there is a newer image under the name.
      - V(not_present) - pull only when the host has no image of this name.
    type: str
    choices:
      - always
      - not_present
    default: always
"""

EXAMPLES = r"""
- name: The newest image under a name
  wherry.node.image_pull:
    name: registry.example.com/app
    tag: stable

- name: An image that is pinned is pulled once
  wherry.node.image_pull:
    name: nginx@sha256:28402db69fec7c17e179ea87882667f1e054391138f77ffaf0c3eb388efc3ffb
    pull: not_present
"""

RETURN = r"""
image:
  description: The image, in the form of C(docker image inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}

actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample: []
digest:
  description: The digest that the name stood for at the registry.
  returned: when an image was pulled
  type: str
  sample: sha256:28402db69fec7c17e179ea87882667f1e054391138f77ffaf0c3eb388efc3ffb
bytes:
  description: How many bytes were received - manifests, configuration, and the layers that were not there.
  returned: when an image was pulled
  type: int
  sample: 71840123
seconds:
  description: How long the pull took.
  returned: when an image was pulled
  type: float
  sample: 2.315
endpoints:
  description: Which registry or mirror served how many manifests, configs and layers.
  returned: when an image was pulled
  type: list
  elements: dict
  sample:
    - endpoint: mirror.lan:5000
      mirror: true
      manifests: 2
      configs: 1
      layers: 7
"""

from ansible_collections.wherry.node.plugins.module_utils.image_pulls import run
from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module

OPTIONS = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str", "default": "latest"},
    "platform": {"type": "str"},
    "pull": {"type": "str", "choices": ["always", "not_present"], "default": "always"},
}


def as_image(resource):
    """Turns the options into those of the resource image, which does the same."""
    resource.update(source="pull", force_source=resource.pop("pull") == "always")


def main():
    """Runs the module."""
    run(resource_module(OPTIONS), OPTIONS, as_image)


if __name__ == "__main__":
    main()
