"""``wherry login`` and ``wherry logout``: the credentials that the agent keeps for registries."""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any

from wherry.errors import InvalidParameter

Subparsers = Any  # argparse's own class for this has no public name


def add_parser(subparsers: Subparsers) -> None:
    """Adds the two commands."""
    login = subparsers.add_parser("login", help="keep credentials for a registry, once it has taken them")
    login.add_argument("registry", nargs="?", default="docker.io", metavar="REGISTRY", help="default: docker.io")
    login.add_argument("-u", "--username")
    login.add_argument("--password-stdin", action="store_true", help="take the password from standard input")
    login.set_defaults(run=_login)
    logout = subparsers.add_parser("logout", help="forget the credentials for a registry")
    logout.add_argument("registry", nargs="?", default="docker.io", metavar="REGISTRY", help="default: docker.io")
    logout.set_defaults(run=_logout)


def _login(arguments: argparse.Namespace) -> int:
    if arguments.password_stdin:
        if not arguments.username:
            raise InvalidParameter("is required with --password-stdin", field="--username")
        username, password = arguments.username, sys.stdin.readline().rstrip("\r\n")
    else:
        username = arguments.username or input("Username: ")
        password = getpass.getpass()
    action = _apply(arguments, username=username, password=password, reauthorize=True)
    kept = (action.get("outcome") or {}).get("kept_in")
    print("Login Succeeded" + (f", kept in {kept}" if kept else ""))
    return 0


def _logout(arguments: argparse.Namespace) -> int:
    action = _apply(arguments, state="absent")
    known = action["action"] != "none"
    print(f"Removed the credentials for {action['name']}" if known else f"Not logged in to {action['name']}")
    return 0


def _apply(arguments: argparse.Namespace, **options: Any) -> dict[str, Any]:
    resource = {"kind": "registry_login", "registry": arguments.registry, **options}
    answer = arguments.client.request("POST", "/wherry/v1/apply", body={"resources": [resource]})
    found: dict[str, Any] = answer["actions"][-1]
    return found
