"""Kernel settings of the host that bridge networks need: changed as little as possible, recorded, and put back.

Settings of links that Wherry itself made are not recorded: they vanish with the link.
"""

from __future__ import annotations

from pathlib import Path

from wherry.errors import SystemFailure
from wherry.state.networks import HostSetting, NetworksTable

IPV4_FORWARDING = "net/ipv4/ip_forward"
IPV6_FORWARDING = "net/ipv6/conf/all/forwarding"
_IPV6_LINKS = "net/ipv6/conf"
_PROC_SYS = Path("/proc/sys")


class HostSettings:
    """Reads and writes below /proc/sys, with a record of what was there before."""

    def __init__(self, table: NetworksTable, root: Path = _PROC_SYS) -> None:
        self._table = table
        self._root = root

    @property
    def forwarding_is_ours(self) -> bool:
        """Whether the host forwarded no IPv4 packets before this agent needed it."""
        return any(setting.name == IPV4_FORWARDING for setting in self._table.host_settings())

    def forward_ipv4(self) -> None:
        """Switches IPv4 forwarding on."""
        self._change(IPV4_FORWARDING, "1")

    def forward_ipv6(self) -> None:
        """Switches IPv6 forwarding on.

        A forwarding host no longer listens to router advertisements (ip-sysctl, accept_ra), so links that live by them
        are told to go on (2) before.
        """
        for directory in sorted((self._root / _IPV6_LINKS).iterdir()):
            name = f"{_IPV6_LINKS}/{directory.name}/accept_ra"
            if directory.name not in {"all", "default", "lo"} and self._read(name) == "1":
                self._change(name, "2")
        self._change(IPV6_FORWARDING, "1")

    def restore(self) -> None:
        """Puts back what was there before, except where somebody changed it since."""
        for setting in self._table.host_settings():
            if not setting.name.startswith("net/"):
                continue
            path = self._root / setting.name
            if path.exists() and self._read(setting.name) == setting.changed_to:
                self._write(setting.name, setting.before)
            self._table.delete_host_setting(setting.name)

    def set_own_link(self, name: str, value: str, *, optional: bool = False) -> None:
        """Writes a setting of a link that this agent made; ``optional``: the kernel may lack it (no IPv6)."""
        if optional and not (self._root / name).exists():
            return
        self._write(name, value)

    def _change(self, name: str, value: str) -> None:
        before = self._read(name)
        if before == value:
            return
        self._table.add_host_setting(HostSetting(name, before, value))
        self._write(name, value)

    def _read(self, name: str) -> str:
        try:
            return (self._root / name).read_text(encoding="ascii").strip()
        except OSError as error:
            raise SystemFailure(f"cannot read {self._root / name}: {error.strerror}") from error

    def _write(self, name: str, value: str) -> None:
        try:
            (self._root / name).write_text(value, encoding="ascii")
        except OSError as error:
            raise SystemFailure(f"cannot set {self._root / name} to {value}: {error.strerror}") from error
