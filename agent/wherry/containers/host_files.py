"""/etc/hostname, /etc/hosts and /etc/resolv.conf as the container sees them."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from wherry.errors import InvalidParameter

HOST_GATEWAY = "host-gateway"
LOCAL_HOSTS = """\
127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
HOSTS = Path("/etc/hosts")
RESOLV_CONF = Path("/etc/resolv.conf")
RESOLVED_UPSTREAM = Path("/run/systemd/resolve/resolv.conf")
"""Where systemd-resolved lists the servers behind its own 127.0.0.53."""


def split_extra_host(text: str, field: str) -> tuple[str, str]:
    """``name:address`` or ``name=address``; the address may be ``host-gateway``."""
    separator = "=" if "=" in text else ":"
    name, found, address = text.partition(separator)
    if not found or not name or any(character.isspace() for character in text):
        raise InvalidParameter(f'bad format for add-host: "{text}"', field=field, allowed="name:address")
    if address != HOST_GATEWAY:
        try:
            ipaddress.ip_address(address.strip("[]"))
        except ValueError:
            raise InvalidParameter(f'invalid IP address in add-host: "{address}"', field=field) from None
    return name, address.strip("[]")


def hosts_of_host(extra: Sequence[tuple[str, str]]) -> str:
    """The host's own file, for a container in the host's network, and the extra hosts."""
    try:
        content = HOSTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        content = LOCAL_HOSTS
    if content and not content.endswith("\n"):
        content += "\n"
    return content + "".join(f"{address}\t{name}\n" for name, address in extra)


def hosts(extra: Sequence[tuple[str, str]], own: Sequence[str], hostname: str, domainname: str) -> str:
    """The file: local names, extra hosts in their order, and the container's own addresses."""
    names = f"{hostname}.{domainname} {hostname}" if domainname else hostname
    lines = [f"{address}\t{name}\n" for name, address in extra]
    lines += [f"{address}\t{names}\n" for address in own]
    return LOCAL_HOSTS + "".join(lines)


def set_address(file: Path, names: str, address: str) -> None:
    """Gives the line of these names another address; the file is written in place, because it is mounted as it is."""
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    changed = [f"{address}\t{names}\n" if line.partition("\t")[2].strip() == names else line for line in lines]
    if changed != lines:
        file.write_text("".join(changed), encoding="utf-8")


OWN_SERVER = "127.0.0.11"
"""The DNS server that a container has in networks with names."""


def resolv_conf(
    servers: Sequence[str],
    search: Sequence[str],
    options: Sequence[str],
    *,
    host_network: bool = False,
    own_server: bool = False,
) -> str:
    """The file: what was given, else the host's own. A container's own server knows whom to ask (``own_server``).

    A resolver on the host's loopback is out of reach from another network namespace and left out; with none left the
    file names none, because asking a stranger's server is not for an engine to decide.
    """
    own = _parse(RESOLV_CONF)
    if not host_network and not _reachable(own["nameserver"]):
        own["nameserver"] = _parse(RESOLVED_UPSTREAM)["nameserver"]
    of_host = own["nameserver"] if host_network else _reachable(own["nameserver"])
    nameservers = [OWN_SERVER] if own_server else list(servers) or of_host
    domains = [domain for domain in search if domain != "."] if search else own["search"]
    settings = list(options) or own["options"]
    if own_server and not any(setting.startswith("ndots:") for setting in settings):
        settings.append("ndots:0")
    lines = [f"nameserver {server}\n" for server in nameservers]
    if domains:
        lines.append(f"search {' '.join(domains)}\n")
    if settings:
        lines.append(f"options {' '.join(settings)}\n")
    return "".join(lines)


def _parse(path: Path) -> dict[str, list[str]]:
    """resolv.conf(5): the last search or domain line counts, servers and options add up."""
    found: dict[str, list[str]] = {"nameserver": [], "search": [], "options": []}
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return found
    for line in content.splitlines():
        key, *values = line.split() or [""]
        if key == "nameserver" and values:
            found["nameserver"].append(values[0])
        elif key in ("search", "domain"):
            found["search"] = values
        elif key == "options":
            found["options"] += values
    return found


def _reachable(servers: Sequence[str]) -> list[str]:
    return [server for server in servers if not _is_loopback(server)]


def _is_loopback(server: str) -> bool:
    try:
        return ipaddress.ip_address(server.partition("%")[0]).is_loopback
    except ValueError:
        return True
