"""The servers that know what a network does not: a container's own choice, else those that the host asks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

RESOLV_CONF = Path("/etc/resolv.conf")


@dataclass(frozen=True)
class Upstream:
    """A server by its address. ``from_host``: asked from the host's network namespace, else from the container's."""

    address: str
    from_host: bool = False


def chosen(addresses: Iterable[str]) -> tuple[Upstream, ...]:
    """Servers that were given for a container; what is no address is passed over."""
    return tuple(Upstream(text) for text in addresses if _address(text) is not None)


class HostServers:
    """The servers in the host's resolv.conf(5), as it is now: DHCP and laptops change it.

    One on the host's loopback (systemd-resolved's 127.0.0.53) is out of reach from another namespace.
    """

    def __init__(self, file: Path = RESOLV_CONF) -> None:
        self._file = file
        self._stamp: tuple[int, int, int] | None = None
        self._servers: tuple[Upstream, ...] = ()

    def current(self) -> tuple[Upstream, ...]:
        """In their order; the file is read anew when it has changed."""
        try:
            status = self._file.stat()
        except OSError:
            return ()
        stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        if stamp != self._stamp:
            self._stamp, self._servers = stamp, self._read()
        return self._servers

    def _read(self) -> tuple[Upstream, ...]:
        lines = (line.split() for line in self._file.read_text(encoding="utf-8", errors="replace").splitlines())
        texts = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        addresses = ((text, _address(text)) for text in texts)
        return tuple(Upstream(text, from_host=address.is_loopback) for text, address in addresses if address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
