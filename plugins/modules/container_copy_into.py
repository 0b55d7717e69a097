#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies a file into a container."""

from __future__ import annotations

DOCUMENTATION = r"""
module: container_copy_into

short_description: Copy a file into a container

description:
  - Puts a file of the controller, or given content, into a container, which need not run.
  - Content, kind, mode and owner are compared first; nothing is written when they are as they shall be.
  - The options have the names and meanings of community.docker.docker_container_copy_into.

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
    support: full
    details: Contents are shown when both are text of at most 100 KiB.
  idempotent:
    support: partial
    details: With O(force=true) the file is written each time.
  platform:
    support: full
    platforms: linux

options:
  container:
    description:
      - Name or ID of the container.
    type: str
    required: true
  path:
    description:
      - The file on the controller, absolute or relative to the playbook's C(files).
      - Exactly one of O(path) and O(content) is needed.
    type: path
  content:
    description:
      - The content of the file. Numbers and booleans must be quoted.
    type: str
  content_is_b64:
    description:
      - O(content) is Base64.
    type: bool
    default: false
  container_path:
    description:
      - Absolute path of the file in the container. Its directory must be there.
    type: str
    required: true
  follow:
    description:
      - If O(container_path) is a symbolic link, write what it leads to, instead of replacing the link.
    type: bool
    default: false
  local_follow:
    description:
      - If O(path) is a symbolic link, copy what it leads to, instead of the link.
    type: bool
    default: true
  owner_id:
    description:
      - User number of the file. Together with O(group_id); the user that the container runs as, if neither is given.
    type: int
  group_id:
    description:
      - Group number of the file.
    type: int
  mode:
    description:
      - Permissions, as an octal number in YAML (V(0644)) or in quotes (V("0644")). Those of O(path) if it is not given, and
        needed with O(content).
    type: raw
  force:
    description:
      - V(true) - write the file in any case.
      - V(false) - write it only if there is none.
      - Not given - write it if something differs.
    type: bool
"""

EXAMPLES = r"""
- name: A file of the playbook
  wherry.node.container_copy_into:
    container: web
    path: nginx.conf
    container_path: /etc/nginx/nginx.conf

- name: Content made here
  wherry.node.container_copy_into:
    container: web
    content: "{{ lookup('template', 'site.j2') }}"
    container_path: /etc/nginx/conf.d/site.conf
    owner_id: 0
    group_id: 0
    mode: "0644"
"""

RETURN = r"""
container_path:
  description: Where the file is; with O(follow=true), where the links led.
  returned: success
  type: str
  sample: /etc/nginx/nginx.conf
"""

import base64
import binascii
import os
import stat

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.container_files import ContainerFile, Place, difference_of
from ansible_collections.wherry.node.plugins.module_utils.resource_module import fail, resource_module

OPTIONS = {
    "container": {"type": "str", "required": True},
    "path": {"type": "path"},
    "content": {"type": "str", "no_log": False},
    "content_is_b64": {"type": "bool", "default": False},
    "container_path": {"type": "str", "required": True},
    "follow": {"type": "bool", "default": False},
    "local_follow": {"type": "bool", "default": True},
    "owner_id": {"type": "int"},
    "group_id": {"type": "int"},
    "mode": {"type": "raw"},
    "force": {"type": "bool"},
}


def mode_of(value):
    """Permission bits from a number or octal text. Errors: AgentError."""
    try:
        mode = int(value, 8) if isinstance(value, str) else value
        if isinstance(mode, bool) or not 0 <= mode <= 0o7777:
            raise ValueError
        return mode
    except (TypeError, ValueError):
        raise AgentError('mode: "{0}": is no mode; an octal number up to 7777'.format(value)) from None


def file_from_content(parameters):
    """The file that the option content describes. Errors: AgentError."""
    data = parameters["content"].encode("utf-8")
    if parameters["content_is_b64"]:
        try:
            data = base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise AgentError("content: is not Base64: {0}".format(error)) from error
    if parameters["mode"] is None:
        raise AgentError("mode: is needed with content")
    return ContainerFile(stat.S_IFREG | mode_of(parameters["mode"]), data)


def file_from_path(parameters):
    """The file or link at the option path. Errors: AgentError."""
    path = parameters["path"]
    try:
        facts = os.stat(path) if parameters["local_follow"] else os.lstat(path)
        if stat.S_ISLNK(facts.st_mode):
            return ContainerFile(facts.st_mode, b"", os.readlink(path))
        if not stat.S_ISREG(facts.st_mode):
            raise AgentError('path: "{0}": is neither a file nor a link'.format(path))
        with open(path, "rb") as stream:
            data = stream.read()
    except OSError as error:
        raise AgentError('path: "{0}": cannot be read: {1}'.format(path, error.strerror)) from error
    permissions = stat.S_IMODE(facts.st_mode) if parameters["mode"] is None else mode_of(parameters["mode"])
    return ContainerFile(stat.S_IFREG | permissions, data)


def wanted_file(parameters, place):
    """The file as it shall be in the container. Errors: AgentError."""
    found = file_from_path(parameters) if parameters["content"] is None else file_from_content(parameters)
    found.owner = (parameters["owner_id"], parameters["group_id"])
    if parameters["owner_id"] is None:
        found.owner = place.default_owner()
    return found


def needs_writing(force, current, wanted):
    """Whether the file is written, by the option force and what is there."""
    if force is None:
        return current != wanted
    return force or current is None


def main():
    """Runs the module."""
    module = resource_module(
        OPTIONS,
        mutually_exclusive=[("path", "content")],
        required_one_of=[("path", "content")],
        required_together=[("owner_id", "group_id")],
    )
    parameters = module.params
    try:
        place = Place(AgentClient(parameters["agent"]), parameters["container"], parameters["container_path"])
        if parameters["follow"]:
            place.follow()
        wanted = wanted_file(parameters, place)
        current = place.read()
        changed = needs_writing(parameters["force"], current, wanted)
        if changed and not module.check_mode:
            place.write(wanted)
    except AgentError as error:
        fail(module, error)
    result = {"changed": changed, "container_path": place.path}
    if module._diff:
        result["diff"] = difference_of(place.path, current, wanted if changed else current)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
