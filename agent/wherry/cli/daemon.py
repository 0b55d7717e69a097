"""``wherryd``: the agent as a process, from its command line to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from wherry import __version__, config
from wherry.cli.daemon_options import Invocation, parse
from wherry.cli.pidfile import LockedFile
from wherry.errors import WherryError

if TYPE_CHECKING:
    from wherry.agent import Agent
    from wherry.api.server import Server

log = logging.getLogger("wherry.daemon")

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_STARTED = time.monotonic()
THREADS = 32
"""For calls that block; one is made only when all that there are have work."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT; 0 after an orderly end, 1 for what stood against starting."""
    try:
        invocation = parse(arguments)
        settings = config.load(invocation.flags)
        if invocation.validate:
            print("configuration OK", file=sys.stderr)
            return 0
        _prepare(settings)
        _run(settings, invocation)
    except WherryError as error:
        print(f"wherryd: {error}", file=sys.stderr)
        return 1
    return 0


def _prepare(settings: config.Config) -> None:
    """What is the process's and not the agent's: logging, umask, descriptor limit."""
    logging.basicConfig(
        stream=sys.stderr, level=_level(settings), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    os.umask(0o022)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _level(settings: config.Config) -> int:
    return logging.DEBUG if settings.debug else _LEVELS[settings.log_level]


def _run(settings: config.Config, invocation: Invocation) -> None:
    """Serves, or purges, as the only process that uses these roots."""
    settings.paths.create()
    if invocation.purge:
        from wherry.cli.purge import purge, remove_roots

        with _locks(settings):
            purge(settings)
        remove_roots(settings.paths)
        return
    with _locks(settings):
        asyncio.run(_serve(settings, invocation.flags))


@contextlib.contextmanager
def _locks(settings: config.Config) -> Iterator[None]:
    """Both roots for this process alone."""
    with contextlib.ExitStack() as locks:
        locks.enter_context(LockedFile(settings.paths.lock, subject=f"data root {settings.data_root}", remove=False))
        locks.enter_context(LockedFile(settings.pid_path, subject=f"pid file {settings.pid_path}", remove=True))
        yield


async def _serve(settings: config.Config, flags: Mapping[str, object]) -> None:
    from wherry.agent import Agent
    from wherry.api.dispatch import Dispatcher
    from wherry.api.listen import open_listeners
    from wherry.api.routes import build
    from wherry.api.server import Server
    from wherry.cli.notify import notify

    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end.set)
    # More than asyncio's own handful on a small machine: a few long unpackings must not keep containers from starting.
    loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="wherry"))
    agent = Agent(settings)
    loop.add_signal_handler(signal.SIGHUP, _reload, agent, flags)
    # The sockets are bound before the agent sweeps: clients that come early wait instead of being refused.
    server = Server(Dispatcher(agent, build()), open_listeners(settings))
    servers = [server, *([_server_for_peers(agent, settings)] if settings.serve else [])]
    try:
        await agent.start()
        for one in servers:
            await one.start()
        log.info("wherryd %s is ready after %.0f ms", __version__, (time.monotonic() - _STARTED) * 1000)
        notify("READY=1")
        await end.wait()
        notify("STOPPING=1")
    finally:
        for one in servers:
            await one.stop(agent.config.shutdown_timeout)
        await agent.stop()
        log.info("wherryd has ended; containers run on")


def _server_for_peers(agent: Agent, settings: config.Config) -> Server:
    from wherry.api.listen import open_for_peers
    from wherry.api.peers import PeerDispatcher, Rate
    from wherry.api.server import Server

    dispatcher = PeerDispatcher(agent, settings.serve_clients, Rate(settings.serve_rate))
    return Server(dispatcher, [open_for_peers(settings)], settings.serve_connections)


def _reload(agent: object, flags: Mapping[str, object]) -> None:
    """SIGHUP: takes over what can change while running; a configuration that is wrong changes nothing."""
    from wherry.agent import Agent

    assert isinstance(agent, Agent)
    try:
        settings, later = config.reload(agent.config, flags)
    except WherryError as error:
        log.error("configuration not reloaded: %s", error)
        return
    logging.getLogger().setLevel(_level(settings))
    agent.reload(settings)
    log.info("configuration reloaded from %s", settings.config_file)
    if later:
        log.warning("these options change only with a restart of wherryd: %s", ", ".join(sorted(later)))


if __name__ == "__main__":
    sys.exit(main())
