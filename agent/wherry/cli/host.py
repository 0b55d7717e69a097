"""``wherry host check`` and ``wherry host load-modules``: what the host's kernel offers, without an agent."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from wherry.host import kernel_check, kernel_modules

Subparsers = Any  # argparse's own class for this has no public name


def add_parser(subparsers: Subparsers) -> None:
    """Adds the commands."""
    inner = subparsers.add_parser("host", help="this host's kernel").add_subparsers(metavar="COMMAND", required=True)
    check = inner.add_parser("check", help="what the kernel offers to containers, and how to get what it lacks")
    check.add_argument("--config", "--config-file", metavar="FILE", help="a kernel configuration, gzip or plain")
    check.add_argument("--kernel", metavar="VERSION", help="which kernel the configuration is of, such as 6.1")
    check.add_argument("--json", action="store_true", help="for programs")
    check.add_argument(
        "--required",
        action="extend",
        nargs="+",
        default=[],
        metavar="NAME",
        help="findings or modules without which the status is 1, beside those that every container needs",
    )
    check.set_defaults(run=_check)
    load = inner.add_parser("load-modules", help="load kernel modules, now and at every boot")
    load.add_argument("modules", nargs="+", metavar="MODULE")
    load.add_argument("--check", action="store_true", help="say what would be done, and do nothing")
    load.add_argument("--json", action="store_true", help="for programs")
    load.set_defaults(run=_load)


def _check(arguments: argparse.Namespace) -> int:
    report = kernel_check.check(arguments.config, arguments.kernel)
    missing = kernel_check.lacking(report, arguments.required)
    if arguments.json:
        print(kernel_check.to_json(report))
    else:
        color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        print(kernel_check.render(report, color), end="")
    if missing:
        print(f"wherry: required and missing: {', '.join(finding.name for finding in missing)}", file=sys.stderr)
    return 1 if missing else 0


def _load(arguments: argparse.Namespace) -> int:
    done = kernel_modules.load_modules(arguments.modules, check=arguments.check)
    if arguments.json:
        print(json.dumps({"loaded": done.loaded, "persisted": done.persisted, "file": str(done.file)}))
        return 0
    print(f"loaded: {', '.join(done.loaded) or 'nothing, all of them were'}")
    print(f"at boot: {', '.join(done.persisted) or 'nothing new'} ({done.file})")
    return 0
