"""Clients that do anything to anything at random, all at once: what two do to one object is part of it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import tarfile
from collections.abc import Awaitable, Callable

from tests.integration.stress.engine_client import Answer, Engine, RequestFailed
from tests.integration.stress.inventory import FIRST_PORT

GONE = (OSError, EOFError, RequestFailed)
"""What a client sees of an agent that is killed, or of an object that another client has just taken away."""

IMAGE = "busybox:test"
NAMES = [f"n{number}" for number in range(6)]
"""None could be the beginning of an ID: what nobody is named then is nobody."""
NETWORKS = ["net0", "net1"]
VOLUMES = ["vol0", "vol1", "vol2"]


def small_archive(name: str, size: int) -> bytes:
    """A tar archive of one file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.size = size
        archive.addfile(entry, io.BytesIO(bytes(size)))
    return made.getvalue()


class Storm:
    """A number of clients. ``unexpected`` gathers answers that no race excuses: errors of the server.

    ``theme`` chooses an act that half of all are; the rest is any, and running containers for it.
    """

    def __init__(
        self, engine: Engine, seed: int, *, pulled: str = "", image_archive: bytes = b"", theme: int | None = None
    ) -> None:
        self._engine = engine
        self._random = random.Random(seed)
        self._pulled = pulled
        self._image_archive = image_archive
        self.unexpected: list[str] = []
        self.done = 0
        acts = self._acts()
        self._theme = None if theme is None else acts[theme % len(acts)]
        self._any = acts

    @property
    def theme(self) -> str:
        """The name of the act that is done most."""
        return self._theme.__name__ if self._theme else "anything"

    async def run(self, clients: int, *, rounds: int = 1_000_000) -> None:
        """Until every client has done so many acts, or its agent is gone."""
        await asyncio.gather(*(self._client(rounds) for _ in range(clients)))

    async def _client(self, rounds: int) -> None:
        for _ in range(rounds):
            act = self._random.choice(self._any)
            if self._theme is not None:
                # What runs is what most acts are about.
                act = self._random.choice([self._theme, self._theme, self.run_and_forget, act])
            try:
                answer = await act()
            except RequestFailed:
                continue
            except (OSError, EOFError):
                return
            self.done += 1
            if answer is not None and answer.status >= 500:
                self.unexpected.append(f"{act.__name__}: {answer.status} {answer.body.decode(errors='replace')}")

    def _acts(self) -> list[Callable[[], Awaitable[Answer | None]]]:
        return [
            self.run_and_forget, self.create, self.start, self.stop, self.kill, self.remove, self.restart,
            self.execute, self.execute_detached, self.connect, self.disconnect, self.put_archive,
            self.get_archive, self.commit, self.remove_image, self.load, self.pull, self.pause, self.unpause,
            self.rename, self.update, self.volume_create, self.volume_remove, self.network_create,
            self.network_remove, self.prune,
        ]  # fmt: skip

    def _name(self) -> str:
        return self._random.choice(NAMES)

    def _body(self) -> dict[str, object]:
        chance = self._random.random
        host: dict[str, object] = {"Memory": 64 << 20}
        body: dict[str, object] = {
            "Image": IMAGE,
            "Cmd": ["sh", "-c", self._random.choice(["sleep 1000", "trap 'exit 3' TERM; sleep 0.3", "exit 7"])],
            "StopSignal": "SIGTERM",
            "HostConfig": host,
        }
        if chance() < 0.4:
            host["Binds"] = [f"{self._random.choice(VOLUMES)}:/data"]
        if chance() < 0.4:
            body["Volumes"] = {"/anonymous": {}, "/more": {}}
        if chance() < 0.4:
            port = str(FIRST_PORT + self._random.randrange(8))
            host["PortBindings"] = {"80/tcp": [{"HostPort": port}]}
            body["ExposedPorts"] = {"80/tcp": {}}
        if chance() < 0.4:
            host["NetworkMode"] = self._random.choice([*NETWORKS, "none"])
        if chance() < 0.2:
            host["AutoRemove"] = True
        elif chance() < 0.2:
            host["RestartPolicy"] = {"Name": "on-failure", "MaximumRetryCount": 2}
        return body

    async def create(self) -> Answer:
        return await self._engine.ask("POST", "/containers/create", self._body(), name=self._name())

    async def run_and_forget(self) -> Answer:
        name = self._name()
        await self._engine.ask("POST", "/containers/create", self._body(), name=name)
        return self._started(await self._engine.ask("POST", f"/containers/{name}/start"))

    async def start(self) -> Answer:
        return self._started(await self._engine.ask("POST", f"/containers/{self._name()}/start"))

    @staticmethod
    def _started(answer: Answer) -> Answer:
        # A port that another container has is a server's error in the Engine API.
        taken = answer.status == 500 and "port is already allocated" in answer.message
        return Answer(409, answer.body) if taken else answer

    async def stop(self) -> Answer:
        return await self._engine.ask("POST", f"/containers/{self._name()}/stop", t=self._random.choice([0, 1]))

    async def kill(self) -> Answer:
        return await self._engine.ask("POST", f"/containers/{self._name()}/kill")

    async def remove(self) -> Answer:
        force, volumes = self._random.choice([0, 1, 1]), self._random.choice([0, 1])
        return await self._engine.ask("DELETE", f"/containers/{self._name()}", force=force, v=volumes)

    async def restart(self) -> Answer:
        return self._started(await self._engine.ask("POST", f"/containers/{self._name()}/restart", t=0))

    async def execute(self) -> None:
        with contextlib.suppress(AssertionError):
            await self._engine.execute(self._name(), "echo", "hello")

    async def execute_detached(self) -> Answer:
        made = await self._engine.want("POST", f"/containers/{self._name()}/exec", {"Cmd": ["sleep", "0.5"]})
        return await self._engine.ask("POST", f"/exec/{made['Id']}/start", {"Detach": True})

    async def connect(self) -> Answer:
        network = self._random.choice(NETWORKS)
        return await self._engine.ask("POST", f"/networks/{network}/connect", {"Container": self._name()})

    async def disconnect(self) -> Answer:
        network = self._random.choice([*NETWORKS, "bridge"])
        body = {"Container": self._name(), "Force": self._random.choice([True, False])}
        return await self._engine.ask("POST", f"/networks/{network}/disconnect", body)

    async def put_archive(self) -> Answer:
        content = small_archive("file", 100_000)
        return await self._engine.ask("PUT", f"/containers/{self._name()}/archive", content, path="/tmp")

    async def get_archive(self) -> Answer:
        return await self._engine.ask("GET", f"/containers/{self._name()}/archive", path="/etc")

    async def commit(self) -> Answer:
        return await self._engine.ask("POST", "/commit", {}, container=self._name(), repo="made", tag="latest")

    async def remove_image(self) -> Answer:
        name = self._random.choice(["made:latest", "loaded:latest", self._pulled or "made:latest"])
        return await self._engine.ask("DELETE", f"/images/{name}", force=self._random.choice([0, 1]))

    async def load(self) -> Answer:
        return await self._engine.ask("POST", "/images/load", self._image_archive)

    async def pull(self) -> Answer | None:
        if not self._pulled:
            return None
        repository, _, tag = self._pulled.rpartition(":")
        return await self._engine.ask("POST", "/images/create", fromImage=repository, tag=tag)

    async def pause(self) -> Answer:
        return await self._engine.ask("POST", f"/containers/{self._name()}/pause")

    async def unpause(self) -> Answer:
        return await self._engine.ask("POST", f"/containers/{self._name()}/unpause")

    async def rename(self) -> Answer:
        return await self._engine.ask("POST", f"/containers/{self._name()}/rename", name=self._name())

    async def update(self) -> Answer:
        limit = self._random.choice([64, 96]) << 20
        return await self._engine.ask("POST", f"/containers/{self._name()}/update", {"Memory": limit, "MemorySwap": -1})

    async def volume_create(self) -> Answer:
        options = {"type": "tmpfs", "device": "tmpfs"} if self._random.random() < 0.5 else {}
        body = {"Name": self._random.choice(VOLUMES), "DriverOpts": options}
        return await self._engine.ask("POST", "/volumes/create", body)

    async def volume_remove(self) -> Answer:
        return await self._engine.ask("DELETE", f"/volumes/{self._random.choice(VOLUMES)}")

    async def network_create(self) -> Answer:
        return await self._engine.ask("POST", "/networks/create", {"Name": self._random.choice(NETWORKS)})

    async def network_remove(self) -> Answer:
        return await self._engine.ask("DELETE", f"/networks/{self._random.choice(NETWORKS)}")

    async def prune(self) -> Answer:
        what = self._random.choice(["containers", "volumes", "networks", "images"])
        keep = {"label!": ["keep"]} if what != "images" else {}
        return await self._engine.ask("POST", f"/{what}/prune", filters=keep)


async def clear(engine: Engine) -> None:
    """Takes away all that the clients have made."""
    for one in await engine.want("GET", "/containers/json", all=1):
        if not one["Labels"].get("keep"):
            await engine.ask("DELETE", f"/containers/{one['Id']}", force=1, v=1)
    for name in NETWORKS:
        await engine.ask("DELETE", f"/networks/{name}")
    for volume in (await engine.want("GET", "/volumes"))["Volumes"] or []:
        if not (volume.get("Labels") or {}).get("keep"):
            await engine.ask("DELETE", f"/volumes/{volume['Name']}")
    for name in ("made:latest", "loaded:latest"):
        await engine.ask("DELETE", f"/images/{name}", force=1)
