#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Declares everything that a host shall have, in one task."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node

short_description: Declare everything that a host shall have

description:
  - Declares registry mirrors, images, networks, volumes and containers in one request to the agent, which finds the order
    in which they need each other and does side by side what it can.
  - Check mode tells the plan for all of them together, a run carries the same plan out.
  - What it makes carries the name of its O(owner) in the label C(io.wherry.owner), so that O(purge) can remove what is no
    longer declared, and nothing else.

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
    details: As far as the modules of the entries are; O(containers) with C(restart=true) are restarted each time.

options:
  registry_mirrors:
    description:
      - Registry rules, each with the options of M(wherry.node.registry_mirror).
    type: list
    elements: dict
    default: []
  images:
    description:
      - Images, each with the options of M(wherry.node.image). Images that containers name are pulled for them as well.
    type: list
    elements: dict
    default: []
  networks:
    description:
      - Networks, each with the options of M(wherry.node.network).
    type: list
    elements: dict
    default: []
  volumes:
    description:
      - Volumes, each with the options of M(wherry.node.volume).
    type: list
    elements: dict
    default: []
  containers:
    description:
      - Containers, each with the options of M(wherry.node.container).
    type: list
    elements: dict
    default: []
  owner:
    description:
      - The name of this declaration. Two declarations of one host need two names, or each would purge what the other has
        made.
    type: str
    default: node
  purge:
    description:
      - Kinds of which is removed what this O(owner) has made and does not declare any more. What was made by hand, by
        other modules or by another owner stays. A volume goes with its content.
    type: list
    elements: str
    choices:
      - containers
      - networks
      - volumes
    default: []

seealso:
  - module: wherry.node.container
  - module: wherry.node.image
  - module: wherry.node.network
  - module: wherry.node.registry_mirror
  - module: wherry.node.volume
"""

EXAMPLES = r"""
- name: Everything that this host shall have
  wherry.node.node:
    purge:
      - containers
      - networks
    networks:
      - name: app
        ipam_config:
          - subnet: 10.88.0.0/24
    volumes:
      - name: database
    containers:
      - name: db
        image: postgres:16
        networks:
          - name: app
        volumes:
          - database:/var/lib/postgresql/data
        state: healthy
      - name: web
        image: registry.example.com/web:1.4
        networks:
          - name: app
        published_ports:
          - "80:8080"
        restart_policy: unless-stopped
"""

RETURN = r"""
objects:
  description:
    - What was declared, as it is now, each with its C(kind), its C(name) and, in the form of Docker's C(inspect), the C(object),
      which is V(null) for what is absent.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: volume
      name: database
      object: {"Name": "database", "Driver": "local"}
pulls:
  description: What the pulls of images took - name, digest, bytes, seconds, and endpoints that served them.
  returned: when an image was pulled
  type: list
  elements: dict
  sample: []
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: container
      name: web
      action: create
      changed: true
      reason: there is no such container
      before: {"state": "absent"}
      after: {"state": "present"}
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.node_declaration import OPTIONS, Declaration
from ansible_collections.wherry.node.plugins.module_utils.resource_module import (
    declaration_path,
    fail,
    resource_module,
)


def run(module, declaration):
    """Hands the declaration over; returns the module's result. Errors: AgentError."""
    if declaration.is_empty:
        return declaration.result_of_nothing()
    client = AgentClient(module.params["agent"])
    try:
        answer = client.request("POST", declaration_path(module.check_mode), declaration.request())
    except AgentError as error:
        raise declaration.in_words_of_the_task(error) from error
    return declaration.result_of(answer, module._diff)


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        declaration = Declaration(module.params)
        # What the entries hold of secrets must not come out with the results of the task.
        module.no_log_values.update(declaration.secrets)
        result = run(module, declaration)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
