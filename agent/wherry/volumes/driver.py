"""What a volume driver does. One object a driver, without state: what exists is in the records. All calls block."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from wherry.volumes.model import Volume


class Driver(Protocol):
    """How one kind of volume comes into being, is mounted and goes."""

    def check_options(self, options: Mapping[str, str]) -> None:
        """Refuses by name what the driver does not know, what is missing, and what this host cannot do."""

    def canonical(self, options: Mapping[str, str]) -> Mapping[str, str]:
        """The options in one spelling, so that what is equal in effect compares equal."""

    def make(self, volume: Volume) -> None:
        """The volume's place on disk, empty; nothing is left of a failure once ``remove`` was called."""

    def remove(self, volume: Volume) -> None:
        """Takes the volume's place away; harmless when there is none. It is not mounted."""

    def mount(self, volume: Volume) -> None:
        """Has the content at ``volume.mountpoint``; harmless when it is there."""

    def unmount(self, volume: Volume) -> None:
        """Lets go of it; harmless when it is not mounted."""

    def grow(self, volume: Volume, before: Volume) -> None:
        """Makes the volume as large as its options now say, mounted or not; unchanged when it fails."""

    def size_of(self, volume: Volume) -> int:
        """Bytes that it takes on the host's disk."""

    def status(self, volume: Volume) -> Mapping[str, object]:
        """What inspect shows as ``Status``; empty when the driver has nothing to say."""
