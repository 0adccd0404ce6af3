"""Checksums as fast as the processor allows: one pass over a file, through a buffer that stays in its cache.

Files are read, never mapped: a mapped file that somebody truncates ends the reader with SIGBUS.
"""

import functools
import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

CHUNK = 256 * 1024
"""Bytes of one read. Larger buffers fall out of the second-level cache, smaller ones cost system calls."""

Advance = Callable[[int], None]
"""Called with the number of bytes read since its last call; it may sleep, or raise to end the reading."""


@dataclass(frozen=True, slots=True)
class Digests:
    """Of one file, in lower-case hex. git_sha1: of git's blob object, where it was asked for."""

    sha256: str
    git_sha1: str | None


class ShrankError(ValueError):
    """The file ended before its size of a moment ago."""


def digests(descriptor: int, size: int, advance: Advance, *, git: bool = False) -> Digests:
    """Checksums of the first `size` bytes of an open file. Raises ShrankError, OSError."""
    sha256 = hashlib.sha256()
    git_sha1 = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False) if git else None
    for part in chunks(descriptor, 0, size):
        sha256.update(part)
        if git_sha1:
            git_sha1.update(part)
        advance(len(part))
    return Digests(sha256.hexdigest(), git_sha1.hexdigest() if git_sha1 else None)


def crc32_of(descriptor: int, begin: int, size: int, advance: Advance) -> int:
    """The CRC-32 of a stretch of an open file. Raises ShrankError, OSError."""
    crc32, value = crc32_function(), 0
    for part in chunks(descriptor, begin, size):
        value = crc32(part, value)
        advance(len(part))
    return value


def chunks(descriptor: int, begin: int, size: int) -> Iterator[memoryview]:
    """A stretch of an open file as views of one buffer: each holds until the next is asked for. Raises ShrankError."""
    buffer, at, end = memoryview(bytearray(min(CHUNK, size))), begin, begin + size
    while at < end:
        count = os.preadv(descriptor, [buffer[: end - at]], at)
        if not count:
            raise ShrankError(f"shrank to {at} bytes while it was read")
        at += count
        yield buffer[:count]


@functools.cache
def crc32_function() -> Callable[[memoryview, int], int]:
    """isal's CRC-32 where it is installed, several times the standard library's speed; both answer the same."""
    try:
        from isal.isal_zlib import crc32
    except ImportError:
        return zlib.crc32
    return crc32
