"""``wherry ps``, ``wherry images``, ``wherry network ls``, ``wherry volume ls``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from wherry.cli.table import age, show, size

Subparsers = Any  # argparse's own class for this has no public name
SHORT = 12


def add_parser(subparsers: Subparsers) -> None:
    """Adds the four commands."""
    containers = subparsers.add_parser("ps", help="list containers")
    containers.add_argument("-a", "--all", action="store_true", help="also those that do not run")
    containers.set_defaults(run=_containers)
    subparsers.add_parser("images", help="list images").set_defaults(run=_images)
    for noun, run in (("network", _networks), ("volume", _volumes)):
        inner = subparsers.add_parser(noun, help=f"{noun}s").add_subparsers(metavar="COMMAND", required=True)
        inner.add_parser("ls", help=f"list {noun}s").set_defaults(run=run)


def _containers(arguments: argparse.Namespace) -> int:
    found = arguments.client.get("/containers/json", all="1" if arguments.all else "0")
    rows = [
        (
            entry["Id"][:SHORT],
            entry["Names"][0].lstrip("/"),
            entry["Image"],
            entry["Status"],
            ", ".join(dict.fromkeys(_port(port) for port in entry["Ports"] or ())),
        )
        for entry in found
    ]
    show(("ID", "NAME", "IMAGE", "STATUS", "PORTS"), rows)
    return 0


def _port(port: Mapping[str, Any]) -> str:
    inside = f"{port['PrivatePort']}/{port['Type']}"
    if not port.get("PublicPort"):
        return inside
    address = port.get("IP", "")
    return f"{f'[{address}]' if ':' in address else address}:{port['PublicPort']}->{inside}"


def _images(arguments: argparse.Namespace) -> int:
    rows = []
    for entry in arguments.client.get("/images/json"):
        identity = entry["Id"].removeprefix("sha256:")[:SHORT]
        rows += [
            (name, identity, age(entry["Created"]), size(entry["Size"])) for name in entry["RepoTags"] or ("<none>",)
        ]
    show(("NAME", "ID", "CREATED", "SIZE"), rows)
    return 0


def _networks(arguments: argparse.Namespace) -> int:
    rows = []
    for entry in arguments.client.get("/networks"):
        subnets = [pool["Subnet"] for pool in (entry["IPAM"] or {}).get("Config") or () if pool.get("Subnet")]
        rows.append((entry["Id"][:SHORT], entry["Name"], entry["Driver"], ", ".join(subnets)))
    show(("ID", "NAME", "DRIVER", "SUBNETS"), rows)
    return 0


def _volumes(arguments: argparse.Namespace) -> int:
    found = arguments.client.get("/volumes")["Volumes"] or ()
    show(("NAME", "DRIVER", "MOUNTPOINT"), [(entry["Name"], entry["Driver"], entry["Mountpoint"]) for entry in found])
    return 0
