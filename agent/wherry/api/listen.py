"""Where the API listens: unix sockets, sockets handed over by systemd, TCP with mutual TLS."""

from __future__ import annotations

import grp
import os
import socket
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from wherry.config import DEFAULT_GROUP, Config
from wherry.errors import Conflict, InvalidParameter, SystemFailure

FIRST_PASSED_FD = 3
DEFAULT_TLS_PORT = 2376
SOCKET_MODE = 0o660
BACKLOG = 4096
"""Connections that wait to be accepted; beyond it a client that does not block is turned away (unix(7), EAGAIN)."""


@dataclass
class Listener:
    """A listening socket. A unix socket made here is removed again when it is closed."""

    address: str
    socket: socket.socket
    tls: ssl.SSLContext | None = None
    made: tuple[Path, int] | None = None

    def close(self) -> None:
        """Stops listening; the socket's file goes, unless it has become another's meanwhile."""
        self.socket.close()
        if self.made is None:
            return
        path, inode = self.made
        try:
            if path.lstat().st_ino == inode:
                path.unlink()
        except FileNotFoundError:
            return


def open_listeners(config: Config) -> list[Listener]:
    """A listener for each configured address; raises InvalidParameter or SystemFailure that names the address."""
    listeners: list[Listener] = []
    try:
        for address in config.listen:
            listeners.extend(_open(config, address))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _open(config: Config, address: str) -> list[Listener]:
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        group = _group_id(config.group)
        _open_way(config.exec_root, Path(rest), group)
        return [_open_unix(address, Path(rest), group)]
    if scheme == "fd":
        return _passed(address, rest)
    return [_open_tcp(config, address)]


def _open_way(exec_root: Path, path: Path, group: int) -> None:
    """Lets the group pass through a directory of ours to the socket in it; it can list nothing there (mode 0710)."""
    is_ours = path.parent == exec_root
    if not path.parent.exists():
        path.parent.mkdir(mode=0o710, parents=True)
        is_ours = True
    if is_ours:
        os.chown(path.parent, -1, group)


def _open_unix(address: str, path: Path, group: int) -> Listener:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # bind(2) makes the file with the mode that the mask leaves: never open to others, not even for a moment.
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
        os.chown(path, 0 if os.geteuid() == 0 else -1, group)
        path.chmod(SOCKET_MODE)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise SystemFailure(f"cannot listen on {address}: {error.strerror or error}") from error
    finally:
        os.umask(mask)
    return Listener(address, sock, made=(path, path.lstat().st_ino))


def _remove_stale(path: Path) -> None:
    """Removes the socket of an agent that is no more; one that answers, and anything else, is left alone."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise Conflict("is in the way", field="hosts", value=path, allowed="a path that is free")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise SystemFailure(f"cannot tell who listens on {path}: {error}") from error
    raise Conflict("another process listens there", field="hosts", value=path, allowed="a path that is free")


def _group_id(configured: str | None) -> int:
    """The group of the socket; the default one may be absent, then the socket is root's alone (-1: as it is)."""
    name = DEFAULT_GROUP if configured is None else configured
    if not name:
        return 0 if os.geteuid() == 0 else -1
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        if configured is None:
            return 0 if os.geteuid() == 0 else -1
    if name.isdecimal():
        return int(name)
    raise InvalidParameter("no such group", field="group", value=name, allowed="a group of this host")


def _passed(address: str, wanted: str) -> list[Listener]:
    """Sockets that systemd opened, sd_listen_fds(3): all of them, one by its name, or one by its number."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        raise InvalidParameter(
            "no sockets were passed to this process",
            field="hosts",
            value=address,
            allowed="fd:// only when a systemd socket unit starts wherryd",
        )
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "").split(":")
    passed = {FIRST_PASSED_FD + n: names[n] if n < len(names) else "" for n in range(count)}
    chosen = [fd for fd, name in passed.items() if wanted in {"", "*", name, str(fd)}]
    if not chosen:
        raise InvalidParameter(
            "no such socket was passed",
            field="hosts",
            value=address,
            allowed="one of " + ", ".join(f"fd://{name or fd}" for fd, name in passed.items()),
        )
    return [_adopt(address, fd) for fd in chosen]


def _adopt(address: str, fd: int) -> Listener:
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=fd)
    if sock.family != socket.AF_UNIX:
        raise InvalidParameter(
            "a TCP socket was passed", field="hosts", value=address, allowed="unix sockets by fd://, TCP by tcp://"
        )
    return Listener(address, sock)


def _open_tcp(config: Config, address: str) -> Listener:
    parts = urlsplit(address)
    try:
        host, port = parts.hostname or "127.0.0.1", parts.port or DEFAULT_TLS_PORT
    except ValueError as error:
        raise InvalidParameter(str(error), field="hosts", value=address, allowed="tcp://address:port") from None
    return _listen_tls(address, host, port, mutual_tls(config.tlscacert, config.tlscert, config.tlskey, "tlscert"))


def open_for_peers(config: Config) -> Listener:
    """The listener of ``serve-address``. Errors: as ``open_listeners``."""
    host, _, port = config.serve_address.rpartition(":")
    context = mutual_tls(config.serve_cacert, config.serve_cert, config.serve_key, "serve-cert")
    return _listen_tls(config.serve_address, host.strip("[]"), int(port), context)


def _listen_tls(address: str, host: str, port: int, context: ssl.SSLContext) -> Listener:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SystemFailure(f"cannot listen on {address}: {error.strerror or error}") from error
    return Listener(address, sock, tls=context)


def mutual_tls(authority: Path | None, certificate: Path | None, key: Path | None, field: str) -> ssl.SSLContext:
    """TLS 1.2 or newer, with a certificate demanded of every client."""
    if authority is None or certificate is None or key is None:
        raise InvalidParameter("TLS needs an authority, a certificate and its key", field=field)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except (OSError, ssl.SSLError) as error:
        raise InvalidParameter(
            f"the certificates cannot be used: {error}",
            field=field,
            value=certificate,
            allowed="PEM files of a certificate, its key, and the authority that signs clients",
        ) from error
    return context
