"""A small SOCKS5 proxy that writes down what it was asked for.

Run it as ``python -m tests.lab.socks_proxy HOST PORT FILE [U:P]``.

With ``U:P`` it wants that user name and password (RFC 1929). Every name is resolved to the proxy's own address, so that
a test sees who resolved it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from pathlib import Path

from tests.lab.http_proxy import pump


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, seen: Path, login: str) -> None:
    """Handles one connection."""
    _, count = await reader.readexactly(2)
    methods = await reader.readexactly(count)
    if login:
        if 2 not in methods:
            writer.write(b"\x05\xff")
            writer.close()
            return
        writer.write(b"\x05\x02")
        _, length = await reader.readexactly(2)
        user = await reader.readexactly(length)
        password = await reader.readexactly((await reader.readexactly(1))[0])
        good = f"{user.decode()}:{password.decode()}" == login
        writer.write(b"\x01\x00" if good else b"\x01\x01")
        if not good:
            writer.close()
            return
    else:
        writer.write(b"\x05\x00")
    kind = (await reader.readexactly(4))[3]
    if kind == 3:
        name = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        target = host
    else:
        family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
        name = target = socket.inet_ntop(family, await reader.readexactly(length))
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    with seen.open("a") as file:
        file.write(f"{name}:{port}\n")
    to_reader, to_writer = await asyncio.open_connection(target, port)
    writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
    await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer), return_exceptions=True)


async def main() -> None:
    """Serves until killed."""
    host, port, seen, *login = sys.argv[1:]
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, host, Path(seen), "".join(login)), host, int(port)
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
