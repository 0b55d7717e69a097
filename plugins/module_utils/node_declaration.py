# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the module node hands to the agent: the resources of a task, each with its place in the task."""

from __future__ import annotations

import re

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.wherry.node.plugins.module_utils import container_options, resource_options
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError
from ansible_collections.wherry.node.plugins.module_utils.container_resource import as_resource
from ansible_collections.wherry.node.plugins.module_utils.resource_module import difference, resource_of

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
    """The resources of a task. Errors: AgentError, which names the entry at fault."""

    def __init__(self, parameters):
        if not parameters["owner"]:
            raise AgentError("owner: must not be empty")
        self.secrets = set()
        self._parameters = parameters
        self._resources = []
        self._places = []
        for option in KINDS:
            for number, entry in enumerate(parameters[option]):
                self._add(option, "{0}[{1}]".format(option, number), entry)

    def _add(self, option, place, entry):
        kind, options, prepare = KINDS[option]
        found = ArgumentSpecValidator(options).validate(entry)
        self.secrets.update(found._no_log_values)
        if found.error_messages:
            raise AgentError("{0}: {1}".format(place, found.error_messages[0]))
        self._resources.append(resource_of(options, found.validated_parameters, kind, prepare))
        self._places.append(place)

    @property
    def is_empty(self):
        """Whether there is nothing to ask the agent for."""
        return not self._resources and not self._parameters["purge"]

    def request(self):
        """The body for the agent."""
        purge = [KINDS[option][0] for option in self._parameters["purge"]]
        return {"resources": self._resources, "owner": self._parameters["owner"], "purge": purge}

    def result_of_nothing(self):
        """The result of a task that declares nothing."""
        return {"changed": False, "actions": [], "objects": []}

    def result_of(self, answer, with_difference):
        """The result of the task from the agent's answer; a difference for each action."""
        result = {name: answer[name] for name in ("changed", "actions", "objects")}
        if answer.get("pulls"):
            result["pulls"] = answer["pulls"]
        if with_difference:
            result["diff"] = [
                dict(difference([action]), before_header=_header(action), after_header=_header(action))
                for action in answer["actions"]
                if action["changed"]
            ]
        return result

    def in_words_of_the_task(self, error):
        """The agent's error, which counts resources, with the options of the task."""
        details = {
            name: self._placed(value) if isinstance(value, str) else value for name, value in error.details.items()
        }
        message = self._placed(error.message)
        if len(self._places) == 1 and details.get("field") and "resources[" not in error.message:
            details["field"] = "{0}.{1}".format(self._places[0], details["field"])
            message = "{0}.{1}".format(self._places[0], message)
        return AgentError(message, error.status, details)

    def _placed(self, text):
        return re.sub(r"\bresources\[(\d+)\]", lambda match: self._places[int(match.group(1))], text)


def _header(action):
    return "{0} {1} ({2})".format(action["kind"], action["name"], action["action"])
