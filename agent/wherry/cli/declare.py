"""``wherry plan`` and ``wherry apply``: a file of desired resources, compared with what is or made true."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wherry.cli.client import Client
from wherry.errors import InvalidParameter

Subparsers = Any  # argparse's own class for this has no public name


def add_parser(subparsers: Subparsers) -> None:
    """Adds both commands."""
    plan = subparsers.add_parser("plan", help="show what apply would change")
    apply = subparsers.add_parser("apply", help="make true what a file declares")
    for command in (plan, apply):
        command.add_argument(
            "-f",
            "--file",
            required=True,
            help="YAML or JSON: a list of resources with kind, name and options; - is stdin",
        )
    apply.add_argument("--check", action="store_true", help="the same as plan: change nothing")
    plan.set_defaults(run=_run, check=True)
    apply.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    resources = read_resources(arguments.file)
    # A pull may take as long as it takes: the agent has time limits of its own for each step.
    client = Client(arguments.client.host, timeout=None)
    path = "/wherry/v1/plan" if arguments.check else "/wherry/v1/apply"
    result = client.request("POST", path, body={"resources": resources})
    for action in result["actions"]:
        _show(action)
    counts = sum(bool(action["changed"]) for action in result["actions"])
    verb = "would change" if arguments.check else "changed"
    print(f"{counts} of {len(result['actions'])} {verb}")
    return 0


def read_resources(file: str) -> list[object]:
    """The resources in a file, a list alone or under the key ``resources``; raises InvalidParameter naming the file."""
    import yaml

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        content = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidParameter(f"cannot be read: {error}", field="file", value=file) from error
    if isinstance(content, dict) and set(content) == {"resources"}:
        content = content["resources"]
    if not isinstance(content, list):
        raise InvalidParameter("holds no resources", field="file", value=file, allowed="a list of resources")
    return content


def _show(action: Mapping[str, Any]) -> None:
    mark = "~" if action["changed"] else "="
    reason = f"  ({action['reason']})" if action.get("reason") else ""
    print(f"{mark} {action['kind']} {action['name']}: {action['action']}{reason}")
    before, after = action.get("before") or {}, action.get("after") or {}
    for option in dict.fromkeys((*before, *after)):
        print(f"    {option}: {_value(before, option)} -> {_value(after, option)}")


def _value(values: Mapping[str, Any], option: str) -> str:
    return json.dumps(values[option], ensure_ascii=False) if option in values else "(not set)"
