#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hands image declarations to the agent."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image

short_description: Images of a host

description:
  - Declares an image - pulled from a registry through its mirrors, loaded from an archive of images, imported from
    an archive of a root file system, or just there - or its absence.
  - The options have the names and meanings of community.docker.docker_image; O(source=import) with O(path) and
    O(changes) is an addition.

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
    details: O(force_source) with O(source=load) or O(source=import) is done each time.

options:
  name:
    description:
      - Name of the image, with or without a tag, or by digest; for O(state=absent) an ID will do.
    type: str
    required: true
  tag:
    description:
      - The tag, or the digest, if O(name) brings none.
    type: str
    default: latest
  state:
    description:
      - V(present) - the image is on the host.
      - V(absent) - the name is not on the host, and no image that had no other name.
    type: str
    choices:
      - absent
      - present
    default: present
  source:
    description:
      - Where the image comes from when it is not there. It is needed for O(state=present).
      - V(pull) - from a registry.
      - V(load) - from an archive of images at O(load_path), as C(docker save) writes it.
      - V(import) - from an archive of a root file system at O(path). It is imported again when its content or
        O(changes) differ from what the image was made of.
      - V(local) - it must be there.
    type: str
    choices:
      - import
      - load
      - local
      - pull
  path:
    description:
      - With O(source=import), the archive on the host.
    type: path
  load_path:
    description:
      - With O(source=load), the archive on the host.
    type: path
  changes:
    description:
      - With O(source=import), Dockerfile instructions that say how the image is run, such as V(CMD ["/bin/sh"]).
    type: list
    elements: str
  platform:
    description:
      - The platform of the image, such as V(linux/arm64). The one of the host if it is not given.
    type: str
  pull:
    description:
      - When to pull, with O(source=pull).
      - V(missing) - when the host has no image of this name and platform. This holds when nothing is said.
      - V(always) - when the registry has another image under the name, which it is asked each time. The same as
        O(force_source=true).
      - V(newer) - as V(always), but if no registry or mirror answers, an image that is there will do.
      - V(never) - it must be there; no registry is asked.
      - Or a dictionary with the keys C(platform), the same as O(platform), and C(policy), one of these words.
      - In check mode only manifests are asked for, and nothing is kept.
    type: raw
  digest:
    description:
      - With O(source=pull), the digest of the manifest or index that O(name) shall stand for. It is pulled by this
        digest, whatever the registry's tag has become, and O(name) is given to it.
    type: str
  proxies:
    description:
      - With O(source=pull), the proxies of this pull, before those of the agent.
    type: dict
    suboptions:
      http_proxy:
        description:
          - For registries that speak plain HTTP, C(http), C(https), C(socks5) or C(socks5h://[USER:PASSWORD@]HOST[:PORT]).
        type: str
      https_proxy:
        description:
          - For registries that speak TLS, in the same forms.
        type: str
      no_proxy:
        description:
          - Hosts, domains, addresses and networks that are asked directly, separated by commas.
        type: str
  repository:
    description:
      - A further name that the image gets. Without a tag it has the tag of the image.
    type: str
  force_source:
    description:
      - Pull, load or import again. A pull of the same image changes nothing.
    type: bool
    default: false
  force_tag:
    description:
      - Give the name O(repository) to this image even if another one has it.
    type: bool
    default: false
  force_absent:
    description:
      - Remove the image even if stopped containers use it.
    type: bool
    default: false

seealso:
  - module: wherry.node.image_info
  - module: wherry.node.registry_mirror
"""

EXAMPLES = r"""
- name: An image from a registry
  wherry.node.image:
    name: nginx:1.27
    source: pull

- name: The newest image under a name; if the registry is away, the one that is there
  wherry.node.image:
    name: registry.example.com/app:stable
    source: pull
    pull: newer

- name: A name that is pinned to content
  wherry.node.image:
    name: nginx:1.27
    source: pull
    digest: sha256:28402db69fec7c17e179ea87882667f1e054391138f77ffaf0c3eb388efc3ffb

- name: An image from a root file system archive
  wherry.node.image:
    name: local/busybox:latest
    source: import
    path: /var/tmp/rootfs.tar
    changes:
      - CMD ["/bin/sh"]
      - ENV PATH=/bin

- name: An image that shall not be there
  wherry.node.image:
    name: nginx:1.25
    state: absent
"""

RETURN = r"""
image:
  description: The image as it is now, in the form of C(docker image inspect); empty if there is none.
  returned: success
  type: dict
  sample: {}
actions:
  description: What was done, or in check mode would be done, in order.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: image
      name: nginx:1.27
      action: create
      changed: true
      reason: there is no such image
      before: {"state": "absent"}
      after: {"state": "present"}
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
from ansible_collections.wherry.node.plugins.module_utils.resource_options import IMAGE as OPTIONS
from ansible_collections.wherry.node.plugins.module_utils.resource_options import image_with_host_paths


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    run(module, OPTIONS, image_with_host_paths)


if __name__ == "__main__":
    main()
