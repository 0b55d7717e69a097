# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of wherry.node.node: asks the agent directly where it can."""

from __future__ import annotations

from ansible_collections.wherry.node.plugins.module_utils.agent_client import AgentError
from ansible_collections.wherry.node.plugins.module_utils.node_declaration import KINDS, OPTIONS, Declaration
from ansible_collections.wherry.node.plugins.plugin_utils.fast_path import (
    DeclaringAction,
    has_host_path,
    has_open_source,
)


class ActionModule(DeclaringAction):
    """Everything that a host shall have."""

    OPTIONS = OPTIONS
    _declaration = None

    def must_ship(self, parameters):
        """The entries have paths of the host as well."""
        return any(
            not isinstance(entry, dict) or has_host_path(KINDS[option][1], entry) or has_open_source(entry)
            for option in KINDS
            for entry in _entries(parameters.get(option))
        )

    def body(self, parameters):
        """The declaration."""
        self._declaration = Declaration(parameters)
        if self._declaration.is_empty:
            raise AgentError("there is nothing to ask for")
        return self._declaration.request(), self._declaration.secrets

    def result_of(self, answer, with_difference):
        """The result of the task."""
        return self._declaration.result_of(answer, with_difference)

    def error_of(self, error):
        """The error, with entries named as the task names them."""
        return self._declaration.in_words_of_the_task(error)


def _entries(value):
    return value if isinstance(value, (list, tuple)) else [value] if value else []
