# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host is made to load kernel modules at boot: each init system reads another file."""

from __future__ import annotations

import os
import re

MODULES_LOAD = "etc/modules-load.d/wherry.conf"
"""modules-load.d(5): systemd reads it, and so do newer versions of OpenRC."""

GENTOO_MODULES = "etc/conf.d/modules"
"""OpenRC on Gentoo: a shell file whose variable C(modules) is a list of names."""

ETC_MODULES = "etc/modules"
"""modules(5): Debian without systemd, and Alpine."""

_COMMENT = "# Kernel modules that containers need, added by wherry.node.kernel_check\n"
_GENTOO_VALUE = re.compile(r"""^\s*modules(?:_\w+)?=["']?([^"'\n]*)["']?""", re.MULTILINE)


def file_for(root="/"):
    """The file that this host reads, relative to the root."""
    if os.path.isdir(os.path.join(root, "run/systemd/system")):
        return MODULES_LOAD
    if os.path.exists(os.path.join(root, GENTOO_MODULES)) or os.path.exists(os.path.join(root, "etc/gentoo-release")):
        return GENTOO_MODULES
    if os.path.exists(os.path.join(root, ETC_MODULES)):
        return ETC_MODULES
    return MODULES_LOAD


def persist(modules, write, root="/"):
    """Makes the host load these modules at boot; returns the file and the modules that it did not have yet."""
    name = file_for(root)
    path = os.path.join(root, name)
    content = _read(path)
    known = listed(content, name == GENTOO_MODULES)
    new = [module for module in modules if module not in known]
    if new and write:
        _write(path, content + addition(new, content, name == GENTOO_MODULES))
    return {"path": path, "modules": new}


def listed(content, shell):
    """The modules that a file has already; ``shell`` is Gentoo's form."""
    if shell:
        return {module for value in _GENTOO_VALUE.findall(content) for module in value.split()}
    lines = (line.strip() for line in content.splitlines())
    return {line.split()[0] for line in lines if line and line[0] not in "#;"}


def addition(modules, content, shell):
    """What has to be written behind the content of a file."""
    newline = "\n" if content and not content.endswith("\n") else ""
    if shell:
        return '{0}{1}modules="${{modules}} {2}"\n'.format(newline, _COMMENT, " ".join(modules))
    comment = "" if _COMMENT in content else _COMMENT
    return newline + comment + "".join(module + "\n" for module in modules)


def _read(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except FileNotFoundError:
        return ""


def _write(path, content):
    """By rename, so that a host that loses power has the old file or the new one."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = path + ".wherry-new"
    with open(temporary, "w", encoding="utf-8") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)
