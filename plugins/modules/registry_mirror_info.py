#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads registry rules from the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirror_info

short_description: Facts of registry rules

description:
  - Returns from where images are pulled, without passwords - as M(wherry.node.registry_mirror) declares it, and as
    C(hosts.toml), C(registries.conf) and C(registry-mirrors) say. C(source) names the file of a
    rule that was not declared.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.info

options:
  registry:
    description:
      - The beginning of the names that the rule is for. All rules if it is not given.
    type: str
    aliases:
      - name
      - prefix
"""

EXAMPLES = r"""
- name: Look at the rule for one registry
  wherry.node.registry_mirror_info:
    registry: docker.io
  register: hub
"""

RETURN = r"""
registry_mirrors:
  description: The rules, by the beginning of the names that they are for.
  returned: success
  type: list
  elements: dict
  sample:
    - registry: docker.io
      mirrors:
        - url: mirror.example.com:5000
          capabilities: [pull, resolve]
      fallback: true
      blocked: false
"""

from urllib.parse import quote

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "registry": {"type": "str", "aliases": ["name", "prefix"]},
}


def facts(client, registry):
    """The rule for one beginning, or all rules."""
    if registry is None:
        return client.get("/wherry/v1/registry_mirrors")
    found = client.get("/wherry/v1/registry_mirrors/" + quote(registry, safe="/:*"))
    return [] if found is None else [found]


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    try:
        rules = facts(AgentClient(module.params["agent"]), module.params["registry"])
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=False, registry_mirrors=rules)


if __name__ == "__main__":
    main()
