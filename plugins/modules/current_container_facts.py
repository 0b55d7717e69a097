#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells whether it runs in a container."""

from __future__ import annotations

DOCUMENTATION = r"""
module: current_container_facts

short_description: Whether a task runs in a container

description:
  - Sets facts that say whether the module runs in a container, in which, and of what kind.
  - It looks at what the kernel and the engine have put into the container, and needs no agent. A container that hides all
    of it is not found.
  - The facts have the names of community.docker.current_container_facts.

version_added: 0.1.0

author:
  - The Wherry project (@wherry)

extends_documentation_fragment:
  - wherry.node.attributes
  - wherry.node.attributes.info

options: {}
"""

EXAMPLES = r"""
- name: Look where this runs
  wherry.node.current_container_facts: {}
"""

RETURN = r"""
ansible_facts:
  description: The facts.
  returned: always
  type: dict
  contains:
    ansible_module_running_in_container:
      description: Whether it runs in a container.
      returned: always
      type: bool
      sample: true
    ansible_module_container_id:
      description: The container's ID; empty if it runs in none.
      returned: always
      type: str
      sample: 249d9e3075655baf705ed8f40488c5e9434049cf3431976f1bfdb73741c574c5
    ansible_module_container_type:
      description: The engine, V(docker) for those that lay out containers as Docker does, Wherry among them; empty outside.
      returned: always
      type: str
      choices:
        - ""
        - docker
        - azure_pipelines
        - github_actions
        - podman
      sample: docker
"""

import re

from ansible.module_utils.basic import AnsibleModule

OPTIONS = {}

_ID = "(?P<id>[0-9a-f]{64})"
# The engine keeps the files /etc/hostname and /etc/hosts outside and mounts them in: mountinfo(5) field 4 shows from where.
_FILES = (
    (re.compile(r"/azpl_job/" + _ID + r"\b"), "azure_pipelines"),
    (re.compile(r"/actions_job/" + _ID + r"\b"), "github_actions"),
    (re.compile(r"/overlay-containers/" + _ID + r"/userdata/"), "podman"),
    (re.compile(r"/containers/" + _ID + r"/(?:hostname|hosts|resolv\.conf) /etc/"), "docker"),
)
_GROUPS = (
    (re.compile(r"[/-]libpod-" + _ID), "podman"),
    (re.compile(r"/azpl_job/" + _ID), "azure_pipelines"),
    (re.compile(r"/actions_job/" + _ID), "github_actions"),
    (re.compile(r"/(?:docker|wherry)[/-]" + _ID), "docker"),
)


def found(text, patterns):
    """ID and kind by the first pattern that fits; None without one."""
    for pattern, kind in patterns:
        match = pattern.search(text)
        if match:
            return match.group("id"), kind
    return None


def content(path):
    """A file of the kernel; empty if there is none."""
    try:
        with open(path) as stream:
            return stream.read()
    except OSError:
        return ""


def main():
    """Runs the module."""
    module = AnsibleModule(OPTIONS, supports_check_mode=True)
    place = found(content("/proc/self/cgroup"), _GROUPS) or found(content("/proc/self/mountinfo"), _FILES)
    identity, kind = place or ("", "")
    facts = {
        "ansible_module_running_in_container": bool(place),
        "ansible_module_container_id": identity,
        "ansible_module_container_type": kind,
    }
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
