# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The option of every module that speaks to the agent."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the agent is."""

    DOCUMENTATION = r"""
options:
  agent:
    description:
      - Where the agent of the host listens, as C(unix:///path) of its socket.
      - If it is not given, the environment variable E(WHERRY_HOST) says it, and if that is not set the agent is
        looked for at C(unix:///run/wherry/wherry.sock).
    type: str
    aliases:
      - docker_host
requirements:
  - A running Wherry agent on the host
"""
