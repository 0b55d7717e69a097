"""wherryd's command line: dockerd's own options, in the spellings that dockerd takes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

from wherry import __version__
from wherry.config import DEFAULT_CONFIG_FILE
from wherry.config_options import FIXED, OPTIONS, REFUSED, flag_value

_SINGULAR = {"storage-opts": "storage-opt", "features": "feature"}


@dataclass(frozen=True)
class Invocation:
    """What was asked for: ``flags`` by the keys of the configuration file, in the form that the file has."""

    flags: dict[str, object]
    validate: bool
    purge: bool = False


def parse(arguments: Sequence[str] | None) -> Invocation:
    """Reads the command line.

    Exits for --help, --version and what is no option; raises InvalidParameter for bad values.
    """
    found = vars(_parser().parse_args(arguments))
    flags: dict[str, object] = {}
    if found["config-file"] is not None:
        flags["config-file"] = found["config-file"]
    for option in OPTIONS:
        if found[option.key] is not None:
            flags[option.key] = flag_value(option, found[option.key])
    for key in (*FIXED, *REFUSED):
        if found[key] is not None:
            flags[key] = _plain(key, found[key])
    return Invocation(flags, bool(found["validate"]), bool(found["purge"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wherryd",
        usage="wherryd [OPTION]...",
        description="The agent of Wherry: a container engine that Ansible drives.",
        allow_abbrev=False,
    )
    parser.add_argument("-v", "--version", action="version", version=f"Wherry version {__version__}")
    parser.add_argument("--validate", action="store_true", help="check the configuration and exit")
    parser.add_argument(
        "--purge", action="store_true", help="remove all containers, networks, images, volumes and records, and exit"
    )
    parser.add_argument(
        "--config-file",
        dest="config-file",
        metavar="FILE",
        help=f"YAML or JSON with the keys of daemon.json (default: {DEFAULT_CONFIG_FILE})",
    )
    for option in OPTIONS:
        names = [option.short, option.long] if option.short else [option.long]
        if option.is_switch:
            parser.add_argument(*names, dest=option.key, nargs="?", const="true", action="append", help=option.help)
        else:
            parser.add_argument(*names, dest=option.key, action="append", help=option.help, metavar="VALUE")
    for key in (*FIXED, *REFUSED):
        parser.add_argument(
            "--" + _SINGULAR.get(key, key), dest=key, nargs="?", const="true", action="append", help=argparse.SUPPRESS
        )
    return parser


def _plain(key: str, texts: list[str]) -> object:
    """Flags that are only compared with what they may be."""
    if key in _SINGULAR:
        return texts
    return {"true": True, "false": False}.get(texts[-1], texts[-1])
