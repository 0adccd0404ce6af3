"""Compressed files as streams: unpacked a window at a time as they are read, and never further than a bound.

Their end carries a checksum, which the checksum level reaches.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from model_load_exporter.artifacts.bounded import Damaged, Region
from model_load_exporter.artifacts.hashing import Advance

FIRST = 64 * 2**20
"""Unpacked bytes that the header level looks at."""

MOST = 2**30
EXPANSION = 200
"""Unpacked bytes that the checksum level reads at most: MOST, or this many times the file."""

_DICTIONARY = 256 * 2**20
"""Memory that xz may ask for: its strongest preset needs 65 MiB to unpack, and a head of 13 bytes can ask for 4 GiB."""

_CHUNK = 256 * 1024
LZ4 = b"\x04\x22\x4d\x18"


class _Engine(Protocol):
    """Of bz2, lzma and, wrapped, zlib."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """zlib's decompressor with the manners of the other two."""

    def __init__(self) -> None:
        self._engine = zlib.decompressobj(47)  # zlib or gzip, as its head says
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._engine.eof

    def decompress(self, data: bytes, max_length: int) -> bytes:
        out = self._engine.decompress(self._engine.unconsumed_tail + data, max_length)
        self.needs_input = len(out) < max_length
        return out


def _xz() -> _Engine:
    return lzma.LZMADecompressor(memlimit=_DICTIONARY)


_ENGINES: tuple[tuple[bytes, Callable[[], _Engine]], ...] = (
    (b"\x78", _Zlib),
    (b"\x1f\x8b", _Zlib),
    (b"BZh", bz2.BZ2Decompressor),
    (b"\xfd7zXZ", _xz),
    (b"\x5d\x00", _xz),
)


class Unpacked:
    """A compressed file as a stream, read forward by offset; going back begins anew. cut: longer than `limit`."""

    def __init__(self, region: Region, engine: Callable[[], _Engine], limit: int, advance: Advance) -> None:
        self._region = region
        self._made = engine
        self._limit = limit
        self._advance = advance
        self.cut = False
        self._rewind()

    def _rewind(self) -> None:
        self._engine = self._made()
        self._packed = self._base = 0
        self._held = b""

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes, fewer at the end."""
        if offset < self._base:
            self._rewind()
        while self._base + len(self._held) < offset + length and self._more():
            if offset > self._base:
                cut = min(offset - self._base, len(self._held))
                self._base, self._held = self._base + cut, self._held[cut:]
        start = offset - self._base
        return self._held[start : start + length]

    def finish(self) -> None:
        """To the end, where the checksum is. Raises Damaged."""
        while self._more():
            self._base, self._held = self._base + len(self._held), b""
        if not self._engine.eof and not self.cut:
            raise Damaged("is truncated: its compressed data break off")

    def _more(self) -> bool:
        if self._engine.eof:
            return False
        if self._base + len(self._held) > self._limit:
            self.cut = True
            return False
        data = b""
        if self._engine.needs_input:
            left = self._region.size - self._packed
            if not left:
                return False
            data = self._region.at(self._packed, min(_CHUNK, left))
            self._packed += len(data)
            self._advance(len(data))
        try:
            self._held += self._engine.decompress(data, _CHUNK)
        except (zlib.error, OSError, lzma.LZMAError) as error:
            raise Damaged(f"is damaged: its compressed data do not unpack ({error})") from None
        return True


def stream_of(region: Region, limit: int, advance: Advance = lambda count: None) -> Unpacked | None:
    """The stream in a compressed file; None where it is not compressed."""
    head = region.at(0, min(8, region.size))
    for magic, engine in _ENGINES:
        if head.startswith(magic):
            return Unpacked(region, engine, limit, advance)
    return None
