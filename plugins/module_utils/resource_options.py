# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of the modules image, network, registry_mirror and volume, which the module node takes as well."""

from __future__ import annotations

import os

IMAGE = {
    "name": {"type": "str", "required": True},
    "tag": {"type": "str", "default": "latest"},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
    "source": {"type": "str", "choices": ["import", "load", "local", "pull"]},
    "path": {"type": "path"},
    "load_path": {"type": "path"},
    "changes": {"type": "list", "elements": "str"},
    "platform": {"type": "str"},
    "pull": {"type": "raw"},
    "digest": {"type": "str"},
    "proxies": {
        "type": "dict",
        "options": {
            "http_proxy": {"type": "str"},
            "https_proxy": {"type": "str"},
            "no_proxy": {"type": "str"},
        },
    },
    "repository": {"type": "str"},
    "force_source": {"type": "bool", "default": False},
    "force_tag": {"type": "bool", "default": False},
    "force_absent": {"type": "bool", "default": False},
}

NETWORK = {
    "name": {"type": "str", "required": True, "aliases": ["network_name"]},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
    "driver": {"type": "str", "default": "bridge"},
    "driver_options": {"type": "dict"},
    "ipam_driver": {"type": "str"},
    "ipam_driver_options": {"type": "dict"},
    "ipam_config": {
        "type": "list",
        "elements": "dict",
        "options": {
            "subnet": {"type": "str"},
            "iprange": {"type": "str"},
            "gateway": {"type": "str"},
            "aux_addresses": {"type": "dict"},
        },
    },
    "enable_ipv4": {"type": "bool"},
    "enable_ipv6": {"type": "bool"},
    "internal": {"type": "bool"},
    "attachable": {"type": "bool"},
    "labels": {"type": "dict"},
    "connected": {"type": "list", "elements": "str", "aliases": ["containers"]},
    "appends": {"type": "bool", "default": False, "aliases": ["incremental"]},
    "force": {"type": "bool", "default": False},
}

REGISTRY_MIRROR = {
    "registry": {"type": "str", "required": True, "aliases": ["name", "prefix"]},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
    "mirrors": {
        "type": "list",
        "elements": "dict",
        "options": {
            "url": {"type": "str", "required": True, "aliases": ["location"]},
            "capabilities": {"type": "list", "elements": "str", "choices": ["pull", "resolve"]},
            "insecure": {"type": "bool"},
            "ca": {"type": "str"},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "token_hosts": {"type": "list", "elements": "str", "no_log": False},
            "client_cert": {"type": "str"},
            "client_key": {"type": "str", "no_log": False},
            "headers": {"type": "dict", "no_log": True},
            "api_path": {"type": "str"},
        },
    },
    "url": {"type": "str", "aliases": ["location"]},
    "insecure": {"type": "bool"},
    "ca": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "token_hosts": {"type": "list", "elements": "str", "no_log": False},
    "client_cert": {"type": "str"},
    "client_key": {"type": "str", "no_log": False},
    "headers": {"type": "dict", "no_log": True},
    "api_path": {"type": "str"},
    "peers": {"type": "list", "elements": "str"},
    "fallback": {"type": "bool"},
    "blocked": {"type": "bool"},
}

VOLUME = {
    "name": {"type": "str", "required": True, "aliases": ["volume_name"]},
    "state": {"type": "str", "choices": ["absent", "present"], "default": "present"},
    "driver": {"type": "str", "default": "local"},
    "driver_options": {"type": "dict"},
    "labels": {"type": "dict"},
    "recreate": {"type": "str", "choices": ["always", "never", "options-changed"], "default": "never"},
}


def image_with_host_paths(resource):
    """Makes paths absolute: the agent does not know this directory."""
    for option in ("path", "load_path"):
        if option in resource:
            resource[option] = os.path.abspath(resource[option])
