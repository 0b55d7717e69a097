"""``wherry``: the command of whoever stands at a host."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

from wherry import __version__
from wherry.cli.client import DEFAULT_HOST, Client
from wherry.errors import WherryError

# Each module has add_parser(subparsers), which adds its command and sets ``run`` to a function of the parsed arguments
# that returns the exit status. Only the module of the command that was given is imported.
COMMANDS = {
    "version": "wherry.cli.about",
    "info": "wherry.cli.about",
    "ps": "wherry.cli.listing",
    "images": "wherry.cli.listing",
    "network": "wherry.cli.listing",
    "volume": "wherry.cli.listing",
    "pull": "wherry.cli.transfer",
    "push": "wherry.cli.transfer",
    "prune": "wherry.cli.cleaning",
    "plan": "wherry.cli.declare",
    "apply": "wherry.cli.declare",
    "host": "wherry.cli.host",
    "login": "wherry.cli.login",
    "logout": "wherry.cli.login",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status, 1 for an error that is told on standard error."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parsed = _parser(words).parse_args(words)
    parsed.client = Client(parsed.agent)
    run: Callable[[argparse.Namespace], int] = parsed.run
    try:
        return run(parsed)
    except WherryError as error:
        print(f"wherry: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader has seen enough (wherry ps | head). Nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="wherry", description="Containers on this host, as its agent has them.")
    parser.add_argument("-v", "--version", action="version", version=f"wherry {__version__}")
    parser.add_argument(
        "-H",
        "--host",
        dest="agent",
        default=os.environ.get("WHERRY_HOST") or DEFAULT_HOST,
        metavar="ADDRESS",
        help=f"the agent: unix:///path or tcp://address:port (default: WHERRY_HOST, or {DEFAULT_HOST})",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in dict.fromkeys(_modules(words)):
        importlib.import_module(module).add_parser(subparsers)
    return parser


def _modules(words: Sequence[str]) -> list[str]:
    """The module of the command that the words begin with, all of them where there is none (help, a wrong command)."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in {"-H", "--host"}:
            skip = True
        elif not word.startswith("-"):
            return [COMMANDS[word]] if word in COMMANDS else list(COMMANDS.values())
    return list(COMMANDS.values())


if __name__ == "__main__":
    sys.exit(main())
