"""``wherry version`` and ``wherry info``."""

from __future__ import annotations

import argparse
from typing import Any

from wherry import __version__
from wherry.cli.table import size

Subparsers = Any  # argparse's own class for this has no public name


def add_parser(subparsers: Subparsers) -> None:
    """Adds both commands."""
    subparsers.add_parser("version", help="versions of this command and of the agent").set_defaults(run=_version)
    subparsers.add_parser("info", help="the agent and its host").set_defaults(run=_info)


def _version(arguments: argparse.Namespace) -> int:
    print(f"wherry      {__version__}")
    found = arguments.client.get("/version")
    print(f"wherryd     {found['Version']}")
    print(f"Engine API  {found['MinAPIVersion']} to {found['ApiVersion']}")
    print(f"kernel      {found['KernelVersion']}")
    return 0


def _info(arguments: argparse.Namespace) -> int:
    found = arguments.client.get("/info")
    states = ", ".join(f"{found[f'Containers{state}']} {state.lower()}" for state in ("Running", "Paused", "Stopped"))
    lines = {
        "agent": f"{arguments.client.host} (wherryd {found['ServerVersion']}, {found['ID']})",
        "containers": f"{found['Containers']} ({states})",
        "images": str(found["Images"]),
        "data root": found["DockerRootDir"],
        "storage": found["Driver"] + ", " + ", ".join(f"{name} {value}" for name, value in found["DriverStatus"]),
        "cgroups": f"version {found['CgroupVersion']}, {found['CgroupDriver']}",
        "security": ", ".join(found["SecurityOptions"]),
        "host": ", ".join((found["Name"], found["OperatingSystem"], found["KernelVersion"], found["Architecture"])),
        "machine": f"{found['NCPU']} CPUs, {size(found['MemTotal'])} memory",
    }
    for name, value in lines.items():
        print(f"{name + ':':<12}{value}")
    for warning in found["Warnings"] or ():
        print(warning)
    return 0
