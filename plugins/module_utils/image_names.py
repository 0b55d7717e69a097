# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of images, as far as modules put them together and take them apart; what a name means the agent knows."""

from __future__ import annotations

import re

_ID = re.compile(r"^(sha256:)?[0-9a-f]{64}$")


def named(name, tag):
    """A name with the tag or digest, if it brings none. An ID stays what it is."""
    if _ID.match(name) or "@" in name or split_name(name)[1]:
        return name
    return name + ("@" if ":" in tag else ":") + tag


def split_name(name):
    """Repository and tag of a name; the tag is empty if there is none."""
    head, slash, last = name.rpartition("/")
    last, _colon, tag = last.partition(":")
    return head + slash + last, tag


def familiar(name):
    """A name as the agent shows it: without the domain and the name space that go without saying."""
    for start in ("docker.io/library/", "index.docker.io/library/", "library/", "docker.io/", "index.docker.io/"):
        if name.startswith(start):
            return name[len(start) :]
    return name
