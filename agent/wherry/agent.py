"""The composition root: what one agent consists of, in which order it comes up and goes down."""

from __future__ import annotations

from wherry import native
from wherry.config import Config
from wherry.containers.service import Containers
from wherry.engine.service import Engine
from wherry.events import Events
from wherry.host.facts import read_facts
from wherry.images.service import Images
from wherry.networks.service import Networks
from wherry.state.database import Database
from wherry.state.identity import identity_of
from wherry.volumes.service import Volumes


class Agent:
    """One agent. The constructor opens the database and touches nothing else; ``start`` takes hold of the machine."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.paths = config.paths
        self.paths.create()
        self.database = Database(self.paths.database, self.paths.database_reserve)
        self.identity = identity_of(self.database)
        self.events = Events(self.database)
        self.host = read_facts()
        self.images = Images(config, self.paths, self.database, self.events)
        self.networks = Networks(config, self.paths, self.database, self.events)
        self.volumes = Volumes(self.paths, self.database, self.events)
        self.containers = Containers(
            config, self.paths, self.database, self.events, self.images, self.networks, self.volumes
        )
        self.engine = Engine(self.images, self.networks, self.volumes, self.containers)
        self.images.in_use = self.containers.users_of_image
        self.volumes.in_use = self.containers.users_of_volume

    async def start(self) -> None:
        """Sweeps up what a crash cut short, adopts what runs on, restarts what the policies demand."""
        self._empty_temporary()
        # Containers are adopted when their images, networks and volumes are known.
        await self.images.start()
        await self.networks.start()
        await self.volumes.start()
        await self.containers.start_up()

    async def stop(self) -> None:
        """Lets go of the machine without touching what runs: containers live on under their monitors."""
        await self.containers.shut_down()
        await self.volumes.stop()
        await self.networks.stop()
        await self.images.stop()
        self.database.close()

    def reload(self, config: Config) -> None:
        """Takes over a configuration in which only reloadable options differ, and tells whoever follows the events."""
        self.config = config
        self.images.reconfigure(config)
        self.events.publish("daemon", "reload", self.identity, {"name": self.host.hostname})

    def _empty_temporary(self) -> None:
        """What a download or upload left there when an earlier agent died."""
        for entry in self.paths.temporary.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                native.remove_tree(entry)
            else:
                entry.unlink()
