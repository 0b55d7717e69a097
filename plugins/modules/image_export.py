#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes images to an archive."""

from __future__ import annotations

DOCUMENTATION = r"""
module: image_export

short_description: Write images to an archive

description:
  - Writes images to an archive on the host, as C(docker save) does, and changes nothing if the archive holds just these images
    under just these names.
  - The options have the names and meanings of community.docker.docker_image_export.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.agent
  - wherry.node.attributes

attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux

options:
  names:
    description:
      - Names of the images, with or without tags, or by digest or ID.
    type: list
    elements: str
    required: true
    aliases:
      - name
  tag:
    description:
      - The tag of the names that bring none.
    type: str
    default: latest
  path:
    description:
      - The archive on the host. It appears when it is whole.
    type: path
    required: true
  force:
    description:
      - Write the archive even if it holds these images already.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep the images of this release
  wherry.node.image_export:
    names:
      - registry.example.com/app:1.4
      - nginx:1.27
    path: /var/backups/release.tar
"""

RETURN = r"""
images:
  description: The images, in the form of C(docker image inspect).
  returned: success
  type: list
  elements: dict
  sample: []
"""

import json
import os
import shutil
import tarfile

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError, image_path
from ansible_collections.wherry.node.plugins.module_utils.image_names import familiar, named
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "names": {"type": "list", "elements": "str", "required": True, "aliases": ["name"]},
    "tag": {"type": "str", "default": "latest"},
    "path": {"type": "path", "required": True},
    "force": {"type": "bool", "default": False},
}


def archive_content(path):
    """IDs of the images in an archive, each with its names; None when it is no archive of images."""
    try:
        with tarfile.open(path) as archive:
            manifest = json.loads(archive.extractfile("manifest.json").read().decode("utf-8"))
        return {
            entry["Config"].rpartition("/")[2].partition(".")[0]: frozenset(entry.get("RepoTags") or ())
            for entry in manifest
        }
    except (OSError, EOFError, KeyError, ValueError, AttributeError, TypeError, tarfile.TarError):
        return None


def wanted_content(images):
    """What the archive of these images holds; an ID or digest puts its image in without a name."""
    content = {}
    for name, image in images.items():
        hexadecimal = image["Id"].partition(":")[2]
        tags = {tag for tag in image["RepoTags"] or [] if familiar(tag) == familiar(name)}
        content[hexadecimal] = content.get(hexadecimal, frozenset()) | tags
    return content


def write(client, module, names, path):
    """Writes the archive beside its place and moves it there. Errors: AgentError."""
    partial = os.path.join(module.tmpdir, "images.tar")
    with client.open("GET", "/images/get", query={"names": names}) as answer:
        stream = client.checked(answer).response
        try:
            with open(partial, "wb") as archive:
                shutil.copyfileobj(stream, archive, 1 << 20)
        except OSError as error:
            raise AgentError('"{0}": cannot be written: {1}'.format(partial, error)) from error
    module.atomic_move(partial, path)


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    path = module.params["path"]
    try:
        client = AgentClient(module.params["agent"])
        names = [named(name, module.params["tag"]) for name in module.params["names"]]
        images = {name: client.request("GET", image_path(name, "json")) for name in names}
        changed = module.params["force"] or archive_content(path) != wanted_content(images)
        if changed and not module.check_mode:
            write(client, module, names, path)
    except AgentError as error:
        fail(module, error)
    module.exit_json(changed=changed, images=list(images.values()))


if __name__ == "__main__":
    main()
