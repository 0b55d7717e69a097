# Copyright (c) The Wherry project
# GNU General Public License v3.0+ (see plugins/LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the options of the module container to the resource that the agent is handed."""

from __future__ import annotations

import os
import shlex

FORMER_DEFAULTS = {
    "auto_remove": False,
    "init": False,
    "interactive": False,
    "memory": "0",
    "paused": False,
    "privileged": False,
    "read_only": False,
    "tty": False,
}
"""What community.docker's module assumed in its early days, with container_default_behavior=compatibility."""


def as_resource(resource):
    """Turns options that speak of the module itself into what the agent knows, in place."""
    if resource.pop("container_default_behavior", "no_defaults") == "compatibility":
        for name, value in FORMER_DEFAULTS.items():
            resource.setdefault(name, value)
    if resource.pop("command_handling", "correct") == "compatibility":
        _join_words(resource)
    if resource.pop("ignore_image", False):
        resource["comparisons"] = dict({"image": "ignore"}, **resource.get("comparisons", {}))
    with_host_paths(resource)


def _join_words(resource):
    """Commands as a string that is split again; an empty one is none."""
    for name in ("command", "entrypoint"):
        value = resource.get(name)
        if isinstance(value, (list, tuple)):
            resource[name] = shlex.split(" ".join(str(word) for word in value))
        if name in resource and not resource[name]:
            del resource[name]


def with_host_paths(resource):
    """Makes paths of the host absolute: the agent knows neither this user's home nor this directory."""
    if "env_file" in resource:
        resource["env_file"] = os.path.abspath(resource["env_file"])
    if "volumes" in resource:
        resource["volumes"] = [_with_absolute_source(entry) for entry in resource["volumes"]]
    for mount in resource.get("mounts", ()):
        if mount.get("type") == "bind" and mount.get("source"):
            mount["source"] = os.path.abspath(os.path.expanduser(mount["source"]))


def _with_absolute_source(entry):
    source, colon, rest = entry.partition(":")
    if colon and source[:1] in (".", "~"):
        source = os.path.abspath(os.path.expanduser(source))
    return source + colon + rest


def with_end_of_run(result):
    """The result of a task with exit code and output of the container, when it was waited for.

    With an exit code other than 0 there is a message, and the task has failed.
    """
    outcomes = [action["outcome"] for action in result["actions"] if "exit_code" in action.get("outcome", {})]
    if not outcomes:
        return result
    code, output = outcomes[-1]["exit_code"], outcomes[-1]["output"]
    result = dict(result, status=code, container=dict(result["container"], Output=output))
    if code != 0:
        result["msg"] = "the container ended with exit code {0}: {1}".format(code, output.strip())
    return result
