# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of wherry.node.container: asks the agent directly where it can."""

from __future__ import annotations

from ansible_collections.wherry.node.plugins.module_utils.container_options import OPTIONS
from ansible_collections.wherry.node.plugins.module_utils.container_resource import as_resource, with_end_of_run
from ansible_collections.wherry.node.plugins.plugin_utils.fast_path import ResourceAction, has_open_source


class ActionModule(ResourceAction):
    """One container."""

    KIND = "container"
    OPTIONS = OPTIONS

    @staticmethod
    def prepare(resource):
        """Turns options that speak of the module itself into what the agent knows."""
        as_resource(resource)

    def must_ship(self, parameters):
        """Sources of volumes are paths of the host, and its log is the module's."""
        return bool(parameters.get("output_logs")) or has_open_source(parameters) or super().must_ship(parameters)

    def result_of(self, answer, with_difference):
        """The result, with exit code and output of a container that was waited for."""
        result = with_end_of_run(super().result_of(answer, with_difference))
        return dict(result, failed=True) if result.get("status") else result
