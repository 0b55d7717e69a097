# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules that may pull an image tell of it."""

from __future__ import annotations

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError
from ansible_collections.wherry.node.plugins.module_utils.resource_module import declare, fail


def run(module, options, prepare):
    """Declares the parameters as an image and ends the module; what a pull took is beside the actions."""
    try:
        result = declare(module, options, "image", "image", prepare)
    except AgentError as error:
        fail(module, error)
    module.exit_json(**with_pull(result))


def with_pull(result):
    """The result of a task about one image, with what its pull took beside the rest."""
    for pull in result.pop("pulls", []):
        result.update({name: value for name, value in pull.items() if name != "name"})
    return result
