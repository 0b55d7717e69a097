"""What there is, and what will be there when the documents of the same request that come first have been applied."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from wherry.containers.model import Container
from wherry.containers.service import Containers
from wherry.engine.documents.image import named
from wherry.engine.model import Key, Object
from wherry.errors import NotFound, WherryError
from wherry.images.model import Image, ImageConfig
from wherry.images.service import Images
from wherry.networks.model import Network
from wherry.networks.service import Networks
from wherry.registry.mirror_rules import MirrorRule
from wherry.volumes.model import Volume
from wherry.volumes.service import Volumes


@dataclass(frozen=True)
class ExpectedImage:
    """An image that an action will bring. Its ID is known when a registry told it; its configuration is not yet."""

    id: str = ""


@dataclass(frozen=True)
class Nouns:
    """The services that the engine works with."""

    images: Images
    networks: Networks
    volumes: Volumes
    containers: Containers


class World:
    """The nouns, seen through the plan of one request."""

    def __init__(self, nouns: Nouns, declared: Collection[Key] = (), labels: Mapping[str, str] | None = None) -> None:
        self.nouns = nouns
        self.labels: Mapping[str, str] = labels or {}
        """Of what this request makes, beside those declared."""
        self._declared = declared
        self._images: dict[str, ExpectedImage | None] = {}
        self._networks: dict[str, bool] = {}
        self._going: set[str] = set()

    # ---- what there is

    def container(self, name: str) -> Container | None:
        """The container of exactly this name."""
        return next((one for one in self.nouns.containers.all() if one.name == name), None)

    def network(self, name: str) -> Network | None:
        """The network of exactly this name."""
        return next((one for one in self.nouns.networks.list() if one.name == name), None)

    def volume(self, name: str) -> Volume | None:
        """The volume of this name."""
        try:
            return self.nouns.volumes.find(name)
        except NotFound:
            return None

    def image(self, name: str) -> Image | None:
        """The image of a name or ID, as it is before anything of the plan is done."""
        try:
            return self.nouns.images.find(name)
        except NotFound:
            return None

    def mirror(self, prefix: str) -> MirrorRule | None:
        """The rule of exactly this prefix."""
        return self.nouns.images.mirrors.get(prefix)

    def image_config(self, container: Container) -> ImageConfig:
        """The configuration that a container inherited from; empty when its image is gone."""
        try:
            return self.nouns.images.find(container.image_id).config
        except WherryError:
            return ImageConfig()

    def object_of(self, key: Key) -> Object | None:
        """The object that a document speaks of, as it is now."""
        kind, name = key
        finders: dict[str, Callable[[str], Object | None]] = {
            "container": self.container,
            "image": self.image,
            "network": self.network,
            "volume": self.volume,
            "registry_mirror": self.mirror,
            "registry_login": lambda _registry: None,  # secrets are not shown
        }
        return finders[kind](name)

    # ---- what the plan says so far

    def declares(self, kind: str, name: str) -> bool:
        """Whether this request brings the resource."""
        return (kind, name) in self._declared

    def expect_image(self, name: str, image: ExpectedImage | None) -> None:
        """From here on the name stands for this image; ``None``: for nothing any more."""
        self._images[named(name, "latest")] = image

    def coming_image(self, name: str) -> Image | ExpectedImage | None:
        """What a name will stand for when the actions planned so far are done."""
        full = named(name, "latest")
        return self._images[full] if full in self._images else self.image(name)

    def expect_network(self, name: str, *, present: bool) -> None:
        """From here on the network is there, made anew; or it is gone."""
        self._networks[name] = present

    def expect_no_container(self, name: str) -> None:
        """From here on the container is gone."""
        self._going.add(name)

    def is_container_going(self, name: str) -> bool:
        """Whether a document of this request removes the container."""
        return name in self._going

    def is_network_coming(self, name: str) -> bool | None:
        """Whether the plan makes (true) or removes (false) the network; ``None`` when it leaves it alone."""
        return self._networks.get(name)
