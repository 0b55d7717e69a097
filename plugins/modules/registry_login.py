#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands the login at a registry to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_login

short_description: Credentials that a host keeps for a registry

description:
  - Declares the user name and password with which the agent asks a registry, or that it has none.
  - They are tried at the registry before they are kept, in check mode too. They are kept as Docker keeps them, in
    C(config.json) of the user that the agent runs as, or through the credential helper that this file names.
  - The options are those of community.docker.docker_login.

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
  registry:
    description:
      - The registry, V(HOST[:PORT]) or its URL. Docker Hub if it is not given.
    type: str
    default: docker.io
    aliases:
      - registry_url
      - url
  username:
    description:
      - The user name. It is needed for O(state=present).
    type: str
  password:
    description:
      - The password, or a token that the registry takes in its place. It is needed for O(state=present).
    type: str
  reauthorize:
    description:
      - Try credentials that are kept already at the registry again.
    type: bool
    default: false
    aliases:
      - reauth
  state:
    description:
      - Whether credentials shall be kept for the registry.
    type: str
    choices:
      - absent
      - present
    default: present

seealso:
  - module: wherry.node.registry_mirror
  - module: wherry.node.image
"""

EXAMPLES = r"""
- name: Log in at a private registry
  wherry.node.registry_login:
    registry: registry.example.com:5000
    username: deploy
    password: "{{ registry_password }}"

- name: Forget the credentials for Docker Hub
  wherry.node.registry_login:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done, in order. C(outcome.kept_in) says where.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: registry_login
      name: registry.example.com:5000
      action: create
      changed: true
      reason: there are none
      before: {"state": "absent"}
      after: {"state": "present", "username": "deploy", "password": "********"}
      outcome: {"kept_in": "/root/.docker/config.json"}
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError
from ansible_collections.wherry.node.plugins.module_utils.resource_module import declare, fail, resource_module

OPTIONS = {
    "registry": {"type": "str", "default": "docker.io", "aliases": ["registry_url", "url"]},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "reauthorize": {"type": "bool", "default": False, "aliases": ["reauth"]},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS, required_if=[("state", "present", ("username", "password"))])
    try:
        result = declare(module, OPTIONS, "registry_login", "registry_login")
    except AgentError as error:
        fail(module, error)
    result.pop("registry_login")  # secrets are not shown
    module.exit_json(**result)


if __name__ == "__main__":
    main()
