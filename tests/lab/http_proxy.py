"""A small HTTP proxy that writes down what it was asked for.

Run it as ``python -m tests.lab.http_proxy HOST PORT FILE [CERT KEY]``.

With a certificate and its key it speaks TLS to its clients.

It tunnels by CONNECT and forwards whole URLs, one request a connection, and serves no other purpose.
"""

from __future__ import annotations

import asyncio
import ssl
import sys
from pathlib import Path
from urllib.parse import urlsplit


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copies one direction until it ends."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Path) -> None:
    """Handles one connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    line, _, headers = head.partition(b"\r\n")
    method, target, _ = line.decode().split(" ", 2)
    with seen.open("a") as file:
        file.write(f"{method} {target.partition('?')[0]}\n")
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        to_reader, to_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        parts = urlsplit(target)
        to_reader, to_writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        to_writer.write(f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + headers)
    await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer), return_exceptions=True)


async def main() -> None:
    """Serves until killed."""
    host, port, seen, *files = sys.argv[1:]
    context = None
    if files:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*files)
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, Path(seen)), host, int(port), ssl=context
    )
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
