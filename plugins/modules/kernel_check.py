#!/usr/bin/python
# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says what the kernel of a host offers to containers, and loads modules."""

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_check

short_description: What the kernel of a host offers to containers

description:
  - Checks every kernel option that containers need or can use, and probes the live system where a configuration cannot
    tell. For each finding it says what breaks without it and how to get it.
  - Loads kernel modules and makes that last, if it is told to.
  - It needs no running agent, only the agent's command C(wherry) on the host.

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
  required:
    description:
      - Findings without which the task fails, by name, such as V(CONFIG_OVERLAY_FS), by the name without
        C(CONFIG_), or by the name of the kernel module that provides them, such as V(overlay).
      - V(necessary) stands for all findings that containers cannot do without.
    type: list
    elements: str
    default: []
  load_modules:
    description:
      - Load the kernel modules of O(modules) and of what is O(required), and make the host load them at boot, the
        way its init system does that.
    type: bool
    default: false
  modules:
    description:
      - Kernel modules that O(load_modules) loads if the kernel has them as modules. Those that it has built in or
        not at all are left out.
    type: list
    elements: str
    default: ["br_netfilter", "bridge", "loop", "macvlan", "overlay", "veth"]
  config_file:
    description:
      - A kernel configuration on the host to look at instead of the one of the running kernel, plain or compressed.
    type: path
  executable:
    description:
      - The command C(wherry) on the host. If it is not given, it is looked for on the C(PATH), and then the agent
        is asked at O(agent).
    type: path
"""

EXAMPLES = r"""
- name: Look
  wherry.node.kernel_check:
  register: check

- name: Stop the play on hosts that cannot run containers of the kind that it brings
  wherry.node.kernel_check:
    required:
      - necessary
      - CONFIG_MACVLAN
    load_modules: true
"""

RETURN = r"""
ansible_facts:
  description: The findings as facts.
  returned: success
  type: dict
  contains:
    wherry_kernel:
      description: The same as RV(kernel).
      returned: success
      type: dict
      sample: {}
kernel:
  description:
    - The release of the kernel, the path of its configuration, and the findings with group, name, state, the module that
      provides it, what breaks without it and the remedy.
    - States are V(built-in), V(module), V(module-not-loaded), V(missing), V(ok), V(failed) and V(unknown).
  returned: success
  type: dict
  sample:
    release: 6.1.0-18-amd64
    config: /boot/config-6.1.0-18-amd64
    live: true
    findings:
      - group: generally necessary
        name: CONFIG_OVERLAY_FS
        required: true
        state: module
        module: overlay
        breaks: images cannot be stacked
        remedy: ""
missing:
  description: Names of the findings of O(required) that the host does not have.
  returned: always
  type: list
  elements: str
  sample: []
loaded:
  description: Modules that were loaded, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [overlay]
persisted:
  description: The file that loads modules at boot, and the modules that were added to it.
  returned: with O(load_modules=true)
  type: dict
  sample:
    path: /etc/modules-load.d/wherry.conf
    modules: [overlay]
"""

import json
import os

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentClient, AgentError
from ansible_collections.wherry.node.plugins.module_utils.resource_module import resource_module

OPTIONS = {
    "required": {"type": "list", "elements": "str", "default": []},
    "load_modules": {"type": "bool", "default": False},
    "modules": {
        "type": "list",
        "elements": "str",
        "default": ["br_netfilter", "bridge", "loop", "macvlan", "overlay", "veth"],
    },
    "config_file": {"type": "path"},
    "executable": {"type": "path"},
}

NECESSARY = "necessary"
PRESENT = ("built-in", "module", "ok")
ABSENT = ("missing", "failed")


def find_command(module):
    """The command C(wherry) on this host, None where it is not."""
    command = module.params["executable"] or module.get_bin_path("wherry", required=False, opt_dirs=["/usr/local/bin"])
    return command if command and os.access(command, os.X_OK) else None


def read_report(module, command):
    """The kernel check's report, from the command or else from the agent; ends the module when neither is there."""
    if command:
        words = ["host", "check", "--json"]
        if module.params["config_file"] is not None:
            words += ["--config-file", module.params["config_file"]]
        return answer_of(module, [command] + words)
    named = module.params["executable"]
    missing = "the command wherry is not on this host ({0})".format(
        '"{0}" is no program'.format(named) if named else "it is not on the PATH"
    )
    for option in ("config_file", "load_modules"):
        if module.params[option]:
            module.fail_json(msg="{0} needs the command wherry: {1}".format(option, missing), missing=[])
    try:
        return AgentClient(module.params["agent"]).request("GET", "/wherry/v1/kernel")
    except AgentError as error:
        message = "the kernel cannot be checked, for {0}; and {1}".format(missing, error.message)
        return module.fail_json(msg=message, missing=[])


def answer_of(module, words):
    """What the command prints as JSON; ends the module when it prints none."""
    status, output, errors = module.run_command(words)
    try:
        return json.loads(output)
    except ValueError:
        message = "{0} failed with status {1}: {2}".format(" ".join(words), status, (errors or output).strip())
        return module.fail_json(msg=message, missing=[])


def names_of(finding):
    """All names by which a finding can be required."""
    names = {finding["name"], finding["name"].replace("CONFIG_", "", 1)}
    if finding["module"]:
        names.add(finding["module"])
    return names


def demanded(module, findings):
    """The findings that are required; ends the module for a name that stands for none."""
    found = []
    for name in module.params["required"]:
        matching = [one for one in findings if (one["required"] if name == NECESSARY else name in names_of(one))]
        if not matching:
            known = ", ".join(sorted(one["name"] for one in findings))
            message = 'required: "{0}": is not among the findings; known are {1}'.format(name, known)
            module.fail_json(msg=message, missing=[name])
        found += matching
    return found


def load(module, command, findings, required):
    """Has the command load what this kernel has as modules, now and at boot; returns what it did or would do."""
    wanted = set(module.params["modules"]) | {one["module"] for one in required if one["module"]}
    loadable = sorted(
        {one["module"] for one in findings if one["module"] in wanted and one["state"].startswith("module")}
    )
    if not loadable:
        return {"loaded": [], "persisted": [], "file": None}
    options = ["--json"] + (["--check"] if module.check_mode else [])
    return answer_of(module, [command, "host", "load-modules"] + options + loadable)


def lacking(module, required, loaded):
    """The required findings that the host lacks after ``loaded`` was loaded.

    What is demanded by name has to be usable now. What is only necessary is lacking when it is known to be absent: a
    module that is not loaded the kernel loads when it is needed.
    """
    named = {name for name in module.params["required"] if name != NECESSARY}
    return [
        one
        for one in required
        if one["state"] in ABSENT
        or (named & names_of(one) and one["state"] not in PRESENT and one["module"] not in loaded)
    ]


def main():
    """Runs the module."""
    module = resource_module(OPTIONS)
    command = find_command(module)
    report = read_report(module, command)
    required = demanded(module, report["findings"])
    result = {"changed": False, "loaded": []}
    if module.params["load_modules"]:
        done = load(module, command, report["findings"], required)
        persisted = {"path": done["file"], "modules": done["persisted"]}
        result.update(changed=bool(done["loaded"] or done["persisted"]), loaded=done["loaded"], persisted=persisted)
        if done["loaded"] and not module.check_mode:
            report = read_report(module, command)
            required = demanded(module, report["findings"])
    if module._diff:
        after = {"loaded": result["loaded"], "persisted": result["persisted"]["modules"]} if result["changed"] else {}
        result["diff"] = {"before": {}, "after": after}
    absent = lacking(module, required, result["loaded"])
    result.update(missing=[one["name"] for one in absent], kernel=report, ansible_facts={"wherry_kernel": report})
    if absent:
        shown = "; ".join(
            "{0} ({1}): {2}; {3}".format(one["name"], one["state"], one["breaks"], one["remedy"]) for one in absent
        )
        module.fail_json(msg="the kernel {0} lacks what is required: {1}".format(report["release"], shown), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
