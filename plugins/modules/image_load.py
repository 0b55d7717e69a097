#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Loads images from an archive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_load

short_description: Load images from an archive

description:
  - Loads all images of an archive on the host, as C(docker save) or an OCI tool writes it, and is C(changed) only when one
    of its names stands for another image afterwards, or an image without a name was not there before.
  - The options have the names and meanings of community.docker.docker_image_load.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes
  - wherry.node.attributes.action

options:
  path:
    description:
      - The archive on the host.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Load what was brought along
  wherry.node.image_load:
    path: /var/tmp/images.tar
"""

RETURN = r"""
image_names:
  description: Names of the loaded images, and IDs of those without one.
  returned: success
  type: list
  elements: str
  sample: ["nginx:1.27"]
images:
  description: The loaded images, in the form of C(docker image inspect).
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "path": {"type": "path", "required": True},
}

LOADED = ("Loaded image: ", "Loaded image ID: ")


def ids_by_name(client):
    """The images that there are, by each of their names and by their IDs."""
    found = {}
    for image in client.request("GET", "/images/json"):
        for name in [image["Id"]] + (image["RepoTags"] or []):
            found[name] = image["Id"]
    return found


def loaded_names(events):
    """What the agent says it has loaded."""
    texts = [(event.get("stream") or "").strip() for event in events]
    return [text[len(start) :] for text in texts for start in LOADED if text.startswith(start)]


def load(client, path):
    """Loads the archive; returns the module's result. Errors: AgentError."""
    before = ids_by_name(client)
    try:
        with open(path, "rb") as archive:
            names = loaded_names(client.events("POST", "/images/load", archive))
    except OSError as error:
        raise AgentError('path: "{0}": cannot be read: {1}'.format(path, error.strerror)) from error
    images = {name: client.request("GET", image_path(name, "json")) for name in names}
    changed = any(before.get(name) != image["Id"] for name, image in images.items())
    return {"changed": changed, "image_names": names, "images": list(images.values())}


def main():
    """Runs the module."""
    module = resource_module(OPTIONS, supports_check_mode=False)
    try:
        result = load(AgentClient(module.params["agent"]), module.params["path"])
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
