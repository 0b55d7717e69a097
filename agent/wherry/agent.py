"""The composition root: what one agent consists of, in which order it comes up and goes down."""

from __future__ import annotations

import importlib
import logging
import shutil
from typing import Any

from wherry.config import Config
from wherry.events import Events
from wherry.host.facts import read_facts
from wherry.state.database import Database
from wherry.state.identity import identity_of

log = logging.getLogger(__name__)


def _noun(module: str, name: str, *arguments: object) -> Any:
    """A noun's service."""
    try:
        return getattr(importlib.import_module(module), name)(*arguments)
    except ModuleNotFoundError as error:
        log.warning("%s is not there: %s", module, error)
        return None


class Agent:
    """One agent. The constructor opens the database and touches nothing else; ``start`` takes hold of the machine."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.paths = config.paths
        self.paths.create()
        self.database = Database(self.paths.database)
        self.identity = identity_of(self.database)
        self.events = Events(self.database)
        self.host = read_facts()
        self.images = _noun("wherry.images.service", "Images", config, self.paths, self.database, self.events)
        self.networks = _noun("wherry.networks.service", "Networks", config, self.paths, self.database, self.events)
        self.volumes = _noun("wherry.volumes.service", "Volumes", self.paths, self.database, self.events)
        self.containers = _noun(
            "wherry.containers.service", "Containers",
            config, self.paths, self.database, self.events, self.images, self.networks, self.volumes,
        )  # fmt: skip
        self.engine = _noun(
            "wherry.engine.service", "Engine", self.images, self.networks, self.volumes, self.containers
        )

    async def start(self) -> None:
        """Sweeps up what a crash cut short, adopts what runs on, restarts what the policies demand.

        Lower nouns first: containers are adopted when their images, networks and volumes are known.
        """
        self._empty_temporary()
        for noun in self._nouns():
            await noun.start()

    async def stop(self) -> None:
        """Lets go of the machine without touching what runs: containers live on under their monitors."""
        for noun in reversed(self._nouns()):
            await noun.stop()
        self.database.close()

    def reload(self, config: Config) -> None:
        """Takes over a configuration in which only reloadable options differ, and tells whoever follows the events."""
        self.config = config
        self.images.reconfigure(config)
        self.events.publish("daemon", "reload", self.identity, {"name": self.host.hostname})

    def _nouns(self) -> list[Any]:
        nouns = (self.images, self.networks, self.volumes, self.containers, self.engine)
        return [noun for noun in nouns if noun is not None]

    def _empty_temporary(self) -> None:
        """What a download or upload left there when an earlier agent died."""
        for entry in self.paths.temporary.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
