#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands network declarations to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network

short_description: Container networks of a host

description:
  - Declares a network - a bridge with address management, NAT and isolation, or a macvlan that makes containers
    full members of a network of the host - or its absence.
  - A network cannot be changed; one that differs from what is declared is made anew, and running containers are
    plugged into the new one.
  - The options have the names and meanings of community.docker.docker_network. Only declared options are compared,
    so O(connected) unplugs nobody as long as it is not given.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.resource

attributes:
  idempotent:
    support: partial
    details: O(force) with O(state=present) is done each time.

options:
  name:
    description:
      - Name of the network.
    type: str
    required: true
    aliases:
      - network_name
  state:
    description:
      - Whether the network shall be there.
    type: str
    choices:
      - absent
      - present
    default: present
  driver:
    description:
      - The driver, V(bridge) or V(macvlan).
    type: str
    default: bridge
  driver_options:
    description:
      - Options of the driver, such as C(parent) of a macvlan network.
    type: dict
  ipam_driver:
    description:
      - The driver of address management; V(default) is the only one.
    type: str
  ipam_driver_options:
    description:
      - Options of address management.
    type: dict
  ipam_config:
    description:
      - Address pools. Without them the agent chooses one.
    type: list
    elements: dict
    suboptions:
      subnet:
        description:
          - The subnet, such as V(10.88.0.0/24).
        type: str
      iprange:
        description:
          - The part of the subnet out of which containers get addresses.
        type: str
      gateway:
        description:
          - The address of the gateway.
        type: str
      aux_addresses:
        description:
          - Addresses that no container gets, by name.
        type: dict
  enable_ipv4:
    description:
      - Whether containers get IPv4 addresses.
    type: bool
  enable_ipv6:
    description:
      - Whether containers get IPv6 addresses.
    type: bool
  internal:
    description:
      - Whether the network leads nowhere.
    type: bool
  attachable:
    description:
      - Kept and shown; it means something in a swarm only.
    type: bool
  labels:
    description:
      - Labels of the network. Values must be strings.
    type: dict
  connected:
    description:
      - Containers that are plugged in. Others are unplugged unless O(appends) is given.
    type: list
    elements: str
    aliases:
      - containers
  appends:
    description:
      - Let containers that O(connected) does not have be plugged in.
    type: bool
    default: false
    aliases:
      - incremental
  force:
    description:
      - With O(state=present), make the network anew in any case. With O(state=absent), unplug its containers first.
    type: bool
    default: false

seealso:
  - module: wherry.node.network_info
  - module: wherry.node.container
"""

EXAMPLES = r"""
- name: A bridge network
  wherry.node.network:
    name: front
    ipam_config:
      - subnet: 10.88.0.0/24
        gateway: 10.88.0.1

- name: The network of the host itself
  wherry.node.network:
    name: lan
    driver: macvlan
    driver_options:
      parent: eth0
    ipam_config:
      - subnet: 192.0.2.0/24
        gateway: 192.0.2.1
        iprange: 192.0.2.128/25

- name: A network that shall not be there
  wherry.node.network:
    name: old
    state: absent
"""

RETURN = r"""
network:
  description: The network as it is now, in the form of C(docker network inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: network
      name: front
      action: create
      changed: true
      reason: there is no such network
      before: {"state": "absent"}
      after: {"state": "present"}
"""

from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module, run
from ansible_collections.wherry.node.plugins.module_utils.resource_options import NETWORK as OPTIONS


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    run(module, OPTIONS, "network", "network")


if __name__ == "__main__":
    main()
