#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes what nothing uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: prune

short_description: Remove unused containers, images, networks and volumes

description:
  - Removes stopped containers and unused images, networks and volumes.
  - The options have the names and meanings of community.docker.docker_prune, whose build cache options have no meaning here.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.action

options:
  containers:
    description:
      - Remove containers that do not run.
    type: bool
    default: false
  containers_filters:
    description:
      - Only those that match C(until) (an age, such as V(24h), or a time), C(label) or C(label!).
    type: dict
  images:
    description:
      - Remove images that have no name and that no container uses. With C(dangling) set to V(false) in O(images_filters), those
        with a name as well.
    type: bool
    default: false
  images_filters:
    description:
      - Only those that match.
    type: dict
  networks:
    description:
      - Remove networks that no container is in.
    type: bool
    default: false
  networks_filters:
    description:
      - Only those that match.
    type: dict
  volumes:
    description:
      - Remove volumes without a name of their own that no container uses. With C(all) set to V(true) in O(volumes_filters), those
        with a name as well.
    type: bool
    default: false
  volumes_filters:
    description:
      - Only those that match.
    type: dict
"""

EXAMPLES = r"""
- name: Everything that is left over
  wherry.node.prune:
    containers: true
    images: true
    networks: true
    volumes: true

- name: Images that nothing uses, with a name or without
  wherry.node.prune:
    images: true
    images_filters:
      dangling: false
"""

RETURN = r"""
containers:
  description: IDs of the removed containers.
  returned: O(containers=true)
  type: list
  elements: str
  sample: []
containers_space_reclaimed:
  description: Bytes that are free again.
  returned: O(containers=true)
  type: int
  sample: 0
images:
  description: Names and IDs that were removed.
  returned: O(images=true)
  type: list
  elements: dict
  sample: []
images_space_reclaimed:
  description: Bytes that are free again.
  returned: O(images=true)
  type: int
  sample: 0
networks:
  description: Names of the removed networks.
  returned: O(networks=true)
  type: list
  elements: str
  sample: []
volumes:
  description: Names of the removed volumes.
  returned: O(volumes=true)
  type: list
  elements: str
  sample: []
volumes_space_reclaimed:
  description: Bytes that are free again.
  returned: O(volumes=true)
  type: int
  sample: 0
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, filters_query
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "containers": {"type": "bool", "default": False},
    "containers_filters": {"type": "dict"},
    "images": {"type": "bool", "default": False},
    "images_filters": {"type": "dict"},
    "networks": {"type": "bool", "default": False},
    "networks_filters": {"type": "dict"},
    "volumes": {"type": "bool", "default": False},
    "volumes_filters": {"type": "dict"},
}

# In this order, what one kind lets go the next can remove.
KINDS = (
    ("containers", "ContainersDeleted", True),
    ("images", "ImagesDeleted", True),
    ("networks", "NetworksDeleted", False),
    ("volumes", "VolumesDeleted", True),
)


def prune(client, parameters):
    """Removes what was asked for; returns the module's result."""
    result = {"changed": False}
    for kind, key, takes_space in KINDS:
        if not parameters[kind]:
            continue
        query = filters_query(parameters[kind + "_filters"])
        answer = client.request("POST", "/{0}/prune".format(kind), query=query)
        result[kind] = answer.get(key) or []
        if takes_space:
            result[kind + "_space_reclaimed"] = answer.get("SpaceReclaimed") or 0
        result["changed"] = result["changed"] or bool(result[kind])
    return result


def main():
    """Runs the module."""
    module = resource_module(OPTIONS, supports_check_mode=False)
    try:
        result = prune(AgentClient(module.params["agent"]), module.params)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
