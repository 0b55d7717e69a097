"""Sockets to registries: straight, or through an HTTP, HTTPS or SOCKS5 proxy.

Sources: RFC 9110, 9.3.6 (CONNECT), RFC 1928 and 1929 (SOCKS5). Messages name whoever failed; passwords stand in none.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass

from wherry.registry.errors import NotListening, Refused, Unreachable
from wherry.registry.proxies import Proxy
from wherry.registry.url import Url, is_link_local

HEAD_MAX = 64 * 1024
RELAY_SIZE = 256 * 1024
_RELAYS: set[asyncio.Task[None]] = set()
_SOCKS_REFUSALS = {
    1: "general failure", 2: "not allowed by its rules", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "time to live expired", 7: "command not supported", 8: "address type not supported",
}  # fmt: skip


@dataclass(frozen=True)
class Destination:
    """Whom a request is for. ``named`` begins error messages; ``guarded`` forbids link-local addresses."""

    url: Url
    named: str
    guarded: bool


async def dial(destination: Destination, proxy: Proxy | None) -> socket.socket:
    """A connected socket that does not block, on which the destination answers; for plain HTTP through an HTTP proxy,
    the proxy.

    Errors: ``NotListening``, ``Unreachable``, ``Refused`` for an address that a registry may not point to.
    """
    url = destination.url
    if destination.guarded and is_link_local(url.host):
        raise Refused(f"{url}: refused: a registry pointed to the link-local address {url.host}")
    if proxy is None:
        return await _connect(destination, url.host, url.port, guarded=destination.guarded)
    raw = await _connect(destination, proxy.host, proxy.port, guarded=False)
    try:
        if proxy.scheme == "https":
            raw = await _secured(raw, destination, proxy)
        if proxy.is_socks:
            await _socks(raw, destination, proxy)
        elif url.scheme == "https":
            await _tunnel(raw, destination, proxy_authorization(proxy))
    except OSError as error:
        raw.close()
        raise Unreachable(f"{destination.named}: proxy {proxy.host}:{proxy.port}: {reason(error)}") from error
    except BaseException:
        raw.close()
        raise
    return raw


async def _connect(destination: Destination, host: str, port: int, *, guarded: bool) -> socket.socket:
    """Addresses are checked after resolution, so that a name cannot hide a forbidden one."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NotListening(f"{destination.named}: dial tcp: lookup {host}: {error.strerror or error}") from error
    failure: OSError | None = None
    for family, kind, protocol, _, address in found:
        if guarded and is_link_local(str(address[0])):
            raise Refused(f"{destination.url}: refused: a registry pointed to the link-local address {address[0]}")
        made = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await loop.sock_connect(made, address)
        except OSError as error:
            made.close()
            failure = error
        except BaseException:
            made.close()
            raise
        else:
            return made
    place = f"dial tcp {host}:{port}"
    raise NotListening(f"{destination.named}: {place}: connect: {reason(failure)}") from failure


async def _tunnel(raw: socket.socket, destination: Destination, authorization: str) -> None:
    """Asks an HTTP proxy for a way through to the host."""
    loop = asyncio.get_running_loop()
    url = destination.url
    host = f"[{url.host}]" if ":" in url.host else url.host
    place = f"{host}:{url.port}"
    extra = f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
    await loop.sock_sendall(raw, f"CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{extra}\r\n".encode())
    head = b""
    # A byte at a time: what follows the head belongs to TLS, and a raw socket cannot take bytes back.
    while not head.endswith(b"\r\n\r\n"):
        piece = await loop.sock_recv(raw, 1)
        if not piece or len(head) > HEAD_MAX:
            raise Unreachable(f"{destination.named}: the proxy closed the connection")
        head += piece
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or words[1] != b"200":
        status = b" ".join(words[1:]).decode("latin-1")
        raise Unreachable(f"{destination.named}: the proxy refused the connection: {status}")


async def _socks(raw: socket.socket, destination: Destination, proxy: Proxy) -> None:
    """Has a SOCKS5 proxy connect. Names are resolved by the proxy, as Go's client and so Docker has it."""
    loop = asyncio.get_running_loop()
    user, password = proxy.user.encode(), proxy.password.encode()
    if len(user) > 255 or len(password) > 255:
        raise Refused("the user name and password of a SOCKS5 proxy have at most 255 bytes each")
    await loop.sock_sendall(raw, b"\x05\x02\x00\x02" if user else b"\x05\x01\x00")
    version, method = await _exactly(raw, 2, destination)
    if version != 5 or method not in ((0, 2) if user else (0,)):
        raise Unreachable(f"{destination.named}: the SOCKS5 proxy wants another authentication")
    if method == 2:
        await loop.sock_sendall(raw, bytes([1, len(user)]) + user + bytes([len(password)]) + password)
        if (await _exactly(raw, 2, destination))[1] != 0:
            raise Unreachable(f"{destination.named}: the SOCKS5 proxy refused user name or password")
    await loop.sock_sendall(raw, b"\x05\x01\x00" + _socks_address(destination.url))
    version, answer, _, kind = await _exactly(raw, 4, destination)
    if version != 5 or answer != 0:
        why = _SOCKS_REFUSALS.get(answer, f"code {answer}")
        raise Unreachable(f"{destination.named}: the SOCKS5 proxy refused the connection: {why}")
    length = {1: 4, 4: 16}.get(kind) or (await _exactly(raw, 1, destination))[0]
    await _exactly(raw, length + 2, destination)


def _socks_address(url: Url) -> bytes:
    for kind, family in ((1, socket.AF_INET), (4, socket.AF_INET6)):
        with contextlib.suppress(OSError):
            return bytes([kind]) + socket.inet_pton(family, url.host) + struct.pack("!H", url.port)
    name = url.host.encode("ascii")
    if len(name) > 255:
        raise Refused(f"{url}: the host name is too long for a SOCKS5 proxy")
    return bytes([3, len(name)]) + name + struct.pack("!H", url.port)


async def _exactly(raw: socket.socket, count: int, destination: Destination) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        piece = await loop.sock_recv(raw, count - len(data))
        if not piece:
            raise Unreachable(f"{destination.named}: the SOCKS5 proxy closed the connection")
        data += piece
    return data


async def _secured(raw: socket.socket, destination: Destination, proxy: Proxy) -> socket.socket:
    """TLS to a proxy, behind a socket that carries plain bytes: what goes through it may be TLS once more.

    The proxy's certificate must be one that the machine trusts.
    """
    try:
        reader, writer = await asyncio.open_connection(
            sock=raw, ssl=ssl.create_default_context(), server_hostname=proxy.host, limit=RELAY_SIZE
        )
    except ssl.SSLCertVerificationError as error:
        message = f"proxy {proxy.host}:{proxy.port}: tls: failed to verify certificate: {error.verify_message}"
        raise Unreachable(f"{destination.named}: {message}") from error
    except ssl.SSLError as error:
        raise Unreachable(f"{destination.named}: proxy {proxy.host}:{proxy.port}: tls: {error.reason}") from error
    near, far = socket.socketpair()
    near.setblocking(False)
    far_reader, far_writer = await asyncio.open_connection(sock=far, limit=RELAY_SIZE)
    for one, other in ((reader, far_writer), (far_reader, writer)):
        task = asyncio.create_task(_pump(one, other))
        _RELAYS.add(task)
        task.add_done_callback(_RELAYS.discard)
    return near


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies one direction until either side ends."""
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await reader.read(RELAY_SIZE):
            writer.write(data)
            await writer.drain()
    writer.close()


def proxy_authorization(proxy: Proxy) -> str:
    """The value of Proxy-Authorization; "" where the proxy has no user."""
    if not proxy.user:
        return ""
    return "Basic " + base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()


def reason(error: BaseException | None) -> str:
    """What went wrong, in few words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__
