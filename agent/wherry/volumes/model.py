"""What is known of volumes: frozen records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ANONYMOUS_LABEL = "com.docker.volume.anonymous"
LOCAL_DRIVER = "local"
LOOP_DRIVER = "loop"
LOCAL_SCOPE = "local"


@dataclass(frozen=True)
class VolumeSpec:
    """A volume as asked for; an empty name has one generated, ``anonymous`` marks what was made for one container."""

    name: str = ""
    driver: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False


@dataclass(frozen=True)
class Volume:
    """A volume that exists. ``mountpoint`` is where its content is on the host, ``created`` is RFC 3339."""

    name: str
    mountpoint: str
    created: str
    driver: str = LOCAL_DRIVER
    options: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def anonymous(self) -> bool:
        """Whether it was made for one container and never named."""
        return ANONYMOUS_LABEL in self.labels
