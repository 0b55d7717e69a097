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

import re

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.wherry.node.plugins.module_utils import container_options, resource_options
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.container_resource import as_resource
from ansible_collections.wherry.node.plugins.module_utils.resource_module import (
    declared,
    difference,
    fail,
    resource_module,
)

KINDS = {
    "registry_mirrors": ("registry_mirror", resource_options.REGISTRY_MIRROR, None),
    "images": ("image", resource_options.IMAGE, resource_options.image_with_host_paths),
    "networks": ("network", resource_options.NETWORK, None),
    "volumes": ("volume", resource_options.VOLUME, None),
    "containers": ("container", container_options.OPTIONS, as_resource),
}
"""By option: the kind that the agent knows, the options of an entry, and what is done to it before it is sent."""

OPTIONS = {
    "registry_mirrors": {"type": "list", "elements": "dict", "default": [], "no_log": False},
    "images": {"type": "list", "elements": "dict", "default": []},
    "networks": {"type": "list", "elements": "dict", "default": []},
    "volumes": {"type": "list", "elements": "dict", "default": []},
    "containers": {"type": "list", "elements": "dict", "default": []},
    "owner": {"type": "str", "default": "node"},
    "purge": {"type": "list", "elements": "str", "choices": ["containers", "networks", "volumes"], "default": []},
}


class Declaration:
    """The resources of a task, with the place of each in the task. Errors: AgentError."""

    def __init__(self, module):
        self.resources = []
        self._module = module
        self._places = []
        for option in KINDS:
            for number, entry in enumerate(module.params[option]):
                self._add(option, "{0}[{1}]".format(option, number), entry)

    def _add(self, option, place, entry):
        kind, options, prepare = KINDS[option]
        found = ArgumentSpecValidator(options).validate(entry)
        # What the validator has found secret must not come out with the results of the task.
        self._module.no_log_values.update(found._no_log_values)
        if found.error_messages:
            raise AgentError("{0}: {1}".format(place, found.error_messages[0]))
        resource = dict(declared(options, found.validated_parameters), kind=kind)
        if prepare is not None:
            prepare(resource)
        self.resources.append(resource)
        self._places.append(place)

    def placed(self, text):
        """A text of the agent with resources named as the task names them."""
        return re.sub(r"\bresources\[(\d+)\]", lambda match: self._places[int(match.group(1))], text)

    def in_words_of_the_task(self, error):
        """The agent's error, which counts resources, with the options of the task."""
        details = {
            name: self.placed(value) if isinstance(value, str) else value for name, value in error.details.items()
        }
        message = self.placed(error.message)
        if len(self._places) == 1 and details.get("field") and "resources[" not in error.message:
            details["field"] = "{0}.{1}".format(self._places[0], details["field"])
            message = "{0}.{1}".format(self._places[0], message)
        return AgentError(message, error.status, details)

    def request(self):
        """The body for the agent."""
        purge = [KINDS[option][0] for option in self._module.params["purge"]]
        return {"resources": self.resources, "owner": self._module.params["owner"], "purge": purge}


def run(module, declaration):
    """Hands the declaration over; returns the module's result. Errors: AgentError."""
    if not declaration.resources and not module.params["purge"]:
        return {"changed": False, "actions": [], "objects": []}
    path = "/wherry/v1/plan" if module.check_mode else "/wherry/v1/apply"
    try:
        answer = AgentClient(module.params["agent"]).request("POST", path, declaration.request())
    except AgentError as error:
        raise declaration.in_words_of_the_task(error) from error
    result = {name: answer[name] for name in ("changed", "actions", "objects")}
    if module._diff:
        result["diff"] = [
            dict(difference([action]), before_header=_header(action), after_header=_header(action))
            for action in answer["actions"]
            if action["changed"]
        ]
    return result


def _header(action):
    return "{0} {1} ({2})".format(action["kind"], action["name"], action["action"])


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    if not module.params["owner"]:
        module.fail_json(msg="owner: must not be empty")
    try:
        result = run(module, Declaration(module))
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
