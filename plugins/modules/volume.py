#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands volume declarations to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume

short_description: Volumes of a host

description:
  - Declares a volume or its absence.
  - A volume that differs from what is declared is left alone, for making it anew loses its content, unless
    O(recreate) allows that. Only a volume of the driver V(loop) that shall be larger grows in place, in use or not.
  - The options have the names and meanings of community.docker.docker_volume.

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
    details: O(recreate=always) is done each time.

options:
  name:
    description:
      - Name of the volume.
    type: str
    required: true
    aliases:
      - volume_name
  state:
    description:
      - Whether the volume shall be there.
    type: str
    choices:
      - absent
      - present
    default: present
  driver:
    description:
      - The driver.
      - V(local) - a directory, or what is mounted there from elsewhere.
      - V(loop) - a file system of a fixed size of its own, in a sparse file.
    type: str
    default: local
  driver_options:
    description:
      - Options of the driver, V(local) - C(type), C(device) and C(o) of a mount.
      - V(loop) - C(size), which it needs, and C(fstype), C(ext4) or C(xfs).
    type: dict
  labels:
    description:
      - Labels of the volume. Values must be strings.
    type: dict
  recreate:
    description:
      - When to remove the volume with its content and make it anew.
      - V(never) - not at all.
      - V(options-changed) - if it differs from what is declared.
      - V(always) - each time.
    type: str
    choices:
      - always
      - never
      - options-changed
    default: never

seealso:
  - module: wherry.node.volume_info
  - module: wherry.node.container
"""

EXAMPLES = r"""
- name: A volume
  wherry.node.volume:
    name: pages

- name: A volume in memory
  wherry.node.volume:
    name: scratch
    driver_options:
      type: tmpfs
      device: tmpfs
      o: size=64m

- name: A volume of 10 GiB, that can be declared larger later and then grows
  wherry.node.volume:
    name: database
    driver: loop
    driver_options:
      size: 10g

- name: A volume that shall not be there
  wherry.node.volume:
    name: old
    state: absent
"""

RETURN = r"""
volume:
  description: The volume as it is now, in the form of C(docker volume inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: volume
      name: pages
      action: create
      changed: true
      reason: there is no such volume
      before: {"state": "absent"}
      after: {"state": "present"}
"""

from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module, run
from ansible_collections.wherry.node.plugins.module_utils.resource_options import VOLUME as OPTIONS


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    run(module, OPTIONS, "volume", "volume")


if __name__ == "__main__":
    main()
