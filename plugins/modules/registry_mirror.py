#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands registry mirror declarations to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirror

short_description: Where the images of a registry are asked for

description:
  - Declares from where images are pulled whose names begin with O(registry) - mirrors first, in order, then the
    registry itself. It holds from the next pull on, without a restart of the agent.
  - Options that are not declared keep the value that the rule has.

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
      - The beginning of the names that the rule is for, such as V(docker.io), V(registry.example.com:5000),
        V(registry.example.com/team) or V(*.example.com).
    type: str
    required: true
    aliases:
      - name
      - prefix
  state:
    description:
      - Whether there shall be a rule for this beginning.
    type: str
    choices:
      - absent
      - present
    default: present
  mirrors:
    description:
      - Mirrors, in the order in which they are asked.
    type: list
    elements: dict
    suboptions:
      url:
        description:
          - Where the mirror is, V([http[s]://]HOST[:PORT][/PATH]).
        type: str
        required: true
        aliases:
          - location
      capabilities:
        description:
          - What the mirror is asked for. V(pull) is content by its digest, V(resolve) is what a tag means. Both if
            it is not given.
        type: list
        elements: str
        choices:
          - pull
          - resolve
      insecure:
        description:
          - Allow plain HTTP and unverified certificates for the mirror.
        type: bool
      ca:
        description:
          - The authority that signed the certificate of the mirror, as an absolute path on the host or as PEM text.
        type: str
      username:
        description:
          - User name at the mirror.
        type: str
      password:
        description:
          - Password at the mirror.
        type: str
      token_hosts:
        description:
          - Hosts beside the mirror itself to which its credentials may be sent for a token.
        type: list
        elements: str
      client_cert:
        description:
          - The certificate that is shown to the mirror, as an absolute path on the host. It needs O(mirrors[].client_key).
        type: str
      client_key:
        description:
          - The key of O(mirrors[].client_cert), as an absolute path on the host.
        type: str
      headers:
        description:
          - Headers that go along with each request to the mirror, and to nobody else.
        type: dict
      api_path:
        description:
          - What stands before the repository in requests to the mirror, if it is not V(/v2).
        type: str
  url:
    description:
      - Where the registry itself is, if not where its name says.
    type: str
    aliases:
      - location
  insecure:
    description:
      - Allow plain HTTP and unverified certificates for the registry.
    type: bool
  ca:
    description:
      - The authority that signed the certificate of the registry, as an absolute path on the host or as PEM text.
    type: str
  username:
    description:
      - User name at the registry.
    type: str
  password:
    description:
      - Password at the registry.
    type: str
  token_hosts:
    description:
      - Hosts beside the registry itself to which its credentials may be sent for a token.
    type: list
    elements: str
  client_cert:
    description:
      - The certificate that is shown to the registry, as an absolute path on the host. It needs O(client_key).
    type: str
  client_key:
    description:
      - The key of O(client_cert), as an absolute path on the host.
    type: str
  headers:
    description:
      - Headers that go along with each request to the registry itself, and to nobody else.
    type: dict
  api_path:
    description:
      - What stands before the repository in requests to the registry, if it is not V(/v2).
    type: str
  peers:
    description:
      - Other agents that serve their images (C(serve) in their configuration), V(HOST[:PORT]), such as hosts of the
        inventory. They are asked for content first, each host in another order, and are believed by digest only; what
        a tag means is asked of the mirrors and the registry.
    type: list
    elements: str
  fallback:
    description:
      - Whether the registry itself is asked when no mirror has the image. It is if this was never declared.
    type: bool
  blocked:
    description:
      - Whether pulls of these names are refused.
    type: bool

seealso:
  - module: wherry.node.registry_mirror_info
  - module: wherry.node.image
"""

EXAMPLES = r"""
- name: Ask the mirror in the rack first
  wherry.node.registry_mirror:
    registry: docker.io
    mirrors:
      - url: https://mirror.example.com:5000
        ca: /etc/ssl/rack.pem

- name: Ask nobody else
  wherry.node.registry_mirror:
    registry: registry.example.com
    mirrors:
      - url: http://10.0.0.5:5000
        insecure: true
    fallback: false

- name: Spread images through the fleet - hosts ask each other before the registry
  wherry.node.registry_mirror:
    registry: registry.example.com
    peers: "{{ groups['fleet'] | difference([inventory_hostname]) }}"

- name: Go to the registry itself again
  wherry.node.registry_mirror:
    registry: docker.io
    state: absent
"""

RETURN = r"""
registry_mirror:
  description: The rule as it is now, without passwords; empty if there is none.
  returned: success
  type: dict
  sample:
    registry: docker.io
    mirrors:
      - url: mirror.example.com:5000
        capabilities: [pull, resolve]
    fallback: true
    blocked: false
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: registry_mirror
      name: docker.io
      action: create
      changed: true
      reason: there is no such rule
      before: {"state": "absent"}
      after: {"state": "present"}
"""

from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module, run
from ansible_collections.wherry.node.plugins.module_utils.resource_options import REGISTRY_MIRROR as OPTIONS


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    run(module, OPTIONS, "registry_mirror", "registry_mirror")


if __name__ == "__main__":
    main()
