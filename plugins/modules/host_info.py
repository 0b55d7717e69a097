#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the agent and what it has from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info

short_description: Facts of a host and its agent

description:
  - Returns what the agent says of itself and its host, in the form of C(docker info), and lists of what it has.
  - The options have the names and meanings of community.docker.docker_host_info.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.info

options:
  containers:
    description:
      - List running containers.
    type: bool
    default: false
  containers_all:
    description:
      - With O(containers=true), list containers that do not run as well.
    type: bool
    default: false
  containers_filters:
    description:
      - Filters of the list of containers, by the names that C(docker ps --filter) has; each a value or a list of values.
    type: dict
  images:
    description:
      - List images.
    type: bool
    default: false
  images_filters:
    description:
      - Filters of the list of images.
    type: dict
  networks:
    description:
      - List networks.
    type: bool
    default: false
  networks_filters:
    description:
      - Filters of the list of networks.
    type: dict
  volumes:
    description:
      - List volumes.
    type: bool
    default: false
  volumes_filters:
    description:
      - Filters of the list of volumes.
    type: dict
  disk_usage:
    description:
      - Return how much of the disk images, containers and volumes take.
    type: bool
    default: false
  verbose_output:
    description:
      - Return everything that the agent says of each object, instead of the fields that people look at.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: What the host is
  wherry.node.host_info:
  register: host

- name: Everything that runs and belongs to the web role
  wherry.node.host_info:
    containers: true
    containers_filters:
      label: role=web
"""

RETURN = r"""
can_talk_to_docker:
  description: Whether the agent answered; the name is the one that playbooks know.
  returned: both on success and on error
  type: bool
  sample: true
host_info:
  description: The agent and its host, in the form of C(docker info).
  returned: success
  type: dict
  sample: {}
containers:
  description: The containers.
  returned: when O(containers=true)
  type: list
  elements: dict
  sample: []
images:
  description: The images.
  returned: when O(images=true)
  type: list
  elements: dict
  sample: []
networks:
  description: The networks.
  returned: when O(networks=true)
  type: list
  elements: dict
  sample: []
volumes:
  description: The volumes.
  returned: when O(volumes=true)
  type: list
  elements: dict
  sample: []
disk_usage:
  description: Bytes, by kind; with O(verbose_output=true) also by object.
  returned: when O(disk_usage=true)
  type: dict
  sample: {}
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, filters_query
from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module

OPTIONS = {
    "containers": {"type": "bool", "default": False},
    "containers_all": {"type": "bool", "default": False},
    "containers_filters": {"type": "dict"},
    "images": {"type": "bool", "default": False},
    "images_filters": {"type": "dict"},
    "networks": {"type": "bool", "default": False},
    "networks_filters": {"type": "dict"},
    "volumes": {"type": "bool", "default": False},
    "volumes_filters": {"type": "dict"},
    "disk_usage": {"type": "bool", "default": False},
    "verbose_output": {"type": "bool", "default": False},
}

KINDS = ("containers", "images", "networks", "volumes")
PATHS = {"containers": "/containers/json", "images": "/images/json", "networks": "/networks", "volumes": "/volumes"}
SHORT = {
    "containers": ("Id", "Image", "Command", "Created", "Status", "Ports", "Names"),
    "images": ("Id", "RepoTags", "Created", "Size"),
    "networks": ("Id", "Driver", "Name", "Scope"),
    "volumes": ("Driver", "Name"),
}
USAGE = ("Images", "Containers", "Volumes")


def listing(client, parameters, kind):
    """The objects of a kind."""
    query = filters_query(parameters[kind + "_filters"])
    if kind == "containers" and parameters["containers_all"]:
        query["all"] = "true"
    found = client.request("GET", PATHS[kind], query=query)
    if kind == "volumes":
        found = found["Volumes"] or []
    return found if parameters["verbose_output"] else [_short(entry, SHORT[kind]) for entry in found]


def disk_usage(client, verbose):
    """What takes how much."""
    found = client.request("GET", "/system/df")
    return found if verbose else _short(found, ("LayersSize",) + USAGE)


def _short(entry, keys):
    return {key: entry[key] for key in keys if key in entry}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    parameters = module.params
    talked = False
    try:
        client = AgentClient(parameters["agent"])
        result = {"host_info": client.request("GET", "/info")}
        talked = True
        for kind in KINDS:
            if parameters[kind]:
                result[kind] = listing(client, parameters, kind)
        if parameters["disk_usage"]:
            result["disk_usage"] = disk_usage(client, parameters["verbose_output"])
    except AgentError as error:
        module.fail_json(msg=error.message, can_talk_to_docker=talked)
    module.exit_json(changed=False, can_talk_to_docker=True, **result)


if __name__ == "__main__":
    main()
