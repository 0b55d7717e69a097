# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The attributes that modules say they have."""

from __future__ import annotations


class ModuleDocFragment:
    """The attributes with their meaning, and fragments of those that many modules share."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and tell what would change without changing anything.
  diff_mode:
    description: Says what differs, before and after, in C(diff) mode.
  idempotent:
    description: Run again with the same arguments on a host in the same state, it changes nothing.
  platform:
    description: The operating systems of the managed hosts.
"""

    RESOURCE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: Check mode is the agent's plan, which a run carries out.
  diff_mode:
    support: full
  platform:
    support: full
    platforms: linux
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details: The module changes nothing.
  diff_mode:
    support: N/A
    details: The module changes nothing.
  idempotent:
    support: full
  platform:
    support: full
    platforms: linux
"""

    ACTION = r"""
options: {}
attributes:
  check_mode:
    support: none
    details: In check mode the task is skipped, since what it does cannot be foreseen.
  diff_mode:
    support: none
  idempotent:
    support: none
  platform:
    support: full
    platforms: linux
"""
