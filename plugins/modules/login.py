#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs in to a registry, or out."""

from __future__ import annotations

DOCUMENTATION = r"""
module: login

short_description: Log in to a registry, or out

description:
  - Has the agent check credentials with the registry, and keeps them on the host as C(docker login) does - in a credential
    helper, if the configuration file names one, else in the file itself.
  - The options have the names and meanings of community.docker.docker_login.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes

attributes:
  check_mode:
    support: full
    details: The registry is asked in check mode as well, so that wrong credentials are found.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux

options:
  registry_url:
    description:
      - The registry.
    type: str
    default: https://index.docker.io/v1/
    aliases:
      - registry
      - url
  username:
    description:
      - The user. It is needed for O(state=present).
    type: str
  password:
    description:
      - The password or token. It is needed for O(state=present).
    type: str
  reauthorize:
    description:
      - Write the credentials even if the same are kept already.
    type: bool
    default: false
    aliases:
      - reauth
  config_path:
    description:
      - The configuration file of Docker's clients on the host. It is made, with its directory, if it is missing.
    type: path
    default: ~/.docker/config.json
    aliases:
      - dockercfg_path
  state:
    description:
      - V(present) - the credentials are checked and kept.
      - V(absent) - none are kept for the registry.
    type: str
    choices:
      - absent
      - present
    default: present
"""

EXAMPLES = r"""
- name: Log in
  wherry.node.login:
    registry_url: registry.example.com
    username: deploy
    password: "{{ registry_password }}"

- name: Log out
  wherry.node.login:
    registry_url: registry.example.com
    state: absent
"""

RETURN = r"""
login_results:
  description: What the registry said.
  returned: when O(state=present)
  type: dict
  sample:
    Status: Login Succeeded
    IdentityToken: ""
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.credential_store import store_of
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

DOCKER_HUB = "https://index.docker.io/v1/"

OPTIONS = {
    "registry_url": {"type": "str", "default": DOCKER_HUB, "aliases": ["registry", "url"]},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "reauthorize": {"type": "bool", "default": False, "aliases": ["reauth"]},
    "config_path": {"type": "path", "default": "~/.docker/config.json", "aliases": ["dockercfg_path"]},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
}


def log_in(module, store):
    """Checks the credentials and keeps them; returns the module's result. Errors: AgentError."""
    parameters = module.params
    wanted = (parameters["username"], parameters["password"])
    body = {"username": wanted[0], "password": wanted[1], "serveraddress": parameters["registry_url"]}
    answer = AgentClient(parameters["agent"]).request("POST", "/auth", body) or {}
    if answer.get("IdentityToken"):
        # The registry has given a token to be kept in place of the password.
        wanted = ("<token>", answer["IdentityToken"])
        module.no_log_values.add(answer["IdentityToken"])
    changed = parameters["reauthorize"] or store.get() != wanted
    if changed and not module.check_mode:
        store.put(*wanted)
    return {"changed": changed, "login_results": dict(answer, IdentityToken="")}


def log_out(module, store):
    """Forgets the credentials; returns the module's result. Errors: AgentError."""
    changed = store.get() is not None
    if changed and not module.check_mode:
        store.erase()
    return {"changed": changed}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS, required_if=[("state", "present", ("username", "password"))])
    try:
        store = store_of(module.params["config_path"], module.params["registry_url"])
        result = (log_in if module.params["state"] == "present" else log_out)(module, store)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
