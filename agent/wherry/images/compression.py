"""Recognises compressed streams by their first bytes, and undoes them: gzip and zstd by the C core, others here."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import AsyncIterator, Callable
from typing import Any

from wherry.aio import in_thread
from wherry.errors import InvalidParameter

GZIP, ZSTD, BZIP2, XZ, PLAIN = "gzip", "zstd", "bzip2", "xz", ""
_MAGIC = ((b"\x1f\x8b\x08", GZIP), (b"\x28\xb5\x2f\xfd", ZSTD), (b"BZh", BZIP2), (b"\xfd7zXZ\x00", XZ))
MAGIC_BYTES = 6
OUTPUT_PIECE = 1024 * 1024  # bytes that a decompressor makes at a time


def recognise(head: bytes) -> str:
    """Which compression a stream that begins so has."""
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), PLAIN)


async def with_head(chunks: AsyncIterator[bytes]) -> tuple[bytes, AsyncIterator[bytes]]:
    """The first bytes of a stream, and the stream with them still in it."""
    head = b""
    while len(head) < MAGIC_BYTES:
        piece = await anext(chunks, b"")
        if not piece:
            break
        head += piece

    async def whole() -> AsyncIterator[bytes]:
        if head:
            yield head
        async for piece in chunks:
            yield piece

    return head, whole()


async def decompress(chunks: AsyncIterator[bytes], kind: str) -> AsyncIterator[bytes]:
    """The content of a compressed stream, in pieces of bounded size however well it was packed.

    Errors: ``InvalidParameter`` for a damaged stream.
    """
    if kind == PLAIN:
        async for piece in chunks:
            yield piece
    elif kind in (GZIP, ZSTD):
        from wherry import native, pipes

        try:
            async for piece in pipes.transform(chunks, native.recompress):
                yield piece
        except native.NativeError as error:
            raise InvalidParameter(f"the {kind} stream is damaged: {error}") from error
    else:
        async for piece in _inflate(chunks, kind):
            yield piece


async def _inflate(chunks: AsyncIterator[bytes], kind: str) -> AsyncIterator[bytes]:
    inflate = _Inflater(kind)
    async for piece in chunks:
        inflate.feed(piece)
        while made := await in_thread(inflate.next_piece):
            yield made
    if not inflate.complete:
        raise InvalidParameter(f"the {kind} stream ends early")


class _Inflater:
    """One interface over the decompressors; members that follow each other are read as one stream."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._make = _maker(kind)
        self._engine = self._make()
        self._input = b""
        self._begun = False

    def feed(self, piece: bytes) -> None:
        self._input += piece

    @property
    def complete(self) -> bool:
        return bool(self._engine.eof) or not self._begun

    def next_piece(self) -> bytes:
        """At most ``OUTPUT_PIECE`` bytes more; empty when input is needed."""
        try:
            while True:
                if self._engine.eof:
                    rest = self._input.lstrip(b"\0")  # padding between and after members
                    if not rest:
                        self._input = b""
                        return b""
                    self._engine, self._input = self._make(), rest
                made = self._step()
                if made or not self._engine.eof:
                    return made
        except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
            raise InvalidParameter(f"the {self._kind} stream is damaged: {error}") from error

    def _step(self) -> bytes:
        engine, given = self._engine, self._input
        self._begun = self._begun or bool(given)
        self._input = b""
        made = engine.decompress(given, OUTPUT_PIECE) if given or not engine.needs_input else b""
        if engine.eof:
            self._input = engine.unused_data
        return bytes(made)


def _maker(kind: str) -> Callable[[], Any]:
    if kind == BZIP2:
        return bz2.BZ2Decompressor
    return lambda: lzma.LZMADecompressor(memlimit=512 * 1024 * 1024)
