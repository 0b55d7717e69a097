# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action of wherry.node.image: asks the agent directly where it can."""

from __future__ import annotations

from ansible_collections.wherry.node.plugins.module_utils.image_pulls import with_pull
from ansible_collections.wherry.node.plugins.module_utils.resource_options import IMAGE
from ansible_collections.wherry.node.plugins.plugin_utils.fast_path import ResourceAction


class ActionModule(ResourceAction):
    """One image."""

    KIND = "image"
    OPTIONS = IMAGE

    def result_of(self, answer, with_difference):
        """The result, with what a pull took."""
        return with_pull(super().result_of(answer, with_difference))
