# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules of resources do: hand what is declared to the agent in one request, and report what it says."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, env_fallback
from ansible_collections.wherry.node.plugins.module_utils.agent_client import AGENT_VARIABLE, AgentClient, AgentError

AGENT_OPTIONS = {
    "agent": {"type": "str", "aliases": ["docker_host"], "fallback": (env_fallback, [AGENT_VARIABLE])},
}


def resource_module(options, **conditions):
    """The module with these options; ``conditions`` go to AnsibleModule (required_if, …, supports_check_mode=False)."""
    conditions.setdefault("supports_check_mode", True)
    return AnsibleModule(argument_spec=dict(AGENT_OPTIONS, **options), **conditions)


def declared(options, parameters):
    """The parameters that were given, by the names of the options; what is None was not."""
    found = {}
    for name, option in options.items():
        value = parameters.get(name)
        if value is not None:
            found[name] = _without_none(option, value)
    return found


def _without_none(option, value):
    inner = option.get("options")
    if inner and isinstance(value, dict):
        return declared(inner, value)
    if inner and isinstance(value, list):
        return [declared(inner, entry) for entry in value]
    return value


def run(module, options, kind, fact, prepare=None):
    """Declares the module's parameters as a resource of this kind, and ends the module."""
    try:
        result = declare(module, options, kind, fact, prepare)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**result)


def declare(module, options, kind, fact, prepare=None):
    """Declares the module's parameters as a resource of this kind; returns the module's result. Errors: AgentError.

    ``fact`` is the name under which the object is returned; ``prepare`` may change the resource before it is sent.
    """
    body = {"resources": [resource_of(options, module.params, kind, prepare)]}
    answer = AgentClient(module.params["agent"]).request("POST", declaration_path(module.check_mode), body)
    return result_of(answer, fact, module._diff)


def declaration_path(check_mode):
    """Where declarations are sent."""
    return "/wherry/v1/plan" if check_mode else "/wherry/v1/apply"


def resource_of(options, parameters, kind, prepare=None):
    """The resource that these parameters declare."""
    resource = dict(declared(options, parameters), kind=kind)
    if prepare is not None:
        prepare(resource)
    return resource


def result_of(answer, fact, with_difference):
    """A module's result from the agent's answer."""
    result = {
        "changed": answer["changed"],
        "actions": answer["actions"],
        fact: answer["objects"][0]["object"] or {},
    }
    if answer.get("pulls"):
        result["pulls"] = answer["pulls"]
    if with_difference:
        result["diff"] = difference(answer["actions"])
    return result


def failure_of(error):
    """What a failed task tells of an AgentError: the sentence, and option, value and what is allowed beside it."""
    details = {
        name: error.details[name] for name in ("field", "value", "allowed") if error.details.get(name) is not None
    }
    return dict(details, msg=error.message)


def fail(module, error):
    """Ends the module with an AgentError."""
    module.fail_json(**failure_of(error))


def difference(actions):
    """Before and after of all actions together, in Ansible's form. Of one option the first before and last after count."""
    before, after = {}, {}
    for action in actions:
        if action["changed"]:
            for name, value in action["before"].items():
                before.setdefault(name, value)
            after.update(action["after"])
    return {"before": before, "after": after}
